//! Limits log lines that peers can cause, so that they do not fill the log.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Minimum time between two lines of a kind.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

/// Allows the first line of each kind at once, and then one every 30 s with the number of occurrences since. Kinds are
/// counted separately, so that one does not hide another.
#[derive(Default)]
pub struct LogLimit(Mutex<HashMap<&'static str, Kind>>);

#[derive(Default)]
struct Kind {
    last: Option<Instant>,
    times: u64,
}

impl LogLimit {
    /// Counts an occurrence. Returns the number of occurrences since the last line if another line is allowed now.
    pub fn allow(&self, kind: &'static str) -> Option<u64> {
        let mut kinds = self.0.lock();
        let kind = kinds.entry(kind).or_default();
        kind.times += 1;
        if kind.last.is_some_and(|last| last.elapsed() < LOG_INTERVAL) {
            return None;
        }
        kind.last = Some(Instant::now());
        Some(std::mem::take(&mut kind.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_logged_at_once_and_later_ones_are_counted() {
        let limit = LogLimit::default();
        assert_eq!(
            [limit.allow("a"), limit.allow("a"), limit.allow("b"), limit.allow("a")],
            [Some(1), None, Some(1), None]
        );
        tokio::time::advance(LOG_INTERVAL).await;
        assert_eq!([limit.allow("a"), limit.allow("a")], [Some(3), None]);
    }
}

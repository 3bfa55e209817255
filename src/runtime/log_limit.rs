//! Lines that others can cause, kept from filling the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Peers that go on trying are told of once in so long.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Tells the first of a kind at once, and later ones together. Each kind by itself: one peer's must not hide another's.
#[derive(Default)]
pub struct LogLimit(Mutex<HashMap<&'static str, Kind>>);

#[derive(Default)]
struct Kind {
    told: Option<Instant>,
    times: u64,
}

impl LogLimit {
    /// One more of a kind; how many there were since the last telling, when it is time to tell.
    pub fn allow(&self, kind: &'static str) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(kind).or_default();
        kind.times += 1;
        if kind.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return None;
        }
        kind.told = Some(Instant::now());
        Some(std::mem::take(&mut kind.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_of_a_kind_is_told_at_once_and_later_ones_together() {
        let limit = LogLimit::default();
        assert_eq!(
            [limit.allow("a"), limit.allow("a"), limit.allow("b"), limit.allow("a")],
            [Some(1), None, Some(1), None]
        );
        tokio::time::advance(TELL_EVERY).await;
        assert_eq!([limit.allow("a"), limit.allow("a")], [Some(3), None]);
    }
}

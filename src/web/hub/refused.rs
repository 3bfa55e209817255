//! What telemetry told and was not taken in: counted, and said in the log now and then.

use slog::{Logger, warn};
use std::time::{Duration, Instant};

/// Between two lines of the log.
const SAY: Duration = Duration::from_secs(60);

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Events that would have taken more memory than there is for an instance, for a request, or for all.
    pub too_much: u64,
    /// Events that only this process itself, or another host, may tell.
    pub not_theirs: u64,
    /// Reports without the proof of the deployment's token.
    pub without_token: u64,
    /// Reports of hosts that send more than instances do.
    pub too_fast: u64,
    /// Reports that are no events.
    pub unreadable: u64,
}

/// What was said last, and when.
#[derive(Debug, Default)]
pub struct Said(Option<(Refused, Instant)>);

impl Said {
    /// Says what was refused, when there is more of it than was said, and not too often.
    pub fn say(&mut self, refused: Refused, log: &Logger) {
        let (before, at) = self.0.unzip();
        if refused == before.unwrap_or_default() || at.is_some_and(|at| at.elapsed() < SAY) {
            return;
        }
        self.0 = Some((refused, Instant::now()));
        warn!(log, "telemetry was refused: another version, or somebody else, sends to telemetry.port";
            "beyond the limits" => refused.too_much, "not theirs to tell" => refused.not_theirs,
            "without the token" => refused.without_token, "too fast" => refused.too_fast,
            "unreadable" => refused.unreadable);
    }
}

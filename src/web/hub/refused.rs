//! Counts of refused telemetry, and their log.

use slog::{Logger, warn};
use std::time::{Duration, Instant};

/// Minimum time between two lines of the log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Events that would exceed the memory for an instance, for a request, or for all.
    pub too_much: u64,
    /// Events that only this process, or only another host, may send.
    pub not_theirs: u64,
    /// Reports without the proof of the deployment's token.
    pub without_token: u64,
    /// Reports above the limit of their host.
    pub too_fast: u64,
    /// Reports that cannot be parsed.
    pub unreadable: u64,
}

/// The last logged counts, and the time of their line.
#[derive(Debug, Default)]
pub struct Said(Option<(Refused, Instant)>);

impl Said {
    /// Logs the counts if they have changed since the last line, at most once in [`LOG_INTERVAL`].
    pub fn say(&mut self, refused: Refused, log: &Logger) {
        let (before, at) = self.0.unzip();
        if refused == before.unwrap_or_default() || at.is_some_and(|at| at.elapsed() < LOG_INTERVAL) {
            return;
        }
        self.0 = Some((refused, Instant::now()));
        warn!(log, "telemetry was refused: an instance of another version, or another program, sends to telemetry.port";
            "beyond the limits" => refused.too_much, "wrong sender" => refused.not_theirs,
            "without the token" => refused.without_token, "too fast" => refused.too_fast,
            "unreadable" => refused.unreadable);
    }
}

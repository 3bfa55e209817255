//! How often workers are started again, and when the process gives up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Restart intensity, as in OTP: more than `restarts` deaths within `period` end the process, so that its service manager
/// starts another.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    pub restarts: usize,
    pub period: Duration,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
}

impl RestartPolicy {
    /// Endless waits between restarts: they double from `backoff_min` to `backoff_max`, with jitter.
    pub fn backoff(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.backoff_min)
            .with_max_delay(self.backoff_max)
            .with_jitter()
            .without_max_times()
            .build()
    }
}

/// The reason why the process can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{pool}: {reason}; {restarts} restarts within {period:?} did not help (supervision.restarts, supervision.period)"
)]
pub struct Fatal {
    pub pool: &'static str,
    pub reason: String,
    pub restarts: usize,
    pub period: Duration,
}

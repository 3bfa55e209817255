//! How fast workers are restarted, and when the process ends instead.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

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

/// The restarts of one pool: all its workers have one budget.
pub struct Restarts {
    policy: RestartPolicy,
    /// The deaths within the last `period`, oldest first.
    deaths: VecDeque<Instant>,
}

/// The waits of one worker before its restarts. They start over when it has lived for longer than `period`.
pub struct RestartWaits {
    started: Instant,
    backoff: ExponentialBackoff,
}

impl Restarts {
    pub fn new(policy: RestartPolicy) -> Self {
        Self { policy, deaths: VecDeque::new() }
    }

    /// The waits of a worker that is started at `now`.
    pub fn waits(&self, now: Instant) -> RestartWaits {
        RestartWaits { started: now, backoff: self.policy.backoff() }
    }

    /// Counts a death. Returns the wait before the restart; `None` if the budget is exceeded.
    pub fn died(&mut self, waits: &mut RestartWaits, now: Instant) -> Option<Duration> {
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|death| now.duration_since(*death) > self.policy.period) {
            self.deaths.pop_front();
        }
        if now.duration_since(waits.started) > self.policy.period {
            waits.backoff = self.policy.backoff();
        }
        let wait = waits.backoff.next().unwrap_or(self.policy.backoff_max);
        (self.deaths.len() <= self.policy.restarts).then_some(wait)
    }

    /// Why the process ends when the budget is exceeded. `reason`: of the last death.
    pub fn fatal(&self, pool: &'static str, reason: String) -> Fatal {
        Fatal { pool, reason, restarts: self.policy.restarts, period: self.policy.period }
    }
}

impl RestartWaits {
    /// The worker is started again.
    pub fn restarted(&mut self, now: Instant) {
        self.started = now;
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn restarts(restarts: usize) -> (Restarts, Instant) {
        let policy = RestartPolicy { restarts, period: SECOND * 10, backoff_min: SECOND, backoff_max: SECOND * 4 };
        (Restarts::new(policy), Instant::now())
    }

    #[test]
    fn a_pool_has_one_budget_for_the_deaths_within_the_period() {
        let (mut restarts, start) = restarts(2);
        let mut workers = [restarts.waits(start), restarts.waits(start)];
        let mut dies = |worker: usize, second| restarts.died(&mut workers[worker], start + SECOND * second).is_some();
        assert!(dies(0, 1) && dies(1, 6));
        assert!(!dies(0, 10), "the third within ten seconds");
        // The first two are over.
        assert!(dies(1, 17) && !dies(1, 18));
    }

    #[test]
    fn without_restarts_the_first_death_is_one_too_many() {
        let (mut restarts, start) = restarts(0);
        let mut waits = restarts.waits(start);
        assert_eq!(restarts.died(&mut waits, start), None);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_start_over_after_a_long_life() {
        let (mut restarts, start) = restarts(100);
        let (mut worker, mut other) = (restarts.waits(start), restarts.waits(start));
        // Jitter at most doubles a wait.
        let about = |wait: Option<Duration>, seconds| {
            let wait = wait.unwrap();
            assert!(SECOND * seconds <= wait && wait <= SECOND * seconds * 2, "{wait:?}, not {seconds} s");
        };
        for seconds in [1, 2, 4, 4] {
            about(restarts.died(&mut worker, start + SECOND), seconds);
        }
        about(restarts.died(&mut other, start + SECOND), 1);
        worker.restarted(start + SECOND * 5);
        about(restarts.died(&mut worker, start + SECOND * 15), 4);
        worker.restarted(start + SECOND * 20);
        about(restarts.died(&mut worker, start + SECOND * 31), 1);
    }
}

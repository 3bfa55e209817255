//! Faults on purpose: what a responder does wrong when it is told to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::Faults;

/// The faults of one responder instance. Changed while it runs.
#[derive(Debug, Default)]
pub struct FaultInjector {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    /// How long a worker stalls on its next message.
    stalls: HashMap<usize, Duration>,
}

impl FaultInjector {
    pub fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub fn faults(&self) -> Faults {
        self.lock().faults
    }

    /// Makes a worker stall on its next message.
    pub fn stall(&self, worker: usize, time: Duration) {
        self.lock().stalls.insert(worker, time);
    }

    /// Back to normal.
    pub fn clear(&self) {
        *self.lock() = State::default();
    }

    /// What a worker suffers before a message's task: waits are waited for; an error is the reply's body.
    pub async fn suffer(&self, worker: usize) -> Result<(), &'static str> {
        let (faults, stall) = {
            let mut state = self.lock();
            (state.faults, state.stalls.remove(&worker).unwrap_or_default())
        };
        let wait = stall + Duration::from_millis(faults.extra_latency_ms);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        if faults.failing {
            return Err("this responder is set to fail (a fault on purpose)");
        }
        if faults.error_rate > 0.0 && rand::random::<f64>() < faults.error_rate {
            return Err("an error on purpose (the fault's error rate)");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_suffered_once_and_by_its_worker() {
        let injector = FaultInjector::default();
        injector.stall(1, Duration::from_secs(60));
        let begun = tokio::time::Instant::now();
        injector.suffer(0).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        injector.suffer(1).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(60));
        injector.suffer(1).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(61));
    }

    #[tokio::test]
    async fn faults_last_until_they_are_cleared() {
        let injector = FaultInjector::default();
        for faults in [Faults { failing: true, ..Faults::default() }, Faults { error_rate: 1.0, ..Faults::default() }] {
            injector.set(faults);
            assert!(injector.suffer(0).await.is_err());
            assert!(injector.suffer(0).await.is_err());
            injector.clear();
            assert!(injector.suffer(0).await.is_ok());
        }
    }
}

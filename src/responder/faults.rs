//! Faults on purpose: what a responder does wrong when it is told to.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::wire::Faults;

/// The faults of one responder instance. Changed while it runs.
#[derive(Debug, Default)]
pub struct FaultInjector {
    state: Mutex<State>,
    /// Ends the waits under way.
    cleared: Notify,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    /// How long a worker stalls, on its next message or now.
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

    /// The workers that stall, or will on their next message, in order.
    pub fn stalled(&self) -> Vec<usize> {
        let mut workers: Vec<_> = self.lock().stalls.keys().copied().collect();
        workers.sort_unstable();
        workers
    }

    /// Back to normal: a message that is held up by a fault goes on at once.
    pub fn clear(&self) {
        *self.lock() = State::default();
        self.cleared.notify_waiters();
    }

    /// What a worker suffers before a message's task: waits are waited for; an error is the reply's body.
    pub async fn apply(&self, worker: usize) -> Result<(), &'static str> {
        let cleared = self.cleared.notified();
        let (faults, stall) = {
            let state = self.lock();
            (state.faults, state.stalls.get(&worker).copied())
        };
        // Also when the worker dies meanwhile: its successor does not stall again.
        let _over = stall.map(|_| Stalled { injector: self, worker });
        let wait = stall.unwrap_or_default() + Duration::from_millis(faults.extra_latency_ms);
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cleared => return Ok(()),
            }
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

/// A stall under way.
struct Stalled<'a> {
    injector: &'a FaultInjector,
    worker: usize,
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.injector.lock().stalls.remove(&self.worker);
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
        injector.apply(0).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(injector.stalled(), [1]);
        injector.apply(1).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(60));
        assert!(injector.stalled().is_empty());
        injector.apply(1).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(61));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_up_goes_on_when_the_faults_are_cleared() {
        let injector = FaultInjector::default();
        injector.stall(0, Duration::from_secs(60));
        injector.set(Faults { failing: true, extra_latency_ms: 60_000, ..Faults::default() });
        let begun = tokio::time::Instant::now();
        let clear = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(injector.stalled(), [0], "it shows while it stalls");
            injector.clear();
        };
        let (suffered, ()) = tokio::join!(injector.apply(0), clear);
        suffered.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_secs(1));
        assert!(injector.stalled().is_empty());
    }

    #[tokio::test]
    async fn a_worker_that_dies_in_a_stall_does_not_stall_again() {
        let injector = FaultInjector::default();
        injector.stall(0, Duration::from_secs(60));
        tokio::select! {
            biased;
            _ = injector.apply(0) => unreachable!("it stalls"),
            () = std::future::ready(()) => {}
        }
        assert!(injector.stalled().is_empty());
    }

    #[tokio::test]
    async fn faults_last_until_they_are_cleared() {
        let injector = FaultInjector::default();
        for faults in [Faults { failing: true, ..Faults::default() }, Faults { error_rate: 1.0, ..Faults::default() }] {
            injector.set(faults);
            assert!(injector.apply(0).await.is_err());
            assert!(injector.apply(0).await.is_err());
            injector.clear();
            assert!(injector.apply(0).await.is_ok());
        }
    }
}

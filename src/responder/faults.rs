//! Fault injection: a responder fails, stalls or responds late on request.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::wire::Faults;

/// The faults of one responder instance. Changed while it runs.
#[derive(Debug, Default)]
pub struct FaultInjector {
    state: Mutex<State>,
    /// Ends the current waits.
    cleared: Notify,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    /// The stall of each worker, on its current or next message.
    stalls: HashMap<usize, Duration>,
}

impl FaultInjector {
    pub fn set(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    pub fn faults(&self) -> Faults {
        self.state.lock().faults
    }

    /// Makes a worker stall on its next message.
    pub fn stall(&self, worker: usize, time: Duration) {
        self.state.lock().stalls.insert(worker, time);
    }

    /// The workers that stall now or will on their next message, sorted.
    pub fn stalled(&self) -> Vec<usize> {
        let mut workers: Vec<_> = self.state.lock().stalls.keys().copied().collect();
        workers.sort_unstable();
        workers
    }

    /// Removes all faults. Messages that a fault delays continue at once.
    pub fn clear(&self) {
        *self.state.lock() = State::default();
        self.cleared.notify_waiters();
    }

    /// Applies the faults before a message's task: waits for stalls and extra latency.
    ///
    /// # Errors
    /// The body of the error reply.
    pub async fn apply(&self, worker: usize) -> Result<(), &'static str> {
        let cleared = self.cleared.notified();
        let (faults, stall) = {
            let state = self.state.lock();
            (state.faults, state.stalls.get(&worker).copied())
        };
        // Dropped even if the worker dies in the stall, so that the slot's next worker does not stall again.
        let _over = stall.map(|_| Stalled { injector: self, worker });
        let wait = stall.unwrap_or_default() + Duration::from_millis(faults.extra_latency_ms);
        if !wait.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cleared => return Ok(()),
            }
        }
        if faults.failing {
            return Err("this responder fails every message (injected fault)");
        }
        if faults.error_rate > 0.0 && rand::random::<f64>() < faults.error_rate {
            return Err("this message failed by the error rate (injected fault)");
        }
        Ok(())
    }
}

/// Removes a worker's stall when it is dropped.
struct Stalled<'a> {
    injector: &'a FaultInjector,
    worker: usize,
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.injector.state.lock().stalls.remove(&self.worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stall_applies_once_and_to_its_worker() {
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
    async fn a_delayed_message_continues_when_the_faults_are_cleared() {
        let injector = FaultInjector::default();
        injector.stall(0, Duration::from_secs(60));
        injector.set(Faults { failing: true, extra_latency_ms: 60_000, ..Faults::default() });
        let begun = tokio::time::Instant::now();
        let clear = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(injector.stalled(), [0], "it is listed while it stalls");
            injector.clear();
        };
        let (applied, ()) = tokio::join!(injector.apply(0), clear);
        applied.unwrap();
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

//! What can be changed about a responder instance while it runs: its delay and its faults.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::FaultInjector;
use crate::runtime::InstanceStatus;
use crate::wire::{Delay, DelayError, Faults};

/// The longest wait that a control call may ask for: ten minutes.
const MAX_MS: u64 = 600_000;

/// The handles of one responder instance.
#[derive(Clone)]
pub struct ResponderControls {
    pub delay: watch::Sender<Delay>,
    pub faults: Arc<FaultInjector>,
    pub status: Arc<InstanceStatus>,
}

/// Why a responder was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Delay(#[from] DelayError),
    #[error("no worker {0} is at work")]
    NoWorker(usize),
}

impl ResponderControls {
    /// Makes a worker stall on its next message.
    pub fn stall(&self, index: usize, time_ms: u64) -> Result<(), ChangeError> {
        if !self.status.snapshot().workers.iter().any(|worker| worker.index == index) {
            return Err(ChangeError::NoWorker(index));
        }
        self.faults.stall(index, Duration::from_millis(within("ms", time_ms)?));
        self.status.publish();
        Ok(())
    }

    /// A delay without a cap keeps the present one, or gets its own mean where that is longer.
    pub fn set_delay(&self, delay: Delay) -> Result<(), ChangeError> {
        let cap = delay.cap.unwrap_or_else(|| self.delay.borrow().cap().max(delay.mean));
        let delay = Delay { cap: Some(cap), ..delay.checked()? };
        self.delay.send_replace(delay);
        self.status.set_delay(delay);
        self.status.publish();
        Ok(())
    }

    pub fn set_faults(&self, faults: Faults) -> Result<(), ChangeError> {
        if !(0.0..=1.0).contains(&faults.error_rate) {
            return Err(ChangeError::Invalid(format!("errorRate {}: give 0 to 1", faults.error_rate)));
        }
        within("extraLatencyMs", faults.extra_latency_ms)?;
        self.faults.set(faults);
        self.status.publish();
        Ok(())
    }

    /// Back to normal, stalls included.
    pub fn clear_faults(&self) {
        self.faults.clear();
        self.status.publish();
    }
}

fn within(name: &str, millis: u64) -> Result<u64, ChangeError> {
    match millis <= MAX_MS {
        true => Ok(millis),
        false => Err(ChangeError::Invalid(format!("{name} {millis}: give 0 to {MAX_MS} milliseconds"))),
    }
}

//! The controls of a responder instance: its delay and its faults can be changed while it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::FaultInjector;
use crate::runtime::InstanceStatus;
use crate::wire::{Delay, DelayError, Faults};

/// Maximum stall or extra latency, in milliseconds: ten minutes.
const MAX_MS: u64 = 600_000;

/// Handles that change one responder instance.
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
    #[error("there is no worker {0}")]
    NoWorker(usize),
}

impl ResponderControls {
    /// Makes a worker stall for `time_ms` milliseconds on its next message.
    ///
    /// # Errors
    /// There is no such worker, or the time is above ten minutes.
    pub fn stall(&self, index: usize, time_ms: u64) -> Result<(), ChangeError> {
        if !self.status.snapshot().workers.iter().any(|worker| worker.index == index) {
            return Err(ChangeError::NoWorker(index));
        }
        self.faults.stall(index, Duration::from_millis(within("ms", time_ms)?));
        self.status.publish();
        Ok(())
    }

    /// Sets the delay from the next message on. Without a cap, the previous cap applies, or the new mean if that is longer.
    ///
    /// # Errors
    /// A value is out of range.
    pub fn set_delay(&self, delay: Delay) -> Result<(), ChangeError> {
        let cap = delay.cap.unwrap_or_else(|| self.delay.borrow().cap().max(delay.mean));
        let delay = Delay { cap: Some(cap), ..delay.checked()? };
        self.delay.send_replace(delay);
        self.status.set_delay(delay);
        self.status.publish();
        Ok(())
    }

    /// Sets the faults of all workers.
    ///
    /// # Errors
    /// The error rate is not from 0 to 1, or the extra latency is above ten minutes.
    pub fn set_faults(&self, faults: Faults) -> Result<(), ChangeError> {
        if !(0.0..=1.0).contains(&faults.error_rate) {
            return Err(ChangeError::Invalid(format!("errorRate {}: give 0 to 1", faults.error_rate)));
        }
        within("extraLatencyMs", faults.extra_latency_ms)?;
        self.faults.set(faults);
        self.status.publish();
        Ok(())
    }

    /// Removes all faults, stalls included.
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

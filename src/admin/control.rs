//! What the admin server can change about an instance while it runs.

use std::sync::Arc;

use actix::Addr;
use tokio::sync::watch;

use crate::responder::{ChangeError, ResponderControls};
use crate::runtime::InstanceStatus;
use crate::runtime::supervision::{CrashWorker, Resize, Supervisor};
use crate::wire::{Delay, Dispatch, Faults};

/// The handles of one instance; those it does not have are none.
#[derive(Clone)]
pub struct Control {
    pub status: Arc<InstanceStatus>,
    pub workers: Option<Workers>,
    pub responder: Option<ResponderControls>,
    pub dispatch: Option<watch::Sender<Dispatch>>,
}

/// A pool whose size can be changed.
#[derive(Clone)]
pub struct Workers {
    pub pool: Addr<Supervisor>,
    /// The most it may have.
    pub max: usize,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{0} has no {1} to change")]
    NotHere(String, &'static str),
    #[error("{0} is shutting down")]
    Draining(String),
    #[error("{0} workers: 0 to {1} are possible here")]
    TooMany(usize, usize),
    #[error("no worker {0} is at work")]
    NoWorker(usize),
    #[error(transparent)]
    Responder(#[from] ChangeError),
}

impl Control {
    /// Grows or shrinks the pool.
    pub async fn resize(&self, size: usize) -> Result<(), ControlError> {
        let workers = self.workers.as_ref().ok_or_else(|| self.not_here("workers"))?;
        if size > workers.max {
            return Err(ControlError::TooMany(size, workers.max));
        }
        match workers.pool.send(Resize(size)).await {
            Ok(true) => {
                self.status.publish();
                Ok(())
            }
            Ok(false) => Err(ControlError::Draining(self.status.instance.id.clone())),
            Err(_) => Err(self.not_here("supervisor")),
        }
    }

    /// Makes a worker panic.
    pub async fn crash(&self, index: usize) -> Result<(), ControlError> {
        let workers = self.workers.as_ref().ok_or_else(|| self.not_here("workers"))?;
        match workers.pool.send(CrashWorker(index)).await {
            Ok(true) => Ok(()),
            _ => Err(ControlError::NoWorker(index)),
        }
    }

    /// Makes a worker stall on its next message.
    pub fn stall(&self, index: usize, time_ms: u64) -> Result<(), ControlError> {
        Ok(self.responder("tasks")?.stall(index, time_ms)?)
    }

    pub fn set_delay(&self, delay: Delay) -> Result<(), ControlError> {
        Ok(self.responder("delay")?.set_delay(delay)?)
    }

    pub fn set_faults(&self, faults: Faults) -> Result<(), ControlError> {
        Ok(self.responder("tasks")?.set_faults(faults)?)
    }

    /// Back to normal, stalls included; of an instance without tasks there is nothing to undo.
    pub fn clear_faults(&self) {
        if let Some(responder) = &self.responder {
            responder.clear_faults();
        }
    }

    pub fn set_dispatch(&self, dispatch: Dispatch) -> Result<(), ControlError> {
        let current = self.dispatch.as_ref().ok_or_else(|| self.not_here("dispatch"))?;
        current.send_replace(dispatch);
        self.status.set_dispatch(dispatch);
        self.status.publish();
        Ok(())
    }

    fn responder(&self, what: &'static str) -> Result<&ResponderControls, ControlError> {
        self.responder.as_ref().ok_or_else(|| self.not_here(what))
    }

    fn not_here(&self, what: &'static str) -> ControlError {
        ControlError::NotHere(self.status.instance.id.clone(), what)
    }
}

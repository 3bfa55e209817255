//! The controls of an instance: changes that the admin server makes at runtime.

use std::sync::Arc;

use actix::Addr;
use tokio::sync::watch;

use crate::responder::{ChangeError, ResponderControls};
use crate::runtime::InstanceStatus;
use crate::runtime::supervision::{CrashWorker, Resize, Supervisor};
use crate::wire::{Delay, Dispatch, Faults};

/// The control handles of one instance; `None` for controls that its tier does not have.
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
    /// Maximum number of workers.
    pub max: usize,
}

/// Why a control call failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the {1} of instance {0} can't be changed")]
    Unsupported(String, &'static str),
    #[error("{0} is shutting down")]
    Draining(String),
    #[error("{0} workers are out of range: give 0 to {1}")]
    TooMany(usize, usize),
    #[error("worker {0} is not running: it does not exist, or is being restarted")]
    NoWorker(usize),
    #[error(transparent)]
    Responder(#[from] ChangeError),
}

impl Control {
    /// Grows or shrinks the pool.
    pub async fn resize(&self, size: usize) -> Result<(), ControlError> {
        let workers = self.workers.as_ref().ok_or_else(|| self.unsupported("workers"))?;
        if size > workers.max {
            return Err(ControlError::TooMany(size, workers.max));
        }
        match workers.pool.send(Resize(size)).await {
            Ok(true) => {
                self.status.publish();
                Ok(())
            }
            Ok(false) => Err(ControlError::Draining(self.status.instance.id.clone())),
            Err(_) => Err(self.unsupported("supervisor")),
        }
    }

    /// Makes a worker panic.
    pub async fn crash(&self, index: usize) -> Result<(), ControlError> {
        let workers = self.workers.as_ref().ok_or_else(|| self.unsupported("workers"))?;
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

    /// Clears the faults and stalls; does nothing for an instance without tasks.
    pub fn clear_faults(&self) {
        if let Some(responder) = &self.responder {
            responder.clear_faults();
        }
    }

    pub fn set_dispatch(&self, dispatch: Dispatch) -> Result<(), ControlError> {
        let current = self.dispatch.as_ref().ok_or_else(|| self.unsupported("dispatch"))?;
        current.send_replace(dispatch);
        self.status.set_dispatch(dispatch);
        self.status.publish();
        Ok(())
    }

    fn responder(&self, what: &'static str) -> Result<&ResponderControls, ControlError> {
        self.responder.as_ref().ok_or_else(|| self.unsupported(what))
    }

    fn unsupported(&self, what: &'static str) -> ControlError {
        ControlError::Unsupported(self.status.instance.id.clone(), what)
    }
}

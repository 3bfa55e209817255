//! What can be changed about an instance while it runs.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{Board, CrashWorker, Resize, Supervisor};
use crate::model::{DelayShape, DelayView, Faults, whole};
use crate::process::Dispatch;
use crate::tasks::{Delay, DelayError, FaultInjector};

/// The longest wait that a control call may ask for: ten minutes.
const LONGEST_MS: u64 = 600_000;

/// Delays beyond this are cut: those of `exponential` and `log-normal` have no bound of their own.
const CAP: Duration = Duration::from_secs(60);

/// The handles of one instance; those it does not have are none.
#[derive(Clone)]
pub struct Control {
    pub board: Arc<Board>,
    pub workers: Option<Workers>,
    pub work: Option<Work>,
    pub dispatch: Option<watch::Sender<Dispatch>>,
}

/// A pool whose size can be changed.
#[derive(Clone)]
pub struct Workers {
    pub pool: Addr<Supervisor>,
    /// The most it may have.
    pub most: usize,
}

/// What responder workers do.
#[derive(Clone)]
pub struct Work {
    pub delay: watch::Sender<Delay>,
    pub faults: Arc<FaultInjector>,
}

/// How many workers a pool shall have.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSize {
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 10_000)]
    pub workers: usize,
}

/// How the broker shall deal out: `round-robin` or `least-busy`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DispatchChoice {
    pub dispatch: Dispatch,
}

/// How long a worker shall stall.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stall {
    /// Milliseconds, up to ten minutes.
    #[serde(deserialize_with = "whole")]
    #[schema(maximum = 600_000)]
    pub ms: u64,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{0} has no {1} to change")]
    NotHere(String, &'static str),
    #[error("{0} is shutting down")]
    Draining(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0} workers: 0 to {1} are possible here")]
    TooMany(usize, usize),
    #[error(transparent)]
    Delay(#[from] DelayError),
    #[error("no worker {0} is at work")]
    NoWorker(usize),
}

impl Control {
    /// An instance of which nothing can be changed.
    pub fn none(board: Arc<Board>) -> Self {
        Self { board, workers: None, work: None, dispatch: None }
    }

    /// Grows or shrinks the pool.
    pub async fn resize(&self, size: usize) -> Result<(), ControlError> {
        let workers = self.workers.as_ref().ok_or_else(|| self.not_here("workers"))?;
        if size > workers.most {
            return Err(ControlError::TooMany(size, workers.most));
        }
        match workers.pool.send(Resize(size)).await {
            Ok(true) => {
                self.board.tell();
                Ok(())
            }
            Ok(false) => Err(ControlError::Draining(self.board.instance.id.clone())),
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
        let work = self.work.as_ref().ok_or_else(|| self.not_here("tasks"))?;
        if !self.board.snapshot().workers.iter().any(|worker| worker.index == index) {
            return Err(ControlError::NoWorker(index));
        }
        work.faults.stall(index, Duration::from_millis(within("ms", time_ms)?));
        self.board.tell();
        Ok(())
    }

    pub fn set_delay(&self, view: DelayView) -> Result<(), ControlError> {
        let work = self.work.as_ref().ok_or_else(|| self.not_here("delay"))?;
        work.delay.send_replace(delay_of(&view)?);
        self.board.set_delay(view);
        self.board.tell();
        Ok(())
    }

    pub fn set_faults(&self, faults: Faults) -> Result<(), ControlError> {
        let work = self.work.as_ref().ok_or_else(|| self.not_here("tasks"))?;
        if !(0.0..=1.0).contains(&faults.error_rate) {
            return Err(ControlError::Invalid(format!("errorRate {}: give 0 to 1", faults.error_rate)));
        }
        within("extraLatencyMs", faults.extra_latency_ms)?;
        work.faults.set(faults);
        self.board.tell();
        Ok(())
    }

    /// Back to normal, stalls included; of an instance without tasks there is nothing to undo.
    pub fn clear_faults(&self) {
        let Some(work) = &self.work else { return };
        work.faults.clear();
        self.board.tell();
    }

    pub fn set_dispatch(&self, dispatch: Dispatch) -> Result<(), ControlError> {
        let current = self.dispatch.as_ref().ok_or_else(|| self.not_here("dispatch"))?;
        current.send_replace(dispatch);
        self.board.set_dispatch(dispatch);
        self.board.tell();
        Ok(())
    }

    fn not_here(&self, what: &'static str) -> ControlError {
        ControlError::NotHere(self.board.instance.id.clone(), what)
    }
}

fn within(name: &str, millis: u64) -> Result<u64, ControlError> {
    match millis <= LONGEST_MS {
        true => Ok(millis),
        false => Err(ControlError::Invalid(format!("{name} {millis}: give 0 to {LONGEST_MS} milliseconds"))),
    }
}

/// The delay that a view describes.
pub fn delay_of(view: &DelayView) -> Result<Delay, ControlError> {
    let time = |name: &str, millis: u64| within(name, millis).map(Duration::from_millis);
    let (min, max, mean) = (time("minMs", view.min_ms)?, time("maxMs", view.max_ms)?, time("meanMs", view.mean_ms)?);
    Ok(match view.kind {
        DelayShape::None => Delay::none(),
        DelayShape::Fixed => Delay::fixed(mean),
        DelayShape::Uniform => Delay::uniform(min, max)?,
        DelayShape::Exponential => Delay::exponential(mean, CAP.max(mean)),
        DelayShape::LogNormal => Delay::log_normal(mean, view.sigma, CAP.max(mean))?,
    })
}

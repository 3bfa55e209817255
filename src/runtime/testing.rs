//! Helpers for tests.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use slog::{Discard, Logger, o};
use tokio::sync::{mpsc, watch};

use super::InstanceStatus;
use super::supervision::{ArbiterPool, PoolSpec, RestartPolicy, Spawn, Supervisor};
use crate::runtime::telemetry::EventSink;
use crate::wire::{Tier, snapshot};

/// A status whose events are dropped.
pub fn status() -> Arc<InstanceStatus> {
    Arc::new(InstanceStatus::new(snapshot("requester-1", Tier::Requester).instance, EventSink::new(0).0, false, false))
}

/// Starts again at once, and does not give up soon.
pub fn policy() -> RestartPolicy {
    let millisecond = Duration::from_millis(1);
    RestartPolicy { restarts: 10, period: Duration::from_secs(1), backoff_min: millisecond, backoff_max: millisecond }
}

/// A supervisor of so many workers, on an arbiter of its own.
pub fn supervise(spawn: Spawn, size: usize) -> Addr<Supervisor> {
    Supervisor::launch(PoolSpec {
        name: "test",
        arbiters: Arc::new(ArbiterPool::start(1, 1).unwrap()),
        policy: policy(),
        spawn,
        status: status(),
        size: watch::Sender::new(size),
        fatal: mpsc::unbounded_channel().0,
        log: Logger::root(Discard, o!()),
    })
}

//! Helpers for tests.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use slog::{Discard, Logger, o};
use tokio::sync::{mpsc, watch};

use super::InstanceStatus;
use super::supervision::{ArbiterPool, Component, Factory, PoolSpec, RestartPolicy, Spawn, Supervisor};
use crate::runtime::telemetry::EventSink;
use crate::wire::{Tier, snapshot};

/// A status whose events are dropped.
pub fn status() -> Arc<InstanceStatus> {
    Arc::new(InstanceStatus::new(snapshot("requester-1", Tier::Requester).instance, EventSink::new(0).0, false, false))
}

/// Restarts workers after a millisecond, up to 10 times per second.
pub fn policy() -> RestartPolicy {
    let millisecond = Duration::from_millis(1);
    RestartPolicy { restarts: 10, period: Duration::from_secs(1), backoff_min: millisecond, backoff_max: millisecond }
}

/// A pool of `size` workers on its own arbiter, whose end by too many deaths is not reported.
pub fn pool(spawn: Spawn, size: usize) -> PoolSpec {
    PoolSpec {
        name: "test",
        arbiters: Arc::new(ArbiterPool::start(1, 1).unwrap()),
        policy: policy(),
        spawn,
        status: status(),
        size: watch::Sender::new(size),
        fatal: mpsc::unbounded_channel().0,
        log: Logger::root(Discard, o!()),
    }
}

/// Such a pool without workers, for children.
pub fn no_workers() -> PoolSpec {
    let none: Factory = Arc::new(|_| Box::pin(async { Ok(()) }));
    pool(Component::spawn_from(none), 0)
}

/// A supervisor of such a pool.
pub fn supervise(spawn: Spawn, size: usize) -> Addr<Supervisor> {
    Supervisor::launch(pool(spawn, size))
}

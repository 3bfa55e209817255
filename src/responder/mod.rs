//! The responder tier: its workers do a task for each message. Begin with `tier.rs`, then `worker.rs` and `answering.rs`;
//! `broker_connections.rs` has a worker's sockets, `worker_state.rs` the state that outlives a worker.

mod answering;
mod broker_connections;
mod controls;
mod delay;
mod faults;
pub mod tasks;
#[cfg(test)]
mod testing;
mod tier;
mod worker;
mod worker_state;

use answering::{Answer, Job, returned};
use broker_connections::{BrokerConnections, FromBroker};
pub use controls::{ChangeError, ResponderControls};
pub use delay::{DelaySource, wait};
pub use faults::FaultInjector;
pub use tier::ResponderTier;
pub use worker::{ResponderContext, ResponderWorker};
pub use worker_state::{Backend, LocalBroker, ResponderStates};
use worker_state::{BrokerAddress, ResponderState, TaskState};

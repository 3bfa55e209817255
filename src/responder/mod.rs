//! The responder workers: each does a task for each message. Begin with `tier.rs`, then `worker.rs`;
//! `broker_connections.rs` has a worker's sockets.

mod broker_connections;
mod controls;
mod delay;
mod faults;
pub mod tasks;
mod tier;
mod worker;
mod worker_state;

use broker_connections::{BrokerConnections, FromBroker};
pub use controls::{ChangeError, ResponderControls};
pub use delay::{DelaySource, wait};
pub use faults::FaultInjector;
pub use tier::ResponderTier;
pub use worker::{ResponderContext, run_responder};
pub use worker_state::{Backend, LocalBroker, ResponderStates};
use worker_state::{BrokerAddress, ResponderState, TaskState};

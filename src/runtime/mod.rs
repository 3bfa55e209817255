//! Infrastructure shared by the tiers: supervised actors, ZeroMQ sockets, telemetry, discovery, HTTP, logs. Begin with
//! `process.rs`.

mod alarm;
mod discovery;
mod host_clock;
pub mod http;
mod identity;
mod log_limit;
pub mod logging;
mod memory;
mod process;
mod random;
mod status;
pub mod supervision;
pub mod tcp;
pub mod telemetry;
#[cfg(test)]
pub mod testing;
mod tie_breaker;
mod usage;
pub mod zeromq;

pub use alarm::Alarm;
use discovery::{LookUps, run_discovery};
pub use host_clock::{deadline_of, delivery_frame};
pub use identity::first_responder_id;
pub use log_limit::LogLimit;
pub use memory::{Memory, Room, pieces};
pub use process::{Process, bind_telemetry, bind_zmq, bound, listen};
pub use random::Purpose;
pub use status::{InstanceStatus, WorkerStatus};
#[cfg(test)]
pub use testing::status;
pub use tie_breaker::TieBreaker;
use usage::usage;

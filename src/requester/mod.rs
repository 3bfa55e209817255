//! The requester tier: the socket master receives requests over TCP, requester workers send their messages to brokers. Begin
//! with `tier.rs`, then `socket_master.rs`, `coordinator.rs` and `worker.rs`.

mod broker_connections;
mod connection;
mod coordinator;
mod delivery;
mod in_flight;
#[cfg(test)]
mod life_of_a_message;
mod memory;
mod open_connections;
mod pending_message;
mod socket_master;
mod tier;
mod worker;
mod worker_queue;
mod worker_queues;

use broker_connections::Brokers;
pub use broker_connections::RequesterSocket;
use connection::{Connection, ConnectionContext, too_many_connections};
pub use coordinator::RequestCoordinator;
use coordinator::Sink;
pub use in_flight::RetryPolicy;
use in_flight::{InFlight, InFlightWindow};
pub use memory::Memory;
use memory::{Attached, Line, ReplayLog, Reservation};
use open_connections::{ConnectionPermit, OpenConnection, OpenConnections};
use pending_message::Completed;
pub use pending_message::{PendingMessage, ReplyTo};
use socket_master::{MasterContext, SocketMaster};
pub use tier::{MAX_WORKERS, RequesterTier};
use worker::Assigned;
pub use worker::{RequesterContext, RequesterWorker};
use worker_queue::{Refusal, WorkerQueue};
pub use worker_queues::WorkerQueues;

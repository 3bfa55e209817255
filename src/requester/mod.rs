//! The requester tier: a socket master takes requests by TCP, requester workers send their messages to brokers. Begin
//! with `tier.rs`, then `socket_master.rs`, `coordinator.rs` and `worker.rs`.

mod broker_connections;
mod connection_slots;
mod coordinator;
mod in_flight;
mod memory;
mod pending_message;
mod socket_master;
mod tier;
mod worker;
mod worker_queues;

pub use broker_connections::RequesterSocket;
use broker_connections::{Brokers, News};
use connection_slots::{Guest, Guests};
pub use coordinator::Calls;
use coordinator::Sink;
pub use in_flight::RetryPolicy;
use in_flight::{Hand, Held};
pub use memory::Memory;
use memory::{Attached, Hold, Line, Stream};
use pending_message::{Lane, Refusal, Settled};
pub use pending_message::{ReplyTo, Ticket};
use socket_master::{MasterContext, run_socket_master};
pub use tier::{MAX_WORKERS, RequesterTier};
pub use worker::{RequesterContext, run_requester};
pub use worker_queues::Lanes;

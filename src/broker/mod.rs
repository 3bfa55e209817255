//! The broker: ROUTER for requesters, DEALER for responder workers. Begin with `tier.rs`, then `broker.rs`.

mod broker;
mod dispatch;
mod envelope;
mod in_flight;
mod outboxes;
mod tier;

pub use broker::{BrokerState, run_broker};
pub use dispatch::{Dispatcher, LeastBusyConfig, MAX_LEAST_BUSY, worker_endpoint};
use envelope::Envelope;
pub use in_flight::{Delivery, Ended, GivenUp, InFlightTable};
use outboxes::Dropped;
pub use outboxes::Outboxes;
pub use tier::{BrokerTier, INPROC};

//! The broker: ROUTER for requesters, DEALER or a second ROUTER for responder workers. Begin with `tier.rs`, then
//! `broker.rs` and `passing.rs`; `dispatch/` decides which worker gets a message.

mod broker;
mod dispatch;
mod envelope;
mod in_flight;
mod outboxes;
mod passing;
mod tier;

pub use broker::{Broker, BrokerState};
pub use dispatch::{Dispatcher, Heartbeat, LeastBusy, RoundRobin};
use envelope::{Envelope, has_envelope_of};
pub use in_flight::{Delivery, Ended, InFlightTable, Removed};
use outboxes::Dropped;
pub use outboxes::Outboxes;
pub use tier::{BrokerTier, inproc_endpoint};

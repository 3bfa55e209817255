//! Chooses the responder worker for each message. Begin with `dispatcher.rs`, which has the waiting messages and the two
//! strategies, `round_robin.rs` and `least_busy.rs`; `ready_queue.rs` is the state of the latter, without sockets.

mod dispatcher;
mod least_busy;
mod ready_queue;
#[cfg(test)]
mod ready_queue_property;
mod round_robin;

pub use dispatcher::{Dispatcher, Heartbeat};
pub use least_busy::LeastBusy;
use ready_queue::ReadyQueue;
pub use round_robin::RoundRobin;

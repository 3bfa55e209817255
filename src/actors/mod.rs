//! Floor 4: the components as actors. An actor is the lifecycle; the work is a plain async function.

mod arbiters;
mod board;
mod broker;
mod brokers;
mod calls;
mod component;
mod control;
mod desks;
mod dispatch;
mod envelope;
mod guests;
mod hand;
mod lanes;
mod memory;
mod monitor;
mod outboxes;
mod requester;
mod responder;
mod socket_master;
mod supervisor;
#[cfg(test)]
mod testing;
mod ticket;

pub use arbiters::ArbiterPool;
pub use board::{Board, WorkerCell};
pub use broker::{BrokerDesk, run_broker};
pub use brokers::{Brokers, News, RequesterSocket};
pub use calls::Calls;
use calls::Sink;
pub use component::{Component, Crash, Exit, Exited, Factory, Seat, Work, WorkError, next_change, panic_message};
pub use control::{Control, ControlError, DispatchChoice, PoolSize, Stall, Work as ResponderWork, Workers, delay_of};
pub use desks::{Backend, Desks, ResponderDesk};
pub use dispatch::{Backends, Parts, worker_endpoint};
pub use envelope::{BrokerStamp, Envelope, OnItsWay, RETURNED};
use guests::{Guest, Guests};
pub use hand::{Hand, Held, RetryPolicy};
pub use lanes::Lanes;
pub use memory::Memory;
use memory::{Attached, Hold, Line, Stream};
pub use monitor::{Monitor, Teller, run_monitor};
pub use outboxes::{Dropped, Outboxes};
pub use requester::{RequesterContext, run_requester};
pub use responder::{ResponderContext, run_responder};
pub use socket_master::{MasterContext, run_socket_master};
pub use supervisor::{CrashWorker, Drain, Fatal, PoolSpec, Resize, RestartPolicy, Supervisor};
#[cfg(test)]
pub use testing::board;
pub use ticket::{Lane, Refusal, ReplyTo, Settled, Ticket};

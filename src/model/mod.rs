//! Floor 0: what the tiers say to one another and what they remember, without sockets, clocks' tasks or actors.

mod event;
mod frame;
mod ledger;
mod message;
mod snapshot;
mod stats;
mod topology;

pub use event::{Event, LinkState, OutcomeCounts, RequestStatus};
pub use frame::{Accepted, BadFrame, Complete, Frame, Problem, Promise};
pub use ledger::{Ledger, LedgerBook};
pub use message::{
    BadMessage, ErrorCode, FanOut, Message, NO_RESPONDER, Outcome, Reply, Request, ResponseType, Timings, now_ms,
};
pub use snapshot::{Instance, InstanceState, PeerView, Snapshot, Tier, WorkerState, WorkerView};
pub use stats::{Hop, HopBook, Hops, Latency};
pub use topology::{InstanceView, LinkView, Topology};

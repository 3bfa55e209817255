//! Floor 0: what the tiers say to one another and what they remember, without sockets, clocks' tasks or actors.

mod event;
mod frame;
mod ledger;
mod message;
mod oracle;
mod reply;
mod request_view;
mod snapshot;
mod stats;
mod topology;
mod work;

pub use event::{Event, LinkState, OutcomeCounts, RequestStatus, Sample};
pub use frame::{Accepted, BadFrame, Complete, Frame, Problem, Promise};
pub use ledger::{Ledger, LedgerBook};
use message::parse;
pub use message::{BadMessage, FanOut, Message, Request, now_ms};
pub use oracle::{Expected, expect};
pub use reply::{ErrorCode, NO_RESPONDER, Outcome, Reply, ResponseType, Timings};
pub use request_view::{MessageView, RequestLog, RequestView};
pub use snapshot::{Instance, InstanceState, PeerView, Snapshot, Tier, Usage, WorkerState, WorkerView};
pub use stats::{Hop, HopBook, Hops, Latency};
pub use topology::{InstanceView, LinkView, Topology};
pub use work::{DelayShape, DelayView, Faults};

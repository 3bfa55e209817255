//! The data of each hop: requests, messages, replies, frames, events, snapshots and counters. No sockets, no
//! actors. Begin with `request.rs`, `message.rs` and `reply.rs`.

mod broker_frames;
mod control;
mod delay;
mod event;
mod experiment;
mod figures;
mod footprint;
mod frame;
mod latency;
mod ledger;
mod message;
mod object;
mod reply;
mod request;
mod request_fold;
mod request_log;
mod request_view;
mod snapshot;
#[cfg(test)]
mod testing;
mod topology;
mod whole;
mod work;

pub use broker_frames::{BrokerStamp, DeliveryFrame, EXPIRED, LEAVE, READY, RETURNED_MESSAGE};
pub use control::{DispatchChoice, PoolSize, Stall};
pub use delay::{Delay, DelayError, DelayShape};
pub use event::{Event, LinkState, OutcomeCounts, RequestStatus, Sample};
pub use experiment::{ExperimentState, ExperimentView, TrialView};
pub use figures::{Bottleneck, Figures, LostWith, NodeFigures, TierFigures};
pub use footprint::Footprint;
pub use frame::{Accepted, Complete, Frame, MessageRef, Problem, reply_line, set_line};
pub use latency::{Hop, HopCounters, Hops, Latency};
pub use ledger::{Ledger, LedgerCounters};
pub use message::Message;
use object::{BadMessage, foreign, parse};
pub use object::{cut_text, now_ms};
pub use reply::{ErrorCode, NO_RESPONDER, Outcome, Reply, ResponseType, Timings};
use request::MAX_ID;
pub use request::{FanOut, MAX_TIMEOUT_MS, Request};
pub use request_fold::RequestFold;
pub use request_log::{RequestLog, SHOWN_BODY};
use request_view::MessageView;
pub use request_view::RequestView;
pub use snapshot::{Instance, InstanceState, PeerView, Snapshot, Tier, Usage, WorkerState, WorkerView};
#[cfg(test)]
pub use testing::snapshot;
pub use topology::{InstanceView, LinkView, Topology};
use whole::whole;
pub use whole::whole_or_none;
pub use work::{Dispatch, Faults, TaskName};

//! Floor 0: what the tiers say to one another and what they remember, without sockets, clocks' tasks or actors.

mod estimate;
mod event;
mod expectation;
mod experiment;
mod footprint;
mod formulas;
mod frame;
mod independent;
mod ledger;
mod message;
mod oracle;
pub mod queueing;
mod reply;
mod request_fold;
mod request_log;
mod request_view;
mod rotation;
mod scenario;
mod simulated_lanes;
mod simulation;
mod snapshot;
mod stats;
mod tally;
#[cfg(test)]
mod testing;
mod topology;
mod whole;
mod work;

pub use estimate::{Estimate, Knee, Limit, LoadPoint, SUSTAINED, TOLERATED, knee, median, relative_difference};
pub use event::{Event, LinkState, OutcomeCounts, RequestStatus, Sample};
pub use expectation::{Expectation, LatencySummary, expect_load};
pub use experiment::{ExperimentState, ExperimentView, TrialView};
pub use footprint::Footprint;
use formulas::formulas;
pub use formulas::{Formula, Measure};
pub use frame::{Accepted, BadFrame, Complete, Frame, Problem, Promise, reply_line, set_line};
pub use ledger::{Ledger, LedgerBook};
pub use message::{BadMessage, FanOut, LONGEST_TIMEOUT_MS, Message, Request, now_ms};
use message::{foreign, parse};
pub use oracle::{Expected, expect};
pub use reply::{ErrorCode, NO_RESPONDER, Outcome, Reply, ResponseType, Timings};
pub use request_fold::RequestFold;
pub use request_log::{RequestLog, SHOWN_BODY};
pub use request_view::{MessageView, RequestView};
pub use rotation::Rotation;
pub use scenario::{Arrivals, MOST_MESSAGES, MOST_WORKERS, Scenario, ScenarioError};
use simulated_lanes::SimulatedLanes;
pub use simulation::simulate;
pub use snapshot::{Instance, InstanceState, PeerView, Snapshot, Tier, Usage, WorkerState, WorkerView};
pub use stats::{Hop, HopBook, Hops, Latency};
pub use tally::Simulated;
use tally::{Call, Totals, summary};
#[cfg(test)]
pub use testing::snapshot;
#[cfg(test)]
use testing::{expect_kind, poisson, scenario};
pub use topology::{InstanceView, LinkView, Topology};
pub use whole::{whole, whole_or_none};
pub use work::{DelayShape, DelayView, Faults, TaskName};

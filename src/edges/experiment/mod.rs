//! Experiments: a plan's trials against a deployment under load, measured and held against what queueing theory expects.

mod load;
mod plan;
mod plan_file;
mod results;
mod setup;

pub use load::Load;
pub use plan::{Cell, MOST_TRIALS, Order, Plan, Target, Trial};
pub use plan_file::{PlanError, PlanFlags, READY_MADE, ready_made};
pub use results::{
    Environment, Generator, LedgerVerdict, Percentile, RequestCounts, Results, SCHEMA, Shares, TierUsage, TrialResult,
};
pub use setup::{Factor, Setup};

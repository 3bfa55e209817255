//! Experiments: a plan's trials against a deployment under load, measured and held against what queueing theory expects.

mod arrivals;
mod deployment;
mod environment;
pub mod generator;
mod load;
mod measure;
mod plan;
mod plan_file;
mod processes;
mod results;
mod run;
mod running;
mod setup;
mod store;
mod swarm;
mod tally;
mod target;

use arrivals::Arrivals;
pub use deployment::Deployment;
pub use environment::environment;
pub use load::Load;
pub use plan::{Cell, MOST_TRIALS, Order, Plan, Target, Trial};
pub use plan_file::{PlanError, PlanFlags, READY_MADE, load as load_plan, ready_made};
pub use processes::Processes;
pub use results::{
    Environment, Generator, LedgerVerdict, Percentile, RequestCounts, Results, SCHEMA, Shares, TierUsage, TrialResult,
};
pub use run::{Ending, Watcher, run};
pub use running::Running;
pub use setup::{Factor, Setup};
pub use store::{RESULTS, Store, read as read_results};
pub use swarm::Swarm;
pub use tally::{Answer, Tally, Times};
pub use target::{Laboratory, check, load_settings, settings_of};

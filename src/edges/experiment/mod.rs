//! Experiments: a plan's trials against a deployment under load, measured and held against what queueing theory expects.

mod arrivals;
mod cells;
mod compare;
mod contrast;
mod deployment;
mod environment;
mod expectation;
mod exports;
mod findings;
mod generator;
mod given;
mod load;
mod measure;
mod metric;
mod plan;
mod plan_file;
mod processes;
mod report;
mod results;
mod rule;
mod run;
mod running;
mod setup;
mod store;
mod summary;
mod swarm;
mod table;
mod tally;
mod target;
#[cfg(test)]
mod testing;

use arrivals::Arrivals;
use cells::{Combined, OneEach, Tables, combine};
pub use compare::{ComparedCell, Comparison, Side, compare};
pub use contrast::{Contrast, KneeFinding, differs};
use contrast::{contrasts, knees};
pub use deployment::{Deployment, Refused};
use deployment::{TIERS, body, ledger_since};
pub use environment::environment;
use environment::nodes;
pub use expectation::{Expectations, Expected, Range};
pub use exports::write_exports;
use findings::findings;
pub use findings::label;
pub use generator::{LoadTask, Made, Progress, start_load};
use given::{Given, Places};
pub use load::Load;
use measure::measure;
use metric::short;
pub use metric::{Metric, Unit};
pub use plan::{Cell, MOST_TRIALS, Order, Plan, Target, Trial};
use plan_file::plain;
#[cfg(test)]
use plan_file::read as read_plan;
pub use plan_file::{PlanError, PlanFlags, READY_MADE, load as load_plan, ready_made};
pub use processes::Processes;
pub use report::{HAS_PAGES, Report, compare_page, report_page};
pub use results::{
    Environment, Generator, LedgerVerdict, Percentile, RequestCounts, Results, SCHEMA, Shares, TierUsage, TrialResult,
};
pub use rule::Rule;
pub use run::{Ending, Watcher, run};
pub use running::Running;
use setup::MOST_PAYLOAD;
pub use setup::{Factor, Setup};
use store::replace;
pub use store::{REPORT, RESULTS, Store, read as read_results};
pub use summary::{CONFIDENCE, CellSummary, Figure, Finding, Summary, UsageSummary};
pub use swarm::Swarm;
pub use table::{compare_table, table};
pub use tally::{Answer, Tally, Times};
use target::STARTING;
pub use target::{Laboratory, check, load_settings, settings_of};
#[cfg(test)]
use testing::{good_trial, plan_of, results_of};

//! Experiments: a plan's trials against a deployment under load, measured and held against what queueing theory expects.

mod compare;
mod contrast;
mod expectation;
mod exports;
mod findings;
mod load;
mod metric;
mod plan;
mod plan_file;
mod report;
mod results;
mod rule;
mod setup;
mod summary;
mod table;
#[cfg(test)]
mod testing;

pub use compare::{ComparedCell, Comparison, Side, compare};
pub use contrast::{Contrast, KneeFinding, differs};
use contrast::{contrasts, knees};
pub use expectation::{Expectations, Expected, Range};
pub use exports::write_exports;
use findings::findings;
pub use findings::label;
pub use load::Load;
use metric::short;
pub use metric::{Metric, Unit};
pub use plan::{Cell, MOST_TRIALS, Order, Plan, Target, Trial};
pub use plan_file::{PlanError, PlanFlags, READY_MADE, ready_made};
pub use report::{HAS_PAGES, Report, compare_page, report_page};
pub use results::{
    Environment, Generator, LedgerVerdict, Percentile, RequestCounts, Results, SCHEMA, Shares, TierUsage, TrialResult,
};
pub use rule::Rule;
pub use setup::{Factor, Setup};
pub use summary::{CONFIDENCE, CellSummary, Figure, Finding, Summary, UsageSummary};
pub use table::{compare_table, table};

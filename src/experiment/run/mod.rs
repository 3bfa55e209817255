//! Running a plan: trial after trial, measured and stored. Begin with `run.rs`.

mod environment;
mod folder;
mod machine;
mod measure;
mod results;
mod run;
mod steadiness;
mod store;

pub use environment::environment;
use environment::nodes;
pub use folder::{REPORT, REPORT_DATA, RESULTS, TABLE, TRIALS, run_folder};
use machine::Counters;
pub use machine::Machine;
use measure::measure;
pub use results::{
    Environment, Generator, LedgerVerdict, Percentile, RequestCounts, Results, Resumed, SCHEMA, Shares, TierUsage,
    TrialResult,
};
pub use run::run;
pub use run::{Ending, Watcher};
pub use steadiness::{Steadiness, is_unsteady};
pub use store::{Store, read_results, replace};

//! Experiments that are started on the page. Begin with `running.rs`.

pub mod api;
mod child;
mod files;
mod program;
mod running;
mod runs;

use child::{Experiment, GRACE, MAX_LINE, Progress, tail};
use files::{FILES, Mark, PLAN, RESULTS, RunView, mark, read_run};
use program::CheckedPlan;
pub use program::Program;
#[cfg(test)]
use program::stand_in;
pub use running::Experiments;
use running::{TARGETS, Wanted};
pub use runs::Runs;

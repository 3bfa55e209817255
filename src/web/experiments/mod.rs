//! Experiments that are started on the page. Begin with `running.rs`.

pub mod api;
mod checks;
mod child;
mod files;
mod following;
mod ownership;
mod program;
mod running;
mod runs;

use checks::{CHECKS, PlanProblem, SubmittedPlan};
use child::{Experiment, GRACE, Progress};
use files::{FILES, Mark, PLAN, RunView, mark, read_run};
use following::Following;
pub use ownership::{RunKey, lock};
pub use program::Program;
#[cfg(test)]
use program::stand_in;
pub use running::Experiments;
pub use runs::Runs;

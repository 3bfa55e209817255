//! Experiments: a plan's trials against a deployment under load, measured and compared with what queueing theory expects.
//! Begin with `plan/plan.rs`, then `run/run.rs`.

pub mod analysis;
pub mod expected;
pub mod load;
pub mod plan;
pub mod report;
pub mod run;
pub mod simulation;
pub mod statistics;
pub mod target;
#[cfg(test)]
mod testing;

#[cfg(test)]
pub use testing::{good_trial, plan_of, results_of};

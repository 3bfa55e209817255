//! What reports of experiments claim, held against what is known: exact values of queueing theory, and simulations and runs
//! whose truth is given.

mod aa;
mod coverage;
mod exact;
mod reading;
mod recomputed;
mod sentences;
mod steady;

use swarmq::experiment::plan::{Plan, PlanFlags, read_plan};

/// The plan of a text.
fn plan_of(text: &str) -> Plan {
    read_plan("test", "test.toml", text, &PlanFlags::default()).unwrap()
}

/// Three standard errors above a probability, for the share of so many simulated cases.
fn at_most(probability: f64, cases: u32) -> f64 {
    probability + 3.0 * (probability * (1.0 - probability) / f64::from(cases)).sqrt()
}

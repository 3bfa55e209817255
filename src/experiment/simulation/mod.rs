//! A discrete-event simulation of a deployment and its load. Begin with `scenario.rs`.

mod due;
mod scenario;
mod simulation;
mod tally;
#[cfg(test)]
mod testing;
mod worker_queues;

use due::Due;
pub use scenario::{Arrivals, Scenario, ScenarioError};
pub use simulation::simulate;
pub use tally::Simulated;
use tally::{Busy, Call, Window, summary};
#[cfg(test)]
pub use testing::scenario;
#[cfg(test)]
pub use testing::{expect_kind, poisson};
use worker_queues::SimulatedQueues;

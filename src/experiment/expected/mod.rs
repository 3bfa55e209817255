//! Expected figures of a deployment, by simulation and queueing theory.

mod cells;
mod expectation;
mod formulas;
mod idle;
mod queueing;

pub use cells::{Expectations, Expected};
pub use expectation::{Expectation, expect_load};
pub use formulas::Formula;
use formulas::Measure;
use formulas::formulas;
pub use idle::{IdleExpectation, expect_idle};
pub use queueing::capacity_per_s;

//! The load generator. Begin with `generator.rs`.

mod arrivals;
mod generator;
mod outcomes;

use arrivals::Arrivals;
pub use generator::{LoadTask, Made, Progress, start_load};
use outcomes::{Answer, Tally, Times};

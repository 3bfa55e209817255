//! The load generator. Begin with `generator.rs`.

mod arrivals;
mod generator;
mod outcomes;

use arrivals::Arrivals;
pub use generator::{LoadTask, MAX_UNDER_WAY, Made, Progress, start_load};
use outcomes::{Answer, Tally, Times};

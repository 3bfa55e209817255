//! The deployment's figures: totals that never fall, rates, capacity, usage by node. Pure. Begin with `figures.rs`.

mod capacity;
mod figures;
mod rates;
mod responders;
mod totals;
mod usage;

use capacity::capacity;
pub use figures::FiguresLog;
use rates::Rates;
use responders::{Limit, Responders};
use totals::Totals;
use usage::{Process, process_of, usage_by_node};

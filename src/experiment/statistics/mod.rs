//! Estimates from repeated trials.

mod estimate;
mod independent;
mod metric;

pub use estimate::{Estimate, Knee, Limit, LoadPoint, SUSTAINED, TOLERATED, knee, median};
pub use metric::{Metric, Unit, has_beyond, short};

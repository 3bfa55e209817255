//! Estimates from repeated trials.

mod estimate;
mod knee;
mod metric;
mod ratio;

pub use estimate::{Estimate, median};
pub use knee::{Knee, Limit, LoadPoint, SUSTAINED, TOLERATED, knee};
pub use metric::{Metric, Unit, has_beyond, percent, ratio_text, short};
pub use ratio::{ALIKE, Floor, Ratio, Verdict, judge};

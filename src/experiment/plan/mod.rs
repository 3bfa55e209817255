//! Plans: what varies, what is fixed, how long each trial takes. Begin with `plan.rs`.

mod cells;
mod given;
mod load;
mod plan;
mod plan_file;
mod setup;

use cells::{Combined, OneEach, Tables, combine};
use given::{Located, SourceMap};
pub use load::Load;
use plan::MAX_TRIALS;
pub use plan::{Cell, Order, Plan, Target, Trial};
#[cfg(test)]
pub use plan_file::read_plan;
use plan_file::{PlanError, plain};
pub use plan_file::{PlanFlags, READY_MADE, load_plan};
pub use setup::{Factor, MAX_PAYLOAD, Setup};

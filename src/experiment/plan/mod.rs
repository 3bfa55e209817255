//! Plans: the factors that vary, the fixed ones, the length and order of the trials. Begin with `plan.rs`.

mod cells;
mod given;
mod load;
mod plan;
mod plan_file;
mod setup;

use cells::{Combined, OneEach, Tables, combine};
use given::{Located, Place, SourceMap};
pub use load::Load;
use plan::MAX_TRIALS;
pub use plan::{Cell, Order, Plan, Target, Trial};
use plan_file::plain;
pub use plan_file::{PlanError, PlanFlags, READY_MADE, load_plan, read_plan};
use setup::span;
pub use setup::{Factor, MAX_PAYLOAD, Setup};

//! Analysis of a run's trials: medians, comparisons, findings. Begin with `summary.rs`.

mod cell;
mod compare;
mod contrast;
mod effects;
mod findings;
mod names;
mod rule;
mod summary;
mod warnings;

use cell::{CONFIDENCE, figures};
pub use cell::{CellSummary, Figure};
pub use compare::{Comparison, Incomparable, compare};
use contrast::{Contrast, KneeFinding, contrasts, knees};
use findings::findings;
pub use names::label;
pub use rule::{Rule, Strictness};
pub use summary::{Finding, Summary};
use warnings::conditions;

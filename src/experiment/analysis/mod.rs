//! Analysis of a run's trials: medians, comparisons, findings. Begin with `summary.rs`.

mod compare;
mod contrast;
mod effects;
mod findings;
mod names;
mod rule;
mod summary;
mod warnings;

pub use compare::{Comparison, Incomparable, compare};
use contrast::{Contrast, KneeFinding, contrasts, knees};
use findings::findings;
pub use names::label;
pub use rule::{Rule, Strictness};
use summary::CONFIDENCE;
pub use summary::{CellSummary, Figure, Finding, Summary};
use warnings::conditions;

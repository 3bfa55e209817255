//! Analysis of a run's trials: medians, comparisons, findings. Begin with `summary.rs`.

mod compare;
mod contrast;
mod findings;
mod rule;
mod summary;

pub use compare::{Comparison, NothingInCommon, compare};
pub use contrast::differs;
use contrast::{Contrast, KneeFinding, contrasts, knees};
use findings::findings;
pub use findings::label;
pub use rule::Rule;
use summary::{CONFIDENCE, CellSummary};
pub use summary::{Figure, Finding, Summary};

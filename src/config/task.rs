//! The settings of the task that a responder does, and of the delay before it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Int, MIB, Shape, Span};
use crate::wire::{Delay, DelayShape, TaskName};

/// Maximum bytes of JSON for one byte of text: a control character becomes `\u0000`.
pub const MAX_ESCAPED: u64 = 6;

/// The `[task]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskSettings {
    /// Task of a message without `task`.
    pub name: TaskName,
    /// The only folder that the file task reads. It never reads names that begin with a dot, nor the program's own
    /// settings, secrets and experiments. If the folder is missing at start, the responder looks for it again at each
    /// read.
    pub root: PathBuf,
    /// File that the task reads for a message without `filename`, relative to `root`. If `root` has no `target.txt`, it
    /// reads the one built into the program.
    pub file: PathBuf,
    /// Longest file that the task reads, in bytes. One byte can take six in JSON: `requester.max_message_bytes` must
    /// allow that.
    pub max_file_bytes: Int<1, { 16 * MIB }>,
    /// Largest number of hashing rounds of a message; every client of the web tier can request them. A million rounds
    /// took 0.1 s on a desktop's core; a small machine takes several times as long.
    pub max_cpu_rounds: Int<1, 1_000_000_000>,
    /// The wait before each task, in place of real work.
    pub delay: DelaySettings,
}

impl Default for TaskSettings {
    fn default() -> Self {
        Self {
            name: TaskName::default(),
            root: PathBuf::from("files"),
            file: PathBuf::from("target.txt"),
            max_file_bytes: Int::literal::<163_840>(),
            max_cpu_rounds: Int::literal::<1_000_000>(),
            delay: DelaySettings::default(),
        }
    }
}

/// The `[task.delay]` section.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DelaySettings {
    /// Distribution of the delay.
    pub kind: DelayShape,
    /// Shortest delay of `uniform`.
    pub min: Span<0, 600_000>,
    /// Longest delay of `uniform`; not below `min`.
    pub max: Span<0, 600_000>,
    /// The delay of `fixed`; the mean of `exponential` and `log-normal`.
    pub mean: Span<0, 600_000>,
    /// Shape of `log-normal`: the larger, the longer the tail.
    pub sigma: Shape,
    /// Longest delay drawn from `exponential` and `log-normal`.
    pub cap: Span<0, 600_000>,
    /// With a seed, each worker draws the same delays at every start; workers with another index or `instance.slot`
    /// draw different ones. None: different delays at every start.
    pub seed: Option<Int<0, { u64::MAX }>>,
}

impl Default for DelaySettings {
    fn default() -> Self {
        Self {
            kind: DelayShape::default(),
            min: Span::literal::<1_000>(),
            max: Span::literal::<3_000>(),
            mean: Span::literal::<2_000>(),
            sigma: Shape::MODERATE,
            cap: Span::literal::<60_000>(),
            seed: None,
        }
    }
}

impl From<&DelaySettings> for Delay {
    fn from(settings: &DelaySettings) -> Self {
        let [min, max, mean, cap] = [settings.min, settings.max, settings.mean, settings.cap].map(Span::get);
        Self { kind: settings.kind, min, max, mean, sigma: settings.sigma.get(), cap: Some(cap) }
    }
}

//! The state of the experiment that a web tier runs, for the page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExperimentState {
    /// Its process has been started and has not reported anything yet.
    Starting,
    Running,
    /// It was asked to stop, and writes its results.
    Stopping,
    /// Every trial has ended.
    Finished,
    /// It was stopped, and can be resumed.
    Stopped,
    /// Its process ended before all trials were complete.
    Failed,
}

impl ExperimentState {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// An experiment and its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentView {
    /// Name of the run, and of its folder.
    pub id: String,
    /// Name of its plan.
    pub plan: String,
    /// Target of its trials.
    pub target: String,
    pub state: ExperimentState,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In milliseconds since the epoch.
    pub started_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<u64>,
    /// Trials of the plan.
    pub trials: usize,
    /// Trials that have ended, including those before the run was resumed.
    pub ended: usize,
    /// Trials completed before the run was resumed.
    pub ended_before: usize,
    /// Trials that failed or are not valid.
    pub problems: usize,
    /// Expected maximum time of all trials, in milliseconds.
    pub time_ms: u64,
    /// The trial under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialView>,
}

impl ExperimentView {
    /// True until its process has ended.
    pub fn is_running(&self) -> bool {
        use ExperimentState::{Running, Starting, Stopping};
        matches!(self.state, Starting | Running | Stopping)
    }
}

/// A trial under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TrialView {
    /// Place in the plan's order, from 0.
    pub number: usize,
    /// The factors that vary, each with its level.
    pub levels: BTreeMap<String, String>,
    /// From 0.
    pub repetition: u32,
    /// Milliseconds of load so far, and in total; none before the load begins.
    #[schema(required)]
    pub elapsed_ms: Option<u64>,
    #[schema(required)]
    pub total_ms: Option<u64>,
    /// Requests sent, and ended.
    pub sent: u64,
    pub ended: u64,
    /// Recent requests per second.
    pub requests_per_s: f64,
}

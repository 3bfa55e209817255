//! An experiment as the page follows it: what a web tier tells of the one that it runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExperimentState {
    /// Its process has been started, and has said nothing yet.
    Starting,
    Running,
    /// Asked to end: it still writes what it has.
    Stopping,
    /// Every trial has ended.
    Finished,
    /// It was stopped, and can be gone on with.
    Stopped,
    /// It ended by itself before it was through.
    Failed,
}

/// An experiment and how far it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExperimentView {
    /// Name of the run, and of its folder.
    pub id: String,
    /// Name of its plan.
    pub plan: String,
    /// What its trials run against.
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
    /// Trials that have ended, those of earlier parts of the run among them.
    pub ended: usize,
    /// Trials that ended before this part of the run began: an experiment that was stopped is gone on with.
    pub ended_before: usize,
    /// Trials that came to nothing or can't be trusted.
    pub problems: usize,
    /// The longest that all trials should take, in milliseconds.
    pub time_ms: u64,
    /// The trial under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialView>,
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
    /// Milliseconds of load so far, and in all; none before the load begins.
    pub elapsed_ms: Option<u64>,
    pub total_ms: Option<u64>,
    /// Requests sent, and ended.
    pub sent: u64,
    pub ended: u64,
    /// Requests that ended each second, lately.
    pub requests_per_s: f64,
}

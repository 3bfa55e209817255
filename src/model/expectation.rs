//! What a trial should give: simulated, and by formula where there is one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DelayView, Scenario, ScenarioError};

/// The distribution of requests' latencies in milliseconds, by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencySummary {
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// What a formula is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// A message's mean wait, in milliseconds.
    MeanWait,
    /// A request's mean latency, in milliseconds.
    MeanLatency,
    /// Messages a second.
    Throughput,
}

/// A figure by formula, beside the simulated one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Formula {
    /// Such as `M/M/c`.
    pub name: String,
    pub measure: Measure,
    pub value: f64,
    pub simulated: f64,
    /// False for an approximation.
    pub exact: bool,
}

/// What a deployment should do under a load, without the overhead of processes, network and scheduler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// None: without bound, because nothing takes time.
    pub requests_per_s: Option<f64>,
    /// None: without bound, because nothing takes time.
    pub messages_per_s: Option<f64>,
    /// Of requests, until the last reply.
    pub latency: LatencySummary,
    /// A message's mean wait in the requester, for its worker.
    pub lane_wait_ms: f64,
    /// A message's mean wait at the broker, for a responder worker.
    pub broker_wait_ms: f64,
    /// Both waits.
    pub mean_wait_ms: f64,
    /// The share of the responder workers' time that is spent serving, from 0 to 1.
    pub utilisation: f64,
    /// Messages a second that the workers can serve: the responders', or the requesters' with their windows, whichever
    /// are fewer. Dealt out in turn with small windows, less is reached. None: without bound, because nothing takes time.
    pub capacity_per_s: Option<f64>,
    /// More is asked for than can be served: figures grow with the time that it lasts.
    pub saturated: bool,
    pub formulas: Vec<Formula>,
}

/// Simulates a scenario; `draw` gives services in milliseconds, of the distribution that `delay` tells.
///
/// # Errors
/// A scenario without workers or requests, beyond the bounds, or with a number out of range.
pub fn expect_load(
    scenario: &Scenario,
    delay: &DelayView,
    draw: impl FnMut() -> f64,
) -> Result<Expectation, ScenarioError> {
    let _ = (scenario, delay, draw);
    todo!()
}

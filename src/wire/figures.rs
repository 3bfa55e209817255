//! The figures of a deployment, made once by the web tier: totals that never fall, rates, capacity, and usage by node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Ledger, Tier};

/// The figures of the whole deployment, as one web instance knows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// When they were made, in milliseconds since the epoch.
    pub at: u64,
    /// Since when `requests` and the `ledger` of each tier count: this web instance's start, in milliseconds since the epoch.
    pub since: u64,
    /// Every tier, in the order in which a request passes them.
    pub tiers: Vec<TierFigures>,
    /// Of the living instances, by id: requests a second of a web instance, messages a second of the others.
    pub rates: BTreeMap<String, f64>,
    /// Requests that web instances accepted. Never falls.
    pub requests: u64,
    /// Messages that a request to all requester workers makes.
    pub messages_per_request: u64,
    /// Messages a second that requesters accepted.
    pub offered_per_s: f64,
    /// Messages a second that ended as responses.
    pub served_per_s: f64,
    /// Messages a second that could end as responses without a queue that grows, with the workers, delays and faults in effect.
    /// None: not known, as messages take less than a millisecond or an instance of an earlier version does not report enough.
    #[schema(required)]
    pub capacity_per_s: Option<f64>,
    /// What limits `capacity_per_s`.
    #[schema(required)]
    pub bottleneck: Option<Bottleneck>,
    pub nodes: Vec<NodeFigures>,
}

/// The figures of a tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TierFigures {
    pub tier: Tier,
    /// Living instances.
    pub instances: usize,
    /// Requests a second of the web tier, messages a second of the others.
    pub per_s: f64,
    /// The sum of its instances' counts, also of those that have ended. The counts never fall; `in_flight` is that of the living.
    pub ledger: Ledger,
    /// Messages that were in flight in instances that have ended, as far as these had reported. Falls when an instance that was
    /// silent is back.
    pub lost: u64,
    /// The instances with which most recently something was lost, latest first.
    pub lost_with: Vec<LostWith>,
    /// Every instance's sent = responses + errors + timeouts + in flight or lost.
    pub balanced: bool,
    /// The names of instances whose counts do not balance.
    pub unbalanced: Vec<String>,
}

/// What was lost with an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostWith {
    /// Its name: service and slot, or its id.
    pub name: String,
    pub node: String,
    /// When it was found to be gone, in milliseconds since the epoch.
    pub at: u64,
    /// Messages that were in flight in it.
    pub lost: u64,
}

/// What limits a deployment's capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bottleneck {
    pub tier: Tier,
    /// The instance's id where a single one is the limit.
    #[schema(required)]
    pub instance: Option<String>,
    /// Messages that it can have under way at one time: workers of responders, windows of requester workers.
    pub at_once: u64,
    /// Mean time for which a message takes one of these places, in milliseconds.
    pub time_ms: f64,
    /// One sentence with the figures.
    pub text: String,
}

/// Resource usage on a node, of the processes of this deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeFigures {
    pub node: String,
    /// Living instances.
    pub instances: usize,
    /// CPU seconds a second: 1.0 is one core. None where no process reports it, or not twice yet.
    #[schema(required)]
    pub cpus: Option<f64>,
    /// Resident memory, in bytes. None where no process reports it.
    #[schema(required)]
    pub resident_bytes: Option<u64>,
}

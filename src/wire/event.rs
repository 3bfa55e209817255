//! Events: published by the tiers as telemetry, and sent to the dashboards by WebSocket.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Accepted, ExperimentView, FanOut, Figures, Outcome, Reply, Snapshot, WorkerView};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    Connecting,
    Connected,
    /// The requester is shutting down.
    Draining,
    /// Disconnected on request, or the address was removed from discovery.
    Disconnected,
}

/// How the messages of a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCounts {
    pub responses: u64,
    pub errors: u64,
    pub timeouts: u64,
}

impl OutcomeCounts {
    pub fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Response => self.responses += 1,
            Outcome::Error => self.errors += 1,
            Outcome::Timeout => self.timeouts += 1,
        }
    }

    pub fn total(&self) -> u64 {
        self.responses + self.errors + self.timeouts
    }
}

/// The deployment's figures for one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The end of the second, in milliseconds since the epoch.
    pub at: u64,
    pub responses_per_s: f64,
    pub errors_per_s: f64,
    pub timeouts_per_s: f64,
    /// Messages without an outcome.
    pub in_flight: u64,
    /// Messages waiting in requesters and brokers.
    pub queue: u64,
    /// Latency quantiles of the messages that ended in this second, from requester to reply; none if no message ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestStatus {
    /// Replies are still to come.
    #[default]
    Pending,
    /// Every message ended, whatever its outcome.
    Complete,
    /// It could not be sent, or ended before its set was complete.
    Failed,
}

/// An event of the deployment. Times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// An instance's complete state.
    Instance { snapshot: Box<Snapshot> },
    /// An instance ended, or has been silent for too long.
    InstanceGone { id: String, at: u64, reason: String },
    /// A worker changed its state.
    Worker {
        instance: String,
        at: u64,
        worker: WorkerView,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A connection between the web tier and a requester changed.
    Link {
        /// The web instance's id.
        #[serde(default)]
        #[schema(required)]
        instance: String,
        address: String,
        at: u64,
        state: LinkState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The web tier accepted a request.
    #[schema(rename_all = "camelCase")]
    Request {
        request_id: String,
        at: u64,
        #[schema(required)]
        task: Option<String>,
        fan_out: FanOut,
        #[schema(required)]
        timeout_ms: Option<u64>,
        links: usize,
    },
    /// A requester accepted its part of a request.
    #[schema(rename_all = "camelCase")]
    Accepted { request_id: String, at: u64, accepted: Accepted },
    /// A requester worker sent a message.
    #[schema(rename_all = "camelCase")]
    Dispatched {
        request_id: String,
        message_id: String,
        requester_id: String,
        instance: String,
        at: u64,
        attempt: u32,
        broker: String,
    },
    /// A message, or a request, is sent again.
    #[schema(rename_all = "camelCase")]
    Retry {
        request_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        at: u64,
        attempt: u32,
        reason: String,
    },
    /// A reply reached the web tier.
    Reply { at: u64, reply: Box<Reply> },
    /// A message ended without its reply having reached the web tier.
    #[schema(rename_all = "camelCase")]
    Lost { request_id: String, message_id: String, at: u64, reason: String },
    /// A request ended.
    #[schema(rename_all = "camelCase")]
    Outcome {
        request_id: String,
        at: u64,
        status: RequestStatus,
        counts: OutcomeCounts,
        /// From acceptance to the last reply.
        total_us: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The deployment's figures for the second that has just ended.
    Sample { sample: Sample },
    /// The deployment's figures, when they have changed.
    Figures { figures: Box<Figures> },
    /// The complete state of the experiment that the web tier runs, or ran last.
    Experiment { experiment: Box<ExperimentView> },
}

impl Event {
    /// The request that the event is about, if it is about one.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Request { request_id, .. }
            | Self::Accepted { request_id, .. }
            | Self::Dispatched { request_id, .. }
            | Self::Retry { request_id, .. }
            | Self::Lost { request_id, .. }
            | Self::Outcome { request_id, .. } => Some(request_id),
            Self::Reply { reply, .. } => Some(&reply.request_id),
            Self::Instance { .. }
            | Self::InstanceGone { .. }
            | Self::Worker { .. }
            | Self::Link { .. }
            | Self::Sample { .. }
            | Self::Figures { .. }
            | Self::Experiment { .. } => None,
        }
    }
}

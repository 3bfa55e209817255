//! The complete state of an instance, published every `telemetry.interval` and on request.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Delay, Dispatch, Faults, Hops, Ledger};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Web,
    Requester,
    Broker,
    Responder,
}

impl Tier {
    /// Every tier, in the order in which a request passes them.
    pub const ALL: [Self; 4] = [Self::Web, Self::Requester, Self::Broker, Self::Responder];

    /// The name in ids, logs and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Requester => "requester",
            Self::Broker => "broker",
            Self::Responder => "responder",
        }
    }
}

/// The identity of an instance, constant until its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Unique across the deployment and over restarts.
    pub id: String,
    pub tier: Tier,
    /// The host it runs on.
    pub node: String,
    pub service: String,
    /// The swarm's slot, or the node's id in a global service.
    #[schema(required)]
    pub slot: Option<String>,
    pub version: String,
    pub pid: u32,
    /// When it started, in milliseconds since the epoch.
    pub started_at: u64,
    /// Address of its admin server. In the instance's own snapshots: as seen from its host.
    #[schema(required, value_type = Option<String>, example = "10.0.1.7:9090")]
    pub admin: Option<SocketAddr>,
}

impl Instance {
    /// Its name for people: its service, without what a swarm puts before it, and slot, or its id where it has no slot.
    pub fn name(&self) -> String {
        let Some(slot) = &self.slot else { return self.id.clone() };
        let own = self.service.rsplit_once('_').filter(|(_, last)| Tier::ALL.iter().any(|tier| tier.name() == *last));
        format!("{}.{slot}", own.map_or(&*self.service, |(_, last)| last))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Waiting for peers.
    Starting,
    Ready,
    /// Shutting down: no new work.
    Draining,
    /// Ended, or silent for too long.
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    Starting,
    Idle,
    Busy,
    Restarting,
    Draining,
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkerView {
    /// Place in the pool, from 0.
    pub index: usize,
    /// `requesterId` or `responderId`; empty for a worker that has none.
    pub id: String,
    pub state: WorkerState,
    /// Messages it has completed.
    pub handled: u64,
    pub restarts: u32,
}

/// An address this instance connects to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerView {
    pub address: String,
    pub connected: bool,
}

/// Resource usage of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// CPU time since its start, in microseconds.
    pub cpu_us: u64,
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
}

/// The whole state of an instance at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    pub instance: Instance,
    /// Milliseconds since the epoch, by the instance's clock.
    pub at: u64,
    /// Milliseconds since the instance's start, by a monotonic clock, with which rates are computed. None from earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    pub state: InstanceState,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub workers: Vec<WorkerView>,
    /// Restarts of its workers and of its other components since its start. Never falls.
    #[serde(default)]
    #[schema(required)]
    pub restarts: u64,
    /// Messages that no worker has begun. For a separate broker with round-robin dispatch: all in flight.
    pub queue: u64,
    /// Of a web instance: requests that it accepted since its start. None from earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Of a requester or broker: where it takes the connections of the tier before it. In its own snapshots: as seen from its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "10.0.1.7:5678")]
    pub listens: Option<SocketAddr>,
    /// Of a requester: messages that each worker may have in flight, 1 with REQ. None from earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<u64>,
    /// Of a responder: mean time of its latest tasks, without delay and faults, in microseconds. None before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_us: Option<u64>,
    /// Of a broker: bytes of the messages in it and at its workers, and of replies that requesters have not read yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_bytes: Option<u64>,
    pub peers: Vec<PeerView>,
    pub ledger: Ledger,
    #[schema(value_type = Object)]
    pub hops: Hops,
    /// Per-message events dropped because there were more than `telemetry.events_per_second`.
    pub dropped_events: u64,
    /// Of a responder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// Of a responder with faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Faults>,
    /// Of a responder: workers that stall by an injected fault, now or on their next message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stalled: Vec<usize>,
    /// Of a broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<Dispatch>,
    /// Usage of its process, which may have other instances too: those have the same `admin` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Snapshot {
    /// Workers that are to stay.
    pub fn pool_size(&self) -> usize {
        let leaves = |worker: &WorkerView| matches!(worker.state, WorkerState::Draining | WorkerState::Gone);
        self.workers.iter().filter(|worker| !leaves(worker)).count()
    }

    pub fn busy_workers(&self) -> usize {
        self.workers.iter().filter(|worker| worker.state == WorkerState::Busy).count()
    }
}

//! The deployment as the web tier knows it: a fold of events, the same on the server and in the dashboard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Event, InstanceState, Ledger, LinkState, Snapshot, Tier, WorkerState};

/// Instances that ended stay visible for so long, in milliseconds.
const GONE_KEPT_MS: u64 = 30_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// When it was last heard of, in milliseconds since the epoch by the web tier's clock.
    pub seen_at: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkView {
    pub state: LinkState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Every instance and link known, by id and by address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Topology {
    pub instances: BTreeMap<String, InstanceView>,
    pub links: BTreeMap<String, LinkView>,
}

impl Topology {
    /// Takes one event in; `now` is the receiver's clock in milliseconds since the epoch.
    pub fn apply(&mut self, event: &Event, now: u64) {
        match event {
            Event::Instance { snapshot } => {
                let view = InstanceView { snapshot: (**snapshot).clone(), seen_at: now };
                self.instances.insert(snapshot.instance.id.clone(), view);
            }
            Event::InstanceGone { id, reason, .. } => {
                if let Some(view) = self.instances.get_mut(id) {
                    view.seen_at = now;
                    view.snapshot.state = InstanceState::Gone;
                    view.snapshot.reason = Some(reason.clone());
                    view.snapshot.workers.iter_mut().for_each(|worker| worker.state = WorkerState::Gone);
                }
            }
            Event::Worker { instance, worker, .. } => {
                let Some(view) = self.instances.get_mut(instance) else { return };
                let workers = &mut view.snapshot.workers;
                match workers.iter_mut().find(|known| known.index == worker.index) {
                    Some(known) => *known = worker.clone(),
                    None => workers.push(worker.clone()),
                }
            }
            Event::Link { address, state, reason, .. } => {
                self.links.insert(address.clone(), LinkView { state: *state, reason: reason.clone() });
            }
            _ => {}
        }
    }

    /// The living instances not heard of for longer than `limit_ms`, as the events that declare them gone.
    pub fn silent(&self, now: u64, limit_ms: u64) -> Vec<Event> {
        let silent = |view: &&InstanceView| {
            view.snapshot.state != InstanceState::Gone && now.saturating_sub(view.seen_at) > limit_ms
        };
        let gone = |view: &InstanceView| Event::InstanceGone {
            id: view.snapshot.instance.id.clone(),
            at: now,
            reason: format!("nothing heard of it for {} ms", now.saturating_sub(view.seen_at)),
        };
        self.instances.values().filter(silent).map(gone).collect()
    }

    /// Forgets instances that have been gone for half a minute.
    pub fn forget(&mut self, now: u64) {
        self.instances.retain(|_, view| {
            view.snapshot.state != InstanceState::Gone || now.saturating_sub(view.seen_at) <= GONE_KEPT_MS
        });
    }

    /// The counts of all living instances of a tier.
    pub fn ledger(&self, tier: Tier) -> Ledger {
        let mut sum = Ledger::default();
        self.living(tier).for_each(|view| sum.add(&view.snapshot.ledger));
        sum
    }

    /// The living instances of a tier.
    pub fn living(&self, tier: Tier) -> impl Iterator<Item = &InstanceView> {
        self.instances
            .values()
            .filter(move |view| view.snapshot.instance.tier == tier && view.snapshot.state != InstanceState::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Hops, Instance, WorkerView};

    fn snapshot(id: &str, sent: u64) -> Event {
        let instance = Instance {
            id: id.into(),
            tier: Tier::Responder,
            node: "pi-1".into(),
            service: "responder".into(),
            slot: Some("1".into()),
            version: "0.1.0".into(),
            pid: 7,
            started_at: 1,
            admin: None,
        };
        let worker = WorkerView { index: 0, id: "7".into(), state: WorkerState::Idle, handled: 0, restarts: 0 };
        let ledger = Ledger { sent, responses: sent, ..Ledger::default() };
        Event::Instance {
            snapshot: Box::new(Snapshot {
                instance,
                at: 1,
                state: InstanceState::Ready,
                reason: None,
                workers: vec![worker],
                queue: 0,
                queue_bytes: None,
                peers: vec![],
                ledger,
                hops: Hops::default(),
                dropped_events: 0,
                delay: None,
                faults: None,
                stalled: vec![],
                dispatch: None,
                usage: None,
            }),
        }
    }

    #[test]
    fn an_instance_that_falls_silent_is_gone_and_then_forgotten() {
        let mut topology = Topology::default();
        topology.apply(&snapshot("a", 3), 1_000);
        topology.apply(&snapshot("b", 4), 2_900);
        assert_eq!(topology.ledger(Tier::Responder).sent, 7);
        let gone = topology.silent(3_000, 1_500);
        assert_eq!(gone.len(), 1);
        gone.iter().for_each(|event| topology.apply(event, 3_000));
        assert_eq!(topology.living(Tier::Responder).count(), 1);
        assert_eq!(topology.instances["a"].snapshot.workers[0].state, WorkerState::Gone);
        assert!(topology.silent(3_000, 1_500).is_empty());
        topology.forget(34_000);
        assert_eq!(topology.instances.keys().collect::<Vec<_>>(), ["b"]);
    }

    /// The dashboard's fold runs the same log.
    #[test]
    fn the_event_log_folds_into_the_topology_it_says() {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Log {
            events: Vec<Step>,
            forget_at: u64,
            expected: Topology,
        }
        #[derive(Deserialize)]
        struct Step {
            event: Event,
            now: u64,
        }
        let log: Log = serde_json::from_str(include_str!("../../tests/fixtures/events.json")).unwrap();
        let mut topology = Topology::default();
        log.events.iter().for_each(|step| topology.apply(&step.event, step.now));
        topology.forget(log.forget_at);
        assert_eq!(topology, log.expected);
        assert!(!topology.instances.is_empty());
    }

    #[test]
    fn it_comes_back_whole_from_json() {
        let mut topology = Topology::default();
        topology.apply(&snapshot("a", 3), 1_000);
        let link = Event::Link {
            instance: "web-1".into(),
            address: "10.0.0.1:5678".into(),
            at: 1,
            state: LinkState::Connected,
            reason: None,
        };
        topology.apply(&link, 1_000);
        let json = serde_json::to_string(&topology).unwrap();
        assert_eq!(serde_json::from_str::<Topology>(&json).unwrap(), topology);
    }

    #[test]
    fn events_of_unknown_instances_change_nothing() {
        let mut topology = Topology::default();
        let worker = WorkerView { index: 0, id: String::new(), state: WorkerState::Busy, handled: 0, restarts: 0 };
        topology.apply(&Event::Worker { instance: "x".into(), at: 1, worker, reason: None }, 1);
        assert_eq!(topology, Topology::default());
    }
}

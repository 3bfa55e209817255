//! The state of the deployment, built from events in the same way on the server and in the dashboard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Event, InstanceState, Ledger, LinkState, Snapshot, Tier, WorkerState, WorkerView};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// Time of its last snapshot, or of its end, in milliseconds since the epoch by the web tier's clock.
    pub seen_at: u64,
}

impl InstanceView {
    /// A worker by its index in the pool.
    pub fn worker(&self, index: usize) -> Option<&WorkerView> {
        let workers = &self.snapshot.workers;
        workers.binary_search_by_key(&index, |worker| worker.index).ok().map(|place| &workers[place])
    }
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
    /// Applies an event. `now`: the receiver's clock, in milliseconds since the epoch.
    pub fn apply(&mut self, event: &Event, now: u64) {
        match event {
            Event::Instance { snapshot } => {
                let mut view = InstanceView { snapshot: (**snapshot).clone(), seen_at: now };
                // `worker` searches by index.
                view.snapshot.workers.sort_by_key(|worker| worker.index);
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
                match workers.binary_search_by_key(&worker.index, |known| known.index) {
                    Ok(place) => workers[place] = worker.clone(),
                    Err(place) => workers.insert(place, worker.clone()),
                }
            }
            Event::Link { address, state, reason, .. } => {
                self.links.insert(address.clone(), LinkView { state: *state, reason: reason.clone() });
            }
            _ => {}
        }
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

    fn snapshot(id: &str, sent: u64) -> Event {
        let worker = WorkerView { index: 0, id: "7".into(), state: WorkerState::Idle, handled: 0, restarts: 0 };
        let ledger = Ledger { sent, responses: sent, ..Ledger::default() };
        let new = crate::wire::snapshot(id, Tier::Responder);
        let snapshot = Snapshot { at: 1, workers: vec![worker], ledger, ..new };
        Event::Instance { snapshot: Box::new(snapshot) }
    }

    /// A test of the dashboard applies the same events, with the fixture's times.
    #[test]
    fn the_events_of_the_fixture_make_its_topology() {
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
        const GONE_KEPT_MS: u64 = 30_000;
        let log: Log = serde_json::from_str(include_str!("../../tests/fixtures/events.json")).unwrap();
        let mut topology = Topology::default();
        log.events.iter().for_each(|step| topology.apply(&step.event, step.now));
        topology.instances.retain(|_, view| {
            view.snapshot.state != InstanceState::Gone || log.forget_at - view.seen_at <= GONE_KEPT_MS
        });
        assert_eq!(topology, log.expected);
        assert!(!topology.instances.is_empty());
    }

    #[test]
    fn a_topology_survives_json() {
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

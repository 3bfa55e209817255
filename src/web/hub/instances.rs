//! The instances that telemetry tells of: how long ago each was heard of, and how much memory all may take.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::web::history::{LoggedEvent, differences};
use crate::wire::{Event, Footprint, Hops, Instance, InstanceState, Topology, now_ms};

/// Most instances that are known at one time.
const MAX_INSTANCES: usize = 1_000;

/// Longest id, node, service, slot and version of an instance, in bytes: they are kept when it has ended.
const MAX_NAME: usize = 256;

/// Most memory for one instance: enough for 10,000 workers, the most that a setting allows.
const MAX_INSTANCE_BYTES: usize = 2 << 20;

/// Most memory for all instances: hundreds of ordinary ones.
const MAX_BYTES: usize = 12 << 20;

/// Instances that ended stay visible for so long.
const GONE_KEPT: Duration = Duration::from_secs(30);

/// The topology of a deployment, and what is remembered of it beside.
#[derive(Debug, Default)]
pub struct Instances {
    pub topology: Topology,
    heard: HashMap<String, Heard>,
    bytes: usize,
}

#[derive(Debug)]
struct Heard {
    /// By the monotonic clock: the wall clock may be set while the program runs.
    at: Instant,
    bytes: usize,
    /// Size of its pool in its last snapshot: events of its workers change the topology before that does.
    pool: usize,
}

impl Instances {
    /// Takes an event in. False where it would take more memory than there is for it, or tells of one instance too many.
    pub fn apply(&mut self, event: &Event, now: Instant) -> bool {
        match event {
            Event::Instance { snapshot } => {
                let bytes = snapshot.footprint();
                let before = self.heard.get(&snapshot.instance.id).map(|heard| heard.bytes);
                let known = self.bytes - before.unwrap_or_default();
                if !has_short_names(&snapshot.instance)
                    || bytes > MAX_INSTANCE_BYTES
                    || known + bytes > MAX_BYTES
                    || (before.is_none() && self.heard.len() == MAX_INSTANCES)
                {
                    return false;
                }
                self.bytes = known + bytes;
                self.heard.insert(snapshot.instance.id.clone(), Heard { at: now, bytes, pool: snapshot.pool_size() });
            }
            Event::InstanceGone { id, reason, .. } => {
                let Some(heard) = self.heard.get_mut(id) else { return true };
                if !grow(heard, &mut self.bytes, reason.len()) {
                    return false;
                }
                heard.at = now;
            }
            Event::Worker { instance, worker, .. } => {
                let Some(heard) = self.heard.get_mut(instance) else { return true };
                let view = &self.topology.instances[instance];
                let more = match view.worker(worker.index) {
                    Some(known) => worker.footprint().saturating_sub(known.footprint()),
                    None => worker.footprint(),
                };
                if !grow(heard, &mut self.bytes, more) {
                    return false;
                }
            }
            _ => {}
        }
        self.topology.apply(event, now_ms());
        true
    }

    /// What an event that has not been taken in changes, for the event log.
    pub fn differences(&self, event: &Event) -> Vec<LoggedEvent> {
        let heard = match event {
            Event::Instance { snapshot } => self.heard.get(&snapshot.instance.id),
            _ => None,
        };
        differences(event, &self.topology, heard.map(|heard| heard.pool))
    }

    /// Calls `act` with the topology without latency histograms, which dashboards do not show.
    pub fn without_hops<T>(&mut self, act: impl FnOnce(&Topology) -> T) -> T {
        let hops = |topology: &mut Topology, mut kept: Vec<Hops>| {
            kept.resize_with(topology.instances.len(), Hops::new);
            let views = topology.instances.values_mut();
            views.zip(kept).map(|(view, hops)| std::mem::replace(&mut view.snapshot.hops, hops)).collect::<Vec<_>>()
        };
        let kept = hops(&mut self.topology, vec![]);
        let done = act(&self.topology);
        hops(&mut self.topology, kept);
        done
    }

    /// The living instances not heard of for longer than `limit`, as the events that declare them gone.
    pub fn silent(&self, now: Instant, limit: Duration) -> Vec<Event> {
        let living = self.topology.instances.iter().filter(|(_, view)| view.snapshot.state != InstanceState::Gone);
        let silences = living.filter_map(|(id, _)| Some((id, now.duration_since(self.heard.get(id)?.at))));
        let silent = silences.filter(|(_, silence)| *silence > limit);
        let gone = |(id, silence): (&String, Duration)| Event::InstanceGone {
            id: id.clone(),
            at: now_ms(),
            reason: format!("nothing heard of it for {} ms", silence.as_millis()),
        };
        silent.map(gone).collect()
    }

    /// Forgets instances that have been gone for half a minute.
    pub fn forget(&mut self, now: Instant) {
        let Self { topology, heard, bytes } = self;
        topology.instances.retain(|id, view| {
            let kept = view.snapshot.state != InstanceState::Gone
                || heard.get(id).is_some_and(|heard| now.duration_since(heard.at) <= GONE_KEPT);
            if !kept {
                *bytes -= heard.remove(id).map_or(0, |heard| heard.bytes);
            }
            kept
        });
    }
}

fn has_short_names(instance: &Instance) -> bool {
    let Instance { id, node, service, slot, version, .. } = instance;
    [id, node, service, version].into_iter().chain(slot).all(|name| name.len() <= MAX_NAME)
}

/// Counts what an instance takes more. False where it may not.
fn grow(heard: &mut Heard, all: &mut usize, bytes: usize) -> bool {
    let allowed = heard.bytes + bytes <= MAX_INSTANCE_BYTES && *all + bytes <= MAX_BYTES;
    if allowed {
        heard.bytes += bytes;
        *all += bytes;
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Tier, WorkerState, WorkerView};

    fn snapshot(id: &str, workers: usize) -> Event {
        let mut snapshot = crate::runtime::status().snapshot();
        snapshot.instance.id = id.into();
        snapshot.workers = (0..workers).map(worker).collect();
        Event::Instance { snapshot: Box::new(snapshot) }
    }

    fn worker(index: usize) -> WorkerView {
        WorkerView { index, id: "x".repeat(36), state: WorkerState::Idle, handled: 0, restarts: 0 }
    }

    fn worker_event(id: &str, index: usize) -> Event {
        Event::Worker { instance: id.into(), at: 1, worker: worker(index), reason: None }
    }

    #[test]
    fn an_instance_that_falls_silent_is_gone_and_then_forgotten() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut known = Instances::default();
        assert!(known.apply(&snapshot("a", 1), at(1_000)) && known.apply(&snapshot("b", 1), at(2_900)));
        let limit = Duration::from_millis(1_500);
        let gone = known.silent(at(3_000), limit);
        assert_eq!(gone.len(), 1);
        gone.iter().for_each(|event| assert!(known.apply(event, at(3_000))));
        let tier = known.topology.instances["a"].snapshot.instance.tier;
        assert_eq!(known.topology.living(tier).count(), 1);
        assert_eq!(known.topology.instances["a"].snapshot.workers[0].state, WorkerState::Gone);
        assert!(known.silent(at(3_000), limit).is_empty());
        known.forget(at(34_000));
        assert_eq!(known.topology.instances.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!((known.heard.len(), known.bytes), (1, known.heard["b"].bytes));
    }

    #[test]
    fn whatever_is_told_the_known_instances_stay_within_their_number_and_memory() {
        let now = Instant::now();
        let mut known = Instances::default();
        let taken = (0..3_000).filter(|number| known.apply(&snapshot(&number.to_string(), 1), now)).count();
        assert_eq!((taken, known.topology.instances.len()), (MAX_INSTANCES, MAX_INSTANCES));
        assert!(known.apply(&snapshot("7", 2), now), "one that is known goes on");
        let mut known = Instances::default();
        let taken = (0..1_000).filter(|number| known.apply(&snapshot(&number.to_string(), 10_000), now)).count();
        assert!(
            (10..1_000).contains(&taken) && known.bytes <= MAX_BYTES,
            "{taken} of 10,000 workers, {} bytes",
            known.bytes
        );
        assert!(!known.apply(&snapshot("x", 100_000), now));
        assert!(!known.apply(&snapshot(&"x".repeat(MAX_NAME + 1), 1), now), "names are kept for longer");
    }

    #[test]
    fn workers_that_are_told_one_by_one_are_bounded_as_well_and_stay_in_order() {
        let now = Instant::now();
        let mut known = Instances::default();
        assert!(known.apply(&snapshot("a", 2), now));
        let told = (0..100_000).rev().filter(|index| known.apply(&worker_event("a", *index), now)).count();
        assert!((10_000..50_000).contains(&told), "{told}");
        let workers = &known.topology.instances["a"].snapshot.workers;
        assert!(workers.is_sorted_by_key(|worker| worker.index));
        let before = known.bytes;
        assert!(known.apply(&worker_event("a", 99_999), now), "one that is known goes on");
        assert_eq!(known.bytes, before);
        assert!(known.apply(&worker_event("unknown", 0), now) && known.topology.ledger(Tier::Web).sent == 0);
    }
}

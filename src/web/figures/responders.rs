//! How fast responder workers can answer: by the brokers that send messages to them, and the delays and faults in effect.

use std::collections::{HashMap, HashSet};

use super::{Process, process_of};
use crate::experiment::expected::capacity_per_s;
use crate::wire::{Dispatch, Faults, Instance, InstanceState, InstanceView, Tier, Topology, WorkerState};

/// A task that takes no time at all would get every message of a least-busy broker.
const SHORTEST_MS: f64 = 1e-3;

/// Instances differ where the slowest makes the whole slower by more than this share.
const ALIKE: f64 = 0.01;

/// The workers of one responder instance.
struct Workers<'a> {
    instance: &'a Instance,
    /// Those that work: neither dead nor stalled.
    count: usize,
    /// Delay, task, and injected latency.
    time_ms: f64,
    /// Share of their messages that end as responses.
    answered: f64,
}

impl<'a> Workers<'a> {
    fn of(view: &'a InstanceView) -> Self {
        let snapshot = &view.snapshot;
        let faults = snapshot.faults.unwrap_or_default();
        let stalled: HashSet<_> = snapshot.stalled.iter().copied().collect();
        let delay_ms = snapshot.delay.map_or(0.0, |delay| delay.average_ms());
        let task_ms = snapshot.task_us.unwrap_or_default() as f64 / 1_000.0;
        let answered = match faults {
            Faults { failing: true, .. } => 0.0,
            Faults { error_rate, .. } => 1.0 - error_rate.clamp(0.0, 1.0),
        };
        Self {
            instance: &snapshot.instance,
            count: at_work(view).filter(|index| !stalled.contains(index)).count(),
            time_ms: delay_ms + faults.extra_latency_ms as f64 + task_ms,
            answered,
        }
    }

    fn per_s(&self) -> f64 {
        per_s(self.count, self.time_ms)
    }
}

/// Brokers that send to the same workers: one with the workers of its process, or all that are apart.
struct Pool<'a> {
    brokers: Vec<&'a InstanceView>,
    workers: Vec<Workers<'a>>,
}

impl Pool<'_> {
    fn is_least_busy(&self) -> bool {
        self.brokers.iter().any(|view| view.snapshot.dispatch == Some(Dispatch::LeastBusy))
    }

    fn count(&self) -> usize {
        self.workers.iter().map(|workers| workers.count).sum()
    }

    /// Messages a second for which no worker's queue grows. Round-robin sends to each worker as many as to the slowest.
    fn per_s(&self) -> f64 {
        match self.is_least_busy() {
            true => self.workers.iter().map(Workers::per_s).sum(),
            false => per_s(self.count(), self.slowest().map_or(0.0, |workers| workers.time_ms)),
        }
    }

    fn per_broker(&self) -> f64 {
        self.per_s() / self.brokers.len() as f64
    }

    fn slowest(&self) -> Option<&Workers<'_>> {
        self.workers.iter().filter(|workers| workers.count > 0).max_by(|a, b| a.time_ms.total_cmp(&b.time_ms))
    }

    /// Share of its messages that goes to some of its workers.
    fn share(&self, of: &Workers<'_>) -> f64 {
        let weight = |workers: &Workers<'_>| match self.is_least_busy() {
            true => workers.count as f64 / workers.time_ms.max(SHORTEST_MS),
            false => workers.count as f64,
        };
        let all: f64 = self.workers.iter().map(weight).sum();
        if all > 0.0 { weight(of) / all } else { 0.0 }
    }

    fn mean(&self, value: impl Fn(&Workers<'_>) -> f64) -> f64 {
        self.workers.iter().map(|workers| self.share(workers) * value(workers)).sum()
    }
}

/// The responder workers of a deployment, by the brokers that send to them. A requester worker takes the brokers in turn.
pub struct Responders<'a>(Vec<Pool<'a>>);

/// How fast all responder workers can go together.
#[derive(Debug)]
pub struct Limit<'a> {
    /// Messages a second for which no queue grows.
    pub per_s: f64,
    /// The instance that limits all others, with its share of the messages.
    pub slowest: Option<(&'a Instance, f64)>,
    /// Workers: of the slowest instance, or all.
    pub workers: usize,
    /// Mean time of a message at these workers.
    pub time_ms: f64,
}

impl<'a> Responders<'a> {
    pub fn of(topology: &'a Topology) -> Self {
        let mut by_process: HashMap<_, Vec<Workers<'a>>> = HashMap::new();
        for view in ready(topology, Tier::Responder) {
            by_process.entry(process_of(&view.snapshot.instance)).or_default().push(Workers::of(view));
        }
        let with_responder: HashSet<_> = processes(topology, Tier::Responder).collect();
        let (mut pools, mut apart) = (vec![], vec![]);
        for broker in ready(topology, Tier::Broker) {
            let process = process_of(&broker.snapshot.instance);
            match with_responder.contains(&process) {
                true => {
                    let workers = by_process.remove(&process).unwrap_or_default();
                    pools.push(Pool { brokers: vec![broker], workers });
                }
                false => apart.push(broker),
            }
        }
        if !apart.is_empty() {
            // Those whose own broker is not ready wait for that one.
            processes(topology, Tier::Broker).for_each(|process| drop(by_process.remove(&process)));
            pools.push(Pool { brokers: apart, workers: by_process.into_values().flatten().collect() });
        }
        Self(pools)
    }

    pub fn has_broker(&self) -> bool {
        !self.0.is_empty()
    }

    /// Mean time for which a message has a worker, in milliseconds; 0 without workers.
    pub fn time_ms(&self) -> f64 {
        self.mean(|workers| workers.time_ms)
    }

    /// Share of the messages at workers that end as responses.
    pub fn answered(&self) -> f64 {
        self.mean(|workers| workers.answered)
    }

    /// None without a worker.
    pub fn limit(&self) -> Option<Limit<'_>> {
        let least = self.0.iter().min_by(|a, b| a.per_broker().total_cmp(&b.per_broker()))?;
        let workers = self.0.iter().map(Pool::count).sum();
        if workers == 0 {
            return None;
        }
        let limit = least.per_broker() * self.brokers();
        let together: f64 = self.0.iter().flat_map(|pool| &pool.workers).map(Workers::per_s).sum();
        let all = Limit { per_s: limit, slowest: None, workers, time_ms: self.time_ms() };
        if limit >= together * (1.0 - ALIKE) {
            return Some(all);
        }
        let turn = least.brokers.len() as f64 / self.brokers();
        Some(match least.slowest() {
            Some(slowest) => Limit {
                slowest: Some((slowest.instance, turn * least.share(slowest))),
                workers: slowest.count,
                time_ms: slowest.time_ms,
                ..all
            },
            None => Limit { slowest: Some((&least.brokers[0].snapshot.instance, turn)), workers: 0, ..all },
        })
    }

    fn brokers(&self) -> f64 {
        self.0.iter().map(|pool| pool.brokers.len()).sum::<usize>() as f64
    }

    fn mean(&self, value: impl Fn(&Workers<'_>) -> f64) -> f64 {
        let with_workers = || self.0.iter().filter(|pool| pool.count() > 0);
        let brokers: usize = with_workers().map(|pool| pool.brokers.len()).sum();
        with_workers().map(|pool| pool.brokers.len() as f64 / brokers as f64 * pool.mean(&value)).sum()
    }
}

/// The processes of a tier's living instances.
fn processes(topology: &Topology, tier: Tier) -> impl Iterator<Item = Process<'_>> {
    topology.living(tier).map(|view| process_of(&view.snapshot.instance))
}

fn per_s(workers: usize, time_ms: f64) -> f64 {
    if workers == 0 { 0.0 } else { capacity_per_s(workers, time_ms).unwrap_or(f64::INFINITY) }
}

/// The instances of a tier that take new work.
pub fn ready(topology: &Topology, tier: Tier) -> impl Iterator<Item = &InstanceView> {
    topology.living(tier).filter(|view| view.snapshot.state == InstanceState::Ready)
}

/// The indexes of an instance's workers that are alive.
pub fn at_work(view: &InstanceView) -> impl Iterator<Item = usize> {
    let alive =
        view.snapshot.workers.iter().filter(|worker| matches!(worker.state, WorkerState::Idle | WorkerState::Busy));
    alive.map(|worker| worker.index)
}

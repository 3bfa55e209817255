//! Makes events of the log from telemetry events that change the known state.

use std::time::Duration;

use super::{EventKind, LoggedEvent};
use crate::wire::{
    Event, ExperimentView, InstanceState, InstanceView, LinkState, Snapshot, Topology, WorkerState, WorkerView, now_ms,
};

/// An instance that comes after it has run for longer is heard of again, or was there before this web tier.
const YOUNG: Duration = Duration::from_secs(5);

/// A pool is made within this time of its instance's start.
const POOL_IS_MADE: Duration = Duration::from_secs(1);

/// What an event changes of what was known `before` it. `pool`: the pool's size in the last snapshot of its instance.
pub fn differences(event: &Event, before: &Topology, pool: Option<usize>) -> Vec<LoggedEvent> {
    match event {
        Event::Instance { snapshot } => of_snapshot(snapshot, before.instances.get(&snapshot.instance.id), pool),
        Event::InstanceGone { id, reason, .. } => gone(EventKind::InstanceLeft, before.instances.get(id), reason),
        Event::Worker { instance, worker, reason, .. } => {
            let Some(view) = before.instances.get(instance) else { return vec![] };
            of_worker(view, worker, reason.as_deref()).collect()
        }
        Event::Link { instance, address, state, reason, .. } => {
            let was_up = before.links.get(address).is_some_and(|link| link.state == LinkState::Connected);
            let kind = match (was_up, *state == LinkState::Connected) {
                (false, true) => EventKind::LinkFound,
                (true, false) => EventKind::LinkLost,
                _ => return vec![],
            };
            let (subject, reason) = (Some(address.clone()), reason.clone());
            let event = LoggedEvent { subject, reason, ..LoggedEvent::new(kind, now_ms()) };
            vec![match before.instances.get(instance) {
                Some(own) => event.of(&own.snapshot.instance),
                None => event,
            }]
        }
        _ => vec![],
    }
}

/// The event of an instance that is declared lost by `event`.
pub fn lost(event: &Event, before: &Topology) -> Vec<LoggedEvent> {
    match event {
        Event::InstanceGone { id, reason, .. } => gone(EventKind::InstanceLost, before.instances.get(id), reason),
        _ => vec![],
    }
}

/// The start and the end of an experiment.
pub fn experiment_news(before: Option<&ExperimentView>, now: &ExperimentView) -> Option<LoggedEvent> {
    let was_running = before.is_some_and(|before| before.id == now.id && before.is_running());
    let event = |kind, after| LoggedEvent {
        subject: Some(now.id.clone()),
        after: Some(after),
        reason: now.reason.clone(),
        ..LoggedEvent::new(kind, now_ms())
    };
    let plan = || format!("plan {}, target {}, {} trials", now.plan, now.target, now.trials);
    let end = || format!("{}, {} of {} trials", now.state.name(), now.ended, now.trials);
    match (was_running, now.is_running()) {
        (false, true) => Some(event(EventKind::ExperimentStarted, plan())),
        (true, false) => Some(event(EventKind::ExperimentEnded, end())),
        _ => None,
    }
}

fn gone(kind: EventKind, before: Option<&InstanceView>, reason: &str) -> Vec<LoggedEvent> {
    let alive = before.filter(|view| view.snapshot.state != InstanceState::Gone);
    let event = |view: &InstanceView| {
        LoggedEvent { reason: Some(reason.to_owned()), ..LoggedEvent::new(kind, now_ms()) }.of(&view.snapshot.instance)
    };
    alive.map(event).into_iter().collect()
}

fn of_snapshot(now: &Snapshot, before: Option<&InstanceView>, pool: Option<usize>) -> Vec<LoggedEvent> {
    let Some(view) = before else { return vec![came(now)] };
    let is_alive = view.snapshot.state != InstanceState::Gone;
    let is_same = view.snapshot.instance.started_at == now.instance.started_at;
    let mut events = vec![];
    if !is_same {
        // One that is gone already is not lost once more.
        events.extend(gone(EventKind::InstanceLost, before, "it was started again"));
    }
    if !is_alive || !is_same {
        events.push(came(now));
    }
    // Also of one that was only silent.
    if is_same {
        events.extend(changed(now, view, pool));
    }
    events
}

fn came(now: &Snapshot) -> LoggedEvent {
    let age = Duration::from_secs(now.uptime_ms.unwrap_or(0) / 1_000);
    let runs = || format!("it has been running for {}", humantime::format_duration(age));
    let reason = (age > YOUNG).then(runs);
    LoggedEvent { reason, ..LoggedEvent::new(EventKind::InstanceCame, now_ms()) }.of(&now.instance)
}

/// What has changed about an instance that goes on.
fn changed(now: &Snapshot, before: &InstanceView, pool: Option<usize>) -> Vec<LoggedEvent> {
    let mut events: Vec<_> = now.workers.iter().flat_map(|worker| of_worker(before, worker, None)).collect();
    let before = &before.snapshot;
    let mut value = |kind, before: String, after: String| {
        let (before, after) = (Some(before), Some(after));
        events.push(LoggedEvent { before, after, ..LoggedEvent::new(kind, now_ms()) }.of(&now.instance));
    };
    let (had, has) = (pool.unwrap_or_default(), now.pool_size());
    let is_made = had == 0 && before.uptime_ms.is_some_and(|ms| u128::from(ms) < POOL_IS_MADE.as_millis());
    if had != has && !is_made && now.state != InstanceState::Draining {
        value(EventKind::Scaled, had.to_string(), has.to_string());
    }
    if let (Some(had), Some(has)) = (before.delay, now.delay)
        && had != has
    {
        value(EventKind::DelayChanged, had.to_string(), has.to_string());
    }
    if let (Some(had), Some(has)) = (before.dispatch, now.dispatch)
        && had != has
    {
        value(EventKind::DispatchChanged, had.name().to_owned(), has.name().to_owned());
    }
    if (before.faults, &before.stalled) != (now.faults, &now.stalled) {
        value(EventKind::FaultsChanged, faults(before), faults(now));
    }
    events
}

/// The faults of an instance in words.
fn faults(snapshot: &Snapshot) -> String {
    let faults = snapshot.faults.unwrap_or_default();
    let errors = || format!("{} % errors", (faults.error_rate * 10_000.0).round() / 100.0);
    let stalled = || {
        let indexes: Vec<_> = snapshot.stalled.iter().map(ToString::to_string).collect();
        format!("stalled: worker {}", indexes.join(", "))
    };
    let parts = [
        (faults.error_rate > 0.0).then(errors),
        (faults.extra_latency_ms > 0).then(|| format!("{} ms slower", faults.extra_latency_ms)),
        faults.failing.then(|| "failing".to_owned()),
        (!snapshot.stalled.is_empty()).then(stalled),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// The events of a worker that died, and of its restart. `reason`: why it died, `None` if its instance does not say.
fn of_worker(view: &InstanceView, now: &WorkerView, reason: Option<&str>) -> impl Iterator<Item = LoggedEvent> + use<> {
    let is_up = |worker: &WorkerView| matches!(worker.state, WorkerState::Idle | WorkerState::Busy);
    let before = view.worker(now.index);
    let died = before.is_some_and(|before| now.restarts > before.restarts);
    let was_down = before.is_some_and(|before| {
        before.restarts > 0 && matches!(before.state, WorkerState::Starting | WorkerState::Restarting)
    });
    let event = |kind, reason: Option<&str>| {
        let (worker, reason) = (Some(now.index), reason.map(str::to_owned));
        LoggedEvent { worker, reason, ..LoggedEvent::new(kind, now_ms()) }.of(&view.snapshot.instance)
    };
    let death = died.then(|| match reason.and_then(|reason| reason.strip_prefix("panicked: ")) {
        Some(words) => event(EventKind::WorkerPanicked, Some(words)),
        None => event(EventKind::WorkerFailed, reason),
    });
    let back = (is_up(now) && (died || was_down)).then(|| event(EventKind::WorkerRestarted, None));
    death.into_iter().chain(back)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Delay, Dispatch, Faults, Tier, snapshot};

    const ID: &str = "responder-1";

    fn worker(index: usize, state: WorkerState, restarts: u32) -> WorkerView {
        WorkerView { index, id: String::new(), state, handled: 0, restarts }
    }

    /// A responder with idle workers.
    fn responder(workers: usize) -> Snapshot {
        let workers = (0..workers).map(|index| worker(index, WorkerState::Idle, 0)).collect();
        let delay = Some(Delay::NONE);
        Snapshot { workers, delay, uptime_ms: Some(2_000), ..snapshot(ID, Tier::Responder) }
    }

    fn tell(snapshot: &Snapshot) -> Event {
        Event::Instance { snapshot: Box::new(snapshot.clone()) }
    }

    fn tell_worker(worker: WorkerView, reason: Option<&str>) -> Event {
        Event::Worker { instance: ID.into(), at: 1, worker, reason: reason.map(str::to_owned) }
    }

    /// What each event is in the log: the kind, the values, the worker, the reason.
    fn seen(topology: &mut Topology, events: &[Event]) -> Vec<String> {
        let (mut told, mut pool) = (vec![], None);
        for event in events {
            for logged in differences(event, topology, pool) {
                let LoggedEvent { kind, before, after, worker, reason, .. } = logged;
                assert_eq!((logged.instance.as_deref(), logged.node.as_deref()), (Some(ID), Some("pi-1")));
                let values = before.zip(after).map(|(before, after)| format!(" {before} -> {after}"));
                let worker = worker.map(|index| format!(" #{index}"));
                let reason = reason.map(|reason| format!(": {reason}"));
                let parts = [values, worker, reason].map(Option::unwrap_or_default);
                told.push(format!("{kind:?}{}", parts.concat()));
            }
            topology.apply(event, 0);
            if let Event::Instance { snapshot } = event {
                pool = Some(snapshot.pool_size());
            }
        }
        told
    }

    #[test]
    fn an_instance_comes_goes_and_comes_back() {
        let mut topology = Topology::default();
        let gone = Event::InstanceGone { id: ID.into(), at: 1, reason: "it was shut down".into() };
        let first = responder(1);
        let mut old = Snapshot { uptime_ms: Some(95_400), ..first.clone() };
        old.delay = Some(Delay::fixed(Duration::from_millis(5)));
        let mut again = first.clone();
        again.instance.started_at += 1;
        let events = [tell(&first), tell(&first), gone.clone(), gone, tell(&old), tell(&again)];
        let expected = [
            "InstanceCame",
            "InstanceLeft: it was shut down",
            "InstanceCame: it has been running for 1m 35s",
            "DelayChanged none -> fixed 5ms",
            "InstanceLost: it was started again",
            "InstanceCame",
        ];
        assert_eq!(seen(&mut topology, &events), expected);
        let silent = Event::InstanceGone { id: ID.into(), at: 1, reason: "silent".into() };
        assert_eq!(lost(&silent, &topology)[0].kind, EventKind::InstanceLost);
        assert!(
            lost(&silent, &Topology::default()).is_empty()
                && differences(&silent, &Topology::default(), None).is_empty()
        );
    }

    #[test]
    fn each_value_that_changes_is_told_with_what_it_was() {
        let mut topology = Topology::default();
        let first = responder(3);
        let slow = Snapshot { delay: Some(Delay::fixed(Duration::from_millis(300))), ..first.clone() };
        let faulty = Faults { error_rate: 0.125, extra_latency_ms: 20, failing: true };
        let faulty = Snapshot { faults: Some(faulty), stalled: vec![0, 2], ..slow.clone() };
        let busy = Snapshot { dispatch: Some(Dispatch::LeastBusy), ..faulty.clone() };
        let other = Snapshot { dispatch: Some(Dispatch::RoundRobin), ..faulty.clone() };
        let events = [&first, &slow, &slow, &faulty, &busy, &other].map(tell);
        let expected = [
            "InstanceCame",
            "DelayChanged none -> fixed 300ms",
            "FaultsChanged none -> 12.5 % errors, 20 ms slower, failing, stalled: worker 0, 2",
            "DispatchChanged least-busy -> round-robin",
        ];
        assert_eq!(seen(&mut topology, &events), expected);
    }

    #[test]
    fn workers_that_leave_count_no_more_and_a_pool_that_is_being_made_or_drained_is_not_scaled() {
        let mut topology = Topology::default();
        let empty = Snapshot { uptime_ms: Some(10), ..responder(0) };
        let full = responder(3);
        let mut shrinks = full.clone();
        shrinks.workers[2].state = WorkerState::Draining;
        let mut drains = Snapshot { state: InstanceState::Draining, ..responder(3) };
        drains.workers.iter_mut().for_each(|worker| worker.state = WorkerState::Draining);
        let mut events =
            [&empty, &full, &shrinks, &responder(2), &responder(0), &responder(1), &drains].map(tell).to_vec();
        // An event of a worker arrives before the snapshot of its instance that says the same.
        events.insert(2, tell_worker(worker(2, WorkerState::Draining, 0), None));
        events.insert(6, tell_worker(worker(0, WorkerState::Starting, 0), None));
        let expected = ["InstanceCame", "Scaled 3 -> 2", "Scaled 2 -> 0", "Scaled 0 -> 1"];
        assert_eq!(seen(&mut topology, &events), expected);
    }

    #[test]
    fn a_worker_that_dies_is_told_once_with_its_reason_and_once_when_it_is_back() {
        use WorkerState::{Busy, Idle, Restarting, Starting};
        let mut topology = Topology::default();
        let with = |state, restarts| Snapshot { workers: vec![worker(0, state, restarts)], ..responder(0) };
        let events = [
            tell(&with(Idle, 0)),
            tell_worker(worker(0, Restarting, 1), Some("panicked: crashed on request")),
            tell(&with(Restarting, 1)),
            tell_worker(worker(0, Starting, 1), None),
            tell_worker(worker(0, Idle, 1), None),
            tell_worker(worker(0, Busy, 1), None),
            tell(&with(Idle, 1)),
            tell_worker(worker(0, Restarting, 2), Some("it ended by itself")),
            // Its events were lost.
            tell(&with(Idle, 2)),
            tell(&with(Busy, 4)),
            tell_worker(worker(7, Idle, 9), None),
        ];
        let expected = [
            "InstanceCame",
            "WorkerPanicked #0: crashed on request",
            "WorkerRestarted #0",
            "WorkerFailed #0: it ended by itself",
            "WorkerRestarted #0",
            "WorkerFailed #0",
            "WorkerRestarted #0",
        ];
        assert_eq!(seen(&mut topology, &events), expected);
    }
}

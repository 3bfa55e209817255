//! Changes that are not in the log yet: what happens to one instance within a moment becomes one event, and so does the same
//! change of several instances. Also who asked for a change that is still to come.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{By, EventKind, LoggedEvent};

/// How long a change waits for others.
const MOMENT: Duration = Duration::from_millis(200);

/// How long after a call its effect is known at the latest: an experiment that is stopped writes what it has for up to 10 s.
const EFFECT: Duration = Duration::from_secs(12);

/// The instance, or whatever else it is about, and what happens to it.
type Key = (String, EventKind);

/// Changes on their way to the log.
#[derive(Debug, Default)]
pub struct Pending {
    changes: HashMap<Key, Change>,
    /// Number of changes so far, which orders them.
    count: u64,
    expected: HashMap<Key, Expected>,
}

/// Who asked for a change, how many of them are still to come, and how long these are waited for.
#[derive(Debug)]
struct Expected {
    by: By,
    count: u64,
    until: Instant,
}

#[derive(Debug)]
struct Change {
    number: u64,
    since: Instant,
    event: LoggedEvent,
}

/// Whether events of a kind may be about several workers or instances, and so wait for others.
fn gathers(kind: EventKind) -> bool {
    is_of_worker(kind) || is_of_value(kind)
}

fn is_of_worker(kind: EventKind) -> bool {
    matches!(kind, EventKind::WorkerPanicked | EventKind::WorkerFailed | EventKind::WorkerRestarted)
}

fn is_of_value(kind: EventKind) -> bool {
    use EventKind::{DelayChanged, DispatchChanged, FaultsChanged, Scaled};
    matches!(kind, Scaled | DelayChanged | DispatchChanged | FaultsChanged)
}

impl Pending {
    /// What is about to happen to `subject` is caused by somebody.
    pub fn expect(&mut self, subject: &str, kind: EventKind, by: By, now: Instant) {
        let until = now + EFFECT;
        let expected =
            self.expected.entry((subject.to_owned(), kind)).or_insert(Expected { by: by.clone(), count: 0, until });
        // Several workers may be made to panic; of a value only the last change counts.
        let adds = is_of_worker(kind) && expected.by == by;
        *expected = Expected { by, count: if adds { expected.count + 1 } else { 1 }, until };
    }

    /// Who is behind something that has happened.
    fn cause(&mut self, key: &Key, now: Instant) -> Option<By> {
        let expected = self.expected.get_mut(key)?;
        expected.count -= 1;
        let by = (now <= expected.until).then(|| expected.by.clone());
        if expected.count == 0 {
            self.expected.remove(key);
        }
        by
    }

    /// Takes a change in; the events that are complete with it, in their order.
    pub fn take(&mut self, mut event: LoggedEvent, now: Instant) -> Vec<LoggedEvent> {
        let key = (event.subject().to_owned(), event.kind);
        let cause = self.cause(&key, now);
        event.by = event.by.or(cause);
        if !gathers(event.kind) {
            // What happened to the instance before comes first.
            let mut events = self.complete(|subject, _| *subject == key.0);
            events.push(event);
            return events;
        }
        let kind = event.kind;
        match self.changes.get_mut(&key) {
            // Somebody else did it, which is another event.
            Some(change) if change.event.by != event.by => {
                let events = self.complete(|subject, other| *subject == key.0 && other == kind);
                self.begin(key, event, now);
                return events;
            }
            Some(change) if is_of_worker(kind) => {
                let known = &mut change.event;
                known.count += event.count;
                known.worker = known.worker.filter(|worker| Some(*worker) == event.worker);
            }
            Some(change) => change.event.after = event.after,
            None => self.begin(key, event, now),
        }
        vec![]
    }

    /// The events of the changes that have waited for others long enough.
    pub fn due(&mut self, now: Instant) -> Vec<LoggedEvent> {
        self.expected.retain(|_, expected| now <= expected.until);
        let due: Vec<_> = self.changes.extract_if(|_, change| now.duration_since(change.since) >= MOMENT).collect();
        gather(due)
    }

    fn begin(&mut self, key: Key, event: LoggedEvent, now: Instant) {
        self.count += 1;
        self.changes.insert(key, Change { number: self.count, since: now, event });
    }

    fn complete(&mut self, which: impl Fn(&String, EventKind) -> bool) -> Vec<LoggedEvent> {
        gather(self.changes.extract_if(|(subject, kind), _| which(subject, *kind)).collect())
    }
}

/// The events of changes: one of those that are the same but for their instance, and none of a value that is again what it was.
fn gather(mut changes: Vec<(Key, Change)>) -> Vec<LoggedEvent> {
    changes.sort_unstable_by_key(|(_, change)| change.number);
    let mut events: Vec<LoggedEvent> = vec![];
    for (_, Change { event, .. }) in changes {
        if !is_of_value(event.kind) {
            events.push(event);
        } else if event.before != event.after {
            let same = |known: &LoggedEvent| {
                (known.kind, known.tier, &known.before, &known.after, &known.by)
                    == (event.kind, event.tier, &event.before, &event.after, &event.by)
            };
            match events.iter_mut().find(|known| same(known)) {
                Some(known) => {
                    known.count += 1;
                    known.service = known.service.take().filter(|service| Some(service) == event.service.as_ref());
                    (known.instance, known.node, known.slot) = (None, None, None);
                }
                None => events.push(event),
            }
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Tier, snapshot};

    fn change(instance: &str, kind: EventKind, before: &str, after: &str) -> LoggedEvent {
        let event = LoggedEvent { before: Some(before.into()), after: Some(after.into()), ..LoggedEvent::new(kind, 1) };
        event.of(&snapshot(instance, Tier::Responder).instance)
    }

    fn death(instance: &str, worker: usize) -> LoggedEvent {
        let event = LoggedEvent { worker: Some(worker), ..LoggedEvent::new(EventKind::WorkerPanicked, 1) };
        event.of(&snapshot(instance, Tier::Responder).instance)
    }

    fn gone(instance: &str) -> LoggedEvent {
        LoggedEvent::new(EventKind::InstanceLost, 2).of(&snapshot(instance, Tier::Responder).instance)
    }

    fn somebody() -> By {
        By::call(Some([10, 0, 0, 7].into()), None)
    }

    #[test]
    fn one_call_that_changes_many_instances_is_one_event_with_who_did_it() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for instance in ["a", "b", "c"] {
            pending.expect(instance, EventKind::DelayChanged, somebody(), now);
        }
        for instance in ["a", "b", "c"] {
            assert!(pending.take(change(instance, EventKind::DelayChanged, "none", "fixed 5ms"), now).is_empty());
        }
        assert!(pending.due(now).is_empty(), "others may follow");
        let [event] = &pending.due(now + MOMENT)[..] else { panic!("{pending:?}") };
        assert_eq!((event.count, &event.instance, event.tier), (3, &None, Some(Tier::Responder)));
        assert_eq!((&event.by, event.service.as_deref()), (&Some(somebody()), Some("responder")));
        assert!(pending.due(now + 2 * MOMENT).is_empty() && pending.expected.is_empty());
    }

    #[test]
    fn an_effect_that_comes_too_late_or_a_second_time_is_nobodys() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.expect("a", EventKind::Scaled, somebody(), now);
        pending.take(change("a", EventKind::Scaled, "3", "4"), now + EFFECT + MOMENT);
        assert_eq!(pending.due(now + 2 * EFFECT)[0].by, None);
        pending.expect("a", EventKind::Scaled, somebody(), now);
        pending.take(change("a", EventKind::Scaled, "4", "5"), now);
        let first = pending.take(change("a", EventKind::Scaled, "5", "6"), now);
        assert_eq!((first.len(), &first[0].by, first[0].after.as_deref()), (1, &Some(somebody()), Some("5")));
        let second = pending.due(now + MOMENT);
        assert_eq!((&second[0].by, second[0].before.as_deref()), (&None, Some("5")));
        pending.expect("b", EventKind::Scaled, somebody(), now);
        assert!(pending.due(now + EFFECT + MOMENT).is_empty() && pending.expected.is_empty(), "it is forgotten");
    }

    #[test]
    fn a_pool_that_shrinks_worker_by_worker_is_one_event_and_one_that_is_again_as_it_was_none() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        for (before, after) in [("5", "4"), ("4", "2")] {
            pending.take(change("a", EventKind::Scaled, before, after), now);
        }
        for (before, after) in [("none", "stalls"), ("stalls", "none")] {
            pending.take(change("a", EventKind::FaultsChanged, before, after), now);
        }
        let events = pending.due(now + MOMENT);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!((events[0].before.as_deref(), events[0].after.as_deref()), (Some("5"), Some("2")));
    }

    #[test]
    fn workers_of_an_instance_that_die_together_are_one_event_before_its_end() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        // Two calls for two workers, before either has died.
        (0..2).for_each(|_| pending.expect("a", EventKind::WorkerPanicked, somebody(), now));
        for (instance, worker) in [("a", 0), ("a", 3), ("b", 1)] {
            pending.take(death(instance, worker), now);
        }
        let events = pending.take(gone("a"), now);
        assert_eq!((&events[0].by, &events[1].by), (&Some(somebody()), &None));
        let seen: Vec<_> = events.iter().map(|event| (event.kind, event.count, event.worker)).collect();
        assert_eq!(seen, [(EventKind::WorkerPanicked, 2, None), (EventKind::InstanceLost, 1, None)]);
        let other = pending.due(now + MOMENT);
        assert_eq!((other.len(), other[0].worker, other[0].instance.as_deref()), (1, Some(1), Some("b")));
    }

    #[test]
    fn events_of_different_kinds_keep_their_order() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.take(death("a", 0), now);
        let back = LoggedEvent { kind: EventKind::WorkerRestarted, ..death("a", 0) };
        pending.take(back, now);
        pending.take(change("a", EventKind::Scaled, "1", "2"), now);
        let kinds: Vec<_> = pending.due(now + MOMENT).iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::WorkerPanicked, EventKind::WorkerRestarted, EventKind::Scaled]);
    }
}

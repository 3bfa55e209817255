//! The sums of all instances' counts since this web instance started, which go on when instances end.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::wire::{Instance, Ledger, LostWith, Snapshot, Tier, TierFigures};

/// Ended runs whose counts are kept apart, so that they are not counted twice when an instance that was silent is back.
const MAX_ENDED: usize = 1_000;

/// Instances with which something was lost, and instances whose counts do not balance, that are named for each tier.
const MAX_NAMED: usize = 5;

/// What starts so long before this web instance starts with it: its counts are all of the time since.
const WITH_IT: Duration = Duration::from_secs(1);

/// The counts of one run of an instance: from the start of its process to its end.
#[derive(Debug)]
struct Run {
    tier: Tier,
    name: String,
    node: String,
    /// When its process started, and its process: a restarted instance may have the same id.
    process: (u64, u32),
    /// Its counts when this web instance began to count. What was in flight then is not in it: it is sent since.
    base: Counts,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    ledger: Ledger,
    requests: u64,
}

/// A run that ended.
#[derive(Debug)]
struct Ended {
    id: String,
    /// Milliseconds since the epoch.
    at: u64,
    run: Run,
}

/// Sums of the counts of runs.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    ledger: Ledger,
    lost: u64,
    requests: u64,
}

/// The totals of every tier.
#[derive(Debug)]
pub struct Totals {
    begun: Instant,
    /// By instance id.
    living: HashMap<String, Run>,
    /// In the order of their ends.
    ended: VecDeque<Ended>,
    /// Of the runs that ended before those.
    before: BTreeMap<Tier, Sum>,
}

fn process(instance: &Instance) -> (u64, u32) {
    (instance.started_at, instance.pid)
}

impl Run {
    /// A run as it is found. What it counted before `age` ago, if it is older, is not counted.
    fn new(snapshot: &Snapshot, age: Duration) -> Self {
        let (instance, counts) = (&snapshot.instance, Counts::of(snapshot));
        let is_older = snapshot.uptime_ms.is_some_and(|uptime| Duration::from_millis(uptime) > age + WITH_IT);
        let base = if is_older { counts.without_in_flight() } else { Counts::default() };
        let (name, node) = (instance.name(), instance.node.clone());
        Self { tier: instance.tier, name, node, process: process(instance), base, counts }
    }

    /// Its ledger since this web instance began to count.
    fn ledger(&self) -> Ledger {
        self.counts.ledger.since(&self.base.ledger)
    }

    fn lost(&self) -> u64 {
        self.counts.ledger.in_flight
    }

    fn requests(&self) -> u64 {
        self.counts.requests.saturating_sub(self.base.requests)
    }
}

impl Counts {
    fn of(snapshot: &Snapshot) -> Self {
        Self { ledger: snapshot.ledger, requests: snapshot.requests.unwrap_or_default() }
    }

    fn without_in_flight(&self) -> Self {
        let Ledger { sent, in_flight, .. } = self.ledger;
        let ledger = Ledger { sent: sent.saturating_sub(in_flight), in_flight: 0, ..self.ledger };
        Self { ledger, ..*self }
    }
}

impl Sum {
    fn add_living(&mut self, run: &Run) {
        self.ledger.add(&run.ledger());
        self.requests = self.requests.saturating_add(run.requests());
    }

    fn add_ended(&mut self, run: &Run) {
        self.ledger.add(&Ledger { in_flight: 0, ..run.ledger() });
        self.lost = self.lost.saturating_add(run.lost());
        self.requests = self.requests.saturating_add(run.requests());
    }
}

impl Totals {
    /// Begins to count.
    pub fn new(now: Instant) -> Self {
        Self { begun: now, living: HashMap::new(), ended: VecDeque::new(), before: BTreeMap::new() }
    }

    /// Takes in an instance's state. `at`: milliseconds since the epoch.
    pub fn take(&mut self, snapshot: &Snapshot, now: Instant, at: u64) {
        let (id, process) = (&snapshot.instance.id, process(&snapshot.instance));
        if self.living.get(id).is_some_and(|run| run.process != process) {
            self.end(id, at);
        }
        if let Some(run) = self.living.get_mut(id) {
            // A state that was overtaken by a later one changes nothing.
            if run.counts.ledger.grows_to(&snapshot.ledger) {
                run.counts = Counts::of(snapshot);
            }
            return;
        }
        let silent = self.ended.iter().position(|ended| ended.id == *id && ended.run.process == process);
        match silent.and_then(|place| self.ended.remove(place)) {
            Some(ended) => {
                self.living.insert(id.clone(), ended.run);
                self.take(snapshot, now, at);
            }
            None => {
                let run = Run::new(snapshot, now.duration_since(self.begun));
                self.living.insert(id.clone(), run);
            }
        }
    }

    /// An instance is gone.
    pub fn end(&mut self, id: &str, at: u64) {
        let Some(run) = self.living.remove(id) else { return };
        self.ended.push_back(Ended { id: id.to_owned(), at, run });
        if self.ended.len() > MAX_ENDED
            && let Some(Ended { run, .. }) = self.ended.pop_front()
        {
            self.before.entry(run.tier).or_default().add_ended(&run);
        }
    }

    /// Requests that web instances accepted.
    pub fn requests(&self) -> u64 {
        self.sum(Tier::Web).requests
    }

    /// The figures of a tier; without its rate.
    pub fn of(&self, tier: Tier) -> TierFigures {
        let Sum { ledger, lost, .. } = self.sum(tier);
        let with_loss = self.ended_of(tier).rev().filter(|ended| ended.run.lost() > 0);
        let runs = self.living_of(tier).chain(self.ended_of(tier).map(|ended| &ended.run));
        let mut unbalanced: Vec<_> =
            runs.filter(|run| !run.ledger().is_balanced()).map(|run| run.name.clone()).collect();
        unbalanced.sort();
        let balanced = unbalanced.is_empty();
        unbalanced.truncate(MAX_NAMED);
        TierFigures {
            tier,
            instances: self.living_of(tier).count(),
            per_s: 0.0,
            ledger,
            lost,
            lost_with: with_loss.take(MAX_NAMED).map(Ended::lost_with).collect(),
            balanced,
            unbalanced,
        }
    }

    fn sum(&self, tier: Tier) -> Sum {
        let mut sum = self.before.get(&tier).copied().unwrap_or_default();
        self.living_of(tier).for_each(|run| sum.add_living(run));
        self.ended_of(tier).for_each(|ended| sum.add_ended(&ended.run));
        sum
    }

    fn living_of(&self, tier: Tier) -> impl Iterator<Item = &Run> {
        self.living.values().filter(move |run| run.tier == tier)
    }

    fn ended_of(&self, tier: Tier) -> impl DoubleEndedIterator<Item = &Ended> {
        self.ended.iter().filter(move |ended| ended.run.tier == tier)
    }
}

impl Ended {
    fn lost_with(&self) -> LostWith {
        LostWith { name: self.run.name.clone(), node: self.run.node.clone(), at: self.at, lost: self.run.lost() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::snapshot;

    const TIER: Tier = Tier::Requester;

    /// The state of a requester of this id and start, with so many sent and responses; all others are in flight.
    fn state(id: &str, started_at: u64, sent: u64, responses: u64) -> Snapshot {
        let mut state = snapshot(id, TIER);
        (state.instance.started_at, state.instance.slot) = (started_at, Some(id.to_owned()));
        state.ledger = Ledger { sent, responses, in_flight: sent - responses, ..Ledger::default() };
        state
    }

    struct Sums {
        totals: Totals,
        now: Instant,
        highest: Ledger,
    }

    impl Sums {
        fn new() -> Self {
            let now = Instant::now();
            Self { totals: Totals::new(now), now, highest: Ledger::default() }
        }

        fn take(&mut self, snapshot: &Snapshot) -> [u64; 4] {
            self.totals.take(snapshot, self.now, 7);
            self.look()
        }

        fn end(&mut self, id: &str) -> [u64; 4] {
            self.totals.end(id, 9);
            self.look()
        }

        /// Sent, responses, in flight, lost; no count is ever below what it was, and they balance.
        fn look(&mut self) -> [u64; 4] {
            let TierFigures { ledger, lost, balanced, .. } = self.totals.of(TIER);
            assert!(self.highest.grows_to(&ledger), "{ledger:?} after {:?}", self.highest);
            self.highest = ledger;
            assert!(balanced && ledger.sent == ledger.responses + ledger.in_flight + lost, "{ledger:?}, {lost} lost");
            [ledger.sent, ledger.responses, ledger.in_flight, lost]
        }
    }

    #[test]
    fn what_was_in_flight_in_an_instance_that_ended_is_lost_with_it_and_its_counts_stay() {
        let mut sums = Sums::new();
        sums.take(&state("1", 1, 10, 4));
        assert_eq!(sums.take(&state("2", 1, 5, 5)), [15, 9, 6, 0]);
        assert_eq!(sums.end("1"), [15, 9, 0, 6]);
        let figures = sums.totals.of(TIER);
        assert_eq!(figures.instances, 1);
        assert_eq!(figures.lost_with, [LostWith { name: "requester.1".into(), node: "pi-1".into(), at: 9, lost: 6 }]);
    }

    #[test]
    fn a_restarted_instance_begins_at_0_and_adds() {
        let mut sums = Sums::new();
        sums.take(&state("1", 1, 10, 4));
        assert_eq!(
            sums.take(&state("1", 2, 3, 1)),
            [13, 5, 2, 6],
            "a new process counts from 0, even if the end of the old one was not seen"
        );
        sums.end("1");
        assert_eq!(sums.take(&state("1", 3, 1, 1)), [14, 6, 0, 8]);
    }

    #[test]
    fn an_instance_that_was_silent_counts_once_when_it_is_back() {
        let mut sums = Sums::new();
        sums.take(&state("1", 1, 10, 4));
        assert_eq!(sums.end("1"), [10, 4, 0, 6]);
        assert_eq!(sums.take(&state("1", 1, 12, 12)), [12, 12, 0, 0], "nothing of it is lost");
        assert_eq!(sums.take(&state("1", 1, 11, 4)), [12, 12, 0, 0], "a state that was overtaken");
    }

    #[test]
    fn an_older_instance_counts_from_when_it_was_found() {
        let mut sums = Sums::new();
        let found = |sent, responses, uptime_ms| Snapshot { uptime_ms, ..state("1", 1, sent, responses) };
        assert_eq!(sums.take(&found(100, 97, Some(60_000))), [3, 0, 3, 0], "what was in flight ends since");
        assert_eq!(sums.take(&found(104, 102, Some(61_000))), [7, 5, 2, 0]);
        assert_eq!(sums.end("1"), [7, 5, 0, 2]);
        let mut young = state("2", 1, 10, 10);
        young.uptime_ms = Some(900);
        assert_eq!(sums.take(&young), [17, 15, 0, 2]);
    }

    #[test]
    fn however_many_end_the_sum_stays_and_what_is_kept_is_bounded() {
        let mut sums = Sums::new();
        for number in 0..MAX_ENDED as u64 + 50 {
            sums.take(&state(&number.to_string(), 1, 3, 2));
            sums.end(&number.to_string());
        }
        let all = MAX_ENDED as u64 + 50;
        assert_eq!(sums.look(), [3 * all, 2 * all, 0, all]);
        assert_eq!((sums.totals.living.len(), sums.totals.ended.len()), (0, MAX_ENDED));
        let named = sums.totals.of(TIER).lost_with;
        assert_eq!((named.len(), &*named[0].name), (MAX_NAMED, "requester.1049"), "the latest first");
    }

    #[test]
    fn an_instance_whose_counts_do_not_balance_is_named_though_another_makes_up_for_it() {
        let mut totals = Totals::new(Instant::now());
        for (id, sent) in [("1", 11), ("2", 9), ("3", 10)] {
            let mut state = state(id, 1, 10, 10);
            state.ledger.sent = sent;
            totals.take(&state, Instant::now(), 1);
        }
        let figures = totals.of(TIER);
        assert!(figures.ledger.is_balanced() && !figures.balanced);
        assert_eq!(figures.unbalanced, ["requester.1", "requester.2"]);
    }

    #[test]
    fn requests_of_web_instances_add_up() {
        let mut totals = Totals::new(Instant::now());
        for (id, requests) in [("1", 4), ("2", 5)] {
            totals.take(&Snapshot { requests: Some(requests), ..snapshot(id, Tier::Web) }, Instant::now(), 1);
        }
        totals.end("1", 2);
        assert_eq!((totals.requests(), totals.of(Tier::Web).instances), (9, 1));
    }
}

//! How fast each instance's counts grow, by the instance's own clock.

use std::collections::{HashMap, VecDeque};

use crate::wire::{Snapshot, Tier, Topology, Usage};

/// A shorter time between two snapshots gives no rate: they are published at changes too.
const SHORTEST_MS: u64 = 100;

/// Time over which rates are computed; the time between two snapshots if that is longer.
const WINDOW_MS: u64 = 2_000;

/// What an instance had counted at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// By the instance's clock that nobody sets; the wall clock where an earlier version does not report that.
    at_ms: u64,
    /// Requests of a web instance, messages of the others.
    count: Option<u64>,
    responses: u64,
    usage: Option<Usage>,
}

impl Reading {
    fn of(snapshot: &Snapshot) -> Self {
        let count = match snapshot.instance.tier {
            Tier::Web => snapshot.requests,
            _ => Some(snapshot.ledger.sent),
        };
        let at_ms = snapshot.uptime_ms.unwrap_or(snapshot.at);
        Self { at_ms, count, responses: snapshot.ledger.responses, usage: snapshot.usage }
    }
}

/// The latest readings of one run of an instance, oldest first.
#[derive(Debug)]
struct Series {
    /// When its process started, and its process.
    process: (u64, u32),
    readings: VecDeque<Reading>,
}

impl Series {
    fn add(&mut self, reading: Reading) {
        let readings = &mut self.readings;
        if readings.back().is_some_and(|last| reading.at_ms < last.at_ms.saturating_add(SHORTEST_MS)) {
            return;
        }
        readings.push_back(reading);
        while readings.get(1).is_some_and(|second| second.at_ms.saturating_add(WINDOW_MS) <= reading.at_ms) {
            readings.pop_front();
        }
    }

    /// Growth a second of what `value` reads; none before the second reading.
    fn growth(&self, value: impl Fn(&Reading) -> Option<u64>) -> Option<f64> {
        let (first, last) = (self.readings.front()?, self.readings.back()?);
        let elapsed_ms = last.at_ms.checked_sub(first.at_ms).filter(|elapsed| *elapsed > 0)?;
        let growth = value(last)?.saturating_sub(value(first)?);
        Some(growth as f64 * 1_000.0 / elapsed_ms as f64)
    }
}

/// The rates of every instance, by id.
#[derive(Debug, Default)]
pub struct Rates(HashMap<String, Series>);

impl Rates {
    /// Takes in an instance's state.
    pub fn take(&mut self, snapshot: &Snapshot) {
        let (instance, reading) = (&snapshot.instance, Reading::of(snapshot));
        let process = (instance.started_at, instance.pid);
        match self.0.get_mut(&instance.id) {
            Some(series) if series.process == process => series.add(reading),
            _ => {
                let readings = VecDeque::from([reading]);
                self.0.insert(instance.id.clone(), Series { process, readings });
            }
        }
    }

    /// Forgets the instances that a topology does not have.
    pub fn keep(&mut self, topology: &Topology) {
        self.0.retain(|id, _| topology.instances.contains_key(id));
    }

    /// Requests a second of a web instance, messages a second of another; none before its second snapshot.
    pub fn per_s(&self, id: &str) -> Option<f64> {
        self.growth(id, |reading| reading.count)
    }

    /// Responses a second.
    pub fn responses_per_s(&self, id: &str) -> Option<f64> {
        self.growth(id, |reading| Some(reading.responses))
    }

    /// CPU seconds a second of its process.
    pub fn cpus(&self, id: &str) -> Option<f64> {
        self.growth(id, |reading| reading.usage.map(|usage| usage.cpu_us)).map(|us| us / 1e6)
    }

    fn growth(&self, id: &str, value: impl Fn(&Reading) -> Option<u64>) -> Option<f64> {
        self.0.get(id)?.growth(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::snapshot;

    /// A requester's state after some time, with so many sent.
    fn state(uptime_ms: u64, sent: u64) -> Snapshot {
        let mut state = snapshot("a", Tier::Requester);
        // The wall clock is set back meanwhile.
        (state.uptime_ms, state.at, state.ledger.sent) = (Some(uptime_ms), 1_000_000 - uptime_ms, sent);
        state
    }

    #[test]
    fn the_first_rate_is_the_whole_one_and_snapshots_at_changes_give_none() {
        let mut rates = Rates::default();
        rates.take(&state(10_000, 500));
        assert_eq!(rates.per_s("a"), None);
        rates.take(&state(10_002, 502));
        assert_eq!(rates.per_s("a"), None, "too soon");
        rates.take(&state(10_500, 600));
        assert_eq!(rates.per_s("a"), Some(200.0));
        rates.take(&state(10_502, 604));
        assert_eq!(rates.per_s("a"), Some(200.0));
    }

    #[test]
    fn a_rate_is_of_the_last_two_seconds_and_ends() {
        let mut rates = Rates::default();
        for step in 0..=20 {
            rates.take(&state(step * 500, 50 * step));
        }
        assert_eq!(rates.per_s("a"), Some(100.0));
        rates.take(&state(10_500, 1_000));
        assert_eq!(rates.per_s("a"), Some(75.0));
        for step in 22..=24 {
            rates.take(&state(step * 500, 1_000));
        }
        assert_eq!(rates.per_s("a"), Some(0.0));
        assert_eq!(rates.0["a"].readings.len(), 5);
    }

    #[test]
    fn seldom_snapshots_give_the_rate_between_them_and_frequent_ones_are_bounded() {
        let mut rates = Rates::default();
        rates.take(&state(0, 0));
        rates.take(&state(30_000, 3_000));
        rates.take(&state(60_000, 3_000));
        assert_eq!(rates.per_s("a"), Some(0.0));
        (60_000..70_000).for_each(|ms| rates.take(&state(ms, ms)));
        assert!(rates.0["a"].readings.len() <= 22, "{}", rates.0["a"].readings.len());
        assert_eq!(rates.per_s("a"), Some(1_000.0));
    }

    #[test]
    fn a_restarted_instance_begins_anew_and_one_that_is_forgotten_is_no_more() {
        let mut rates = Rates::default();
        rates.take(&state(10_000, 500));
        let mut restarted = state(200, 3);
        restarted.instance.started_at = 9;
        rates.take(&restarted);
        assert_eq!(rates.per_s("a"), None);
        (restarted.uptime_ms, restarted.ledger.sent) = (Some(700), 8);
        rates.take(&restarted);
        assert_eq!(rates.per_s("a"), Some(10.0));
        rates.keep(&Topology::default());
        assert!(rates.0.is_empty());
    }

    #[test]
    fn a_web_instance_counts_requests_and_each_process_its_cpu() {
        let mut rates = Rates::default();
        for (uptime_ms, requests, cpu_us) in [(0, 0, 100_000), (1_000, 3, 350_000)] {
            let mut state = snapshot("web", Tier::Web);
            (state.uptime_ms, state.requests) = (Some(uptime_ms), Some(requests));
            (state.ledger.sent, state.usage) = (requests * 3, Some(Usage { cpu_us, resident_bytes: 1 }));
            rates.take(&state);
        }
        assert_eq!((rates.per_s("web"), rates.cpus("web")), (Some(3.0), Some(0.25)));
    }
}

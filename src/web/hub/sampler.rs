//! The deployment's figures second by second, from what the instances' counts have grown by.

use std::collections::HashMap;

use crate::wire::{Hop, InstanceView, Latency, Ledger, Sample, Snapshot, Tier, Topology};

/// A shorter time between two snapshots gives no rate: they are told at changes too.
const SHORTEST_MS: u64 = 100;

/// What was known at the last sample, by requester instance.
#[derive(Default)]
pub struct Sampler {
    last: HashMap<String, Growth>,
}

/// An instance's snapshot, and what its counts had grown by since the one before.
#[derive(Clone, Default)]
struct Growth {
    /// By the instance's own clock.
    at_ms: u64,
    ledger: Ledger,
    total: Latency,
    /// Responses, errors and timeouts a second.
    rates: [f64; 3],
    /// Of the messages that ended in between.
    latency: Latency,
}

impl Sampler {
    /// The figures now, marked with the time `now`. Each instance's rates are over the time between its own last two
    /// snapshots, so that they are those of a second whatever the interval between these is. An instance counts from its
    /// second snapshot.
    pub fn take(&mut self, topology: &Topology, now: u64) -> Sample {
        let mut sample = Sample { at: now, ..Sample::default() };
        let mut latency = Latency::default();
        let mut seen = HashMap::new();
        for InstanceView { snapshot, .. } in topology.living(Tier::Requester) {
            let id = &snapshot.instance.id;
            let growth = match self.last.remove(id) {
                Some(last) => last.until(snapshot),
                None => Growth::begin(snapshot),
            };
            let [responses, errors, timeouts] = growth.rates;
            sample.responses_per_s += responses;
            sample.errors_per_s += errors;
            sample.timeouts_per_s += timeouts;
            latency.merge(&growth.latency);
            sample.in_flight += snapshot.ledger.in_flight;
            sample.queue += snapshot.queue;
            seen.insert(id.clone(), growth);
        }
        sample.queue += topology.living(Tier::Broker).map(|view| view.snapshot.queue).sum::<u64>();
        self.last = seen;
        if latency.count() > 0 {
            sample.p50_us = Some(latency.quantile_us(0.5));
            sample.p95_us = Some(latency.quantile_us(0.95));
            sample.p99_us = Some(latency.quantile_us(0.99));
        }
        sample
    }
}

impl Growth {
    fn begin(snapshot: &Snapshot) -> Self {
        let total = snapshot.hops.get(&Hop::Total).cloned().unwrap_or_default();
        Self { at_ms: at_ms(snapshot), ledger: snapshot.ledger, total, ..Self::default() }
    }

    /// What the counts have grown by since; the same as before where the snapshot is.
    fn until(self, snapshot: &Snapshot) -> Self {
        let elapsed_ms = at_ms(snapshot).saturating_sub(self.at_ms);
        if elapsed_ms < SHORTEST_MS {
            return self;
        }
        let now = Self::begin(snapshot);
        let counts = |ledger: &Ledger| [ledger.responses, ledger.errors, ledger.timeouts];
        let [before, after] = [&self.ledger, &now.ledger].map(counts);
        let rate = |index: usize| after[index].saturating_sub(before[index]) as f64 * 1_000.0 / elapsed_ms as f64;
        Self { rates: [0, 1, 2].map(rate), latency: now.total.since(&self.total), ..now }
    }
}

/// When a snapshot was made, by the instance's monotonic clock; by its wall clock if it is of an earlier version.
fn at_ms(snapshot: &Snapshot) -> u64 {
    snapshot.uptime_ms.unwrap_or(snapshot.at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::{Event, snapshot};

    /// A requester whose messages take 10 ms, and its snapshots.
    #[derive(Default)]
    struct Requester {
        latency: Latency,
        ledger: Ledger,
    }

    impl Requester {
        fn ends(&mut self, responses: u64) {
            self.ledger.responses += responses;
            (0..responses).for_each(|_| self.latency.record(Duration::from_millis(10)));
        }

        fn tells(&self, topology: &mut Topology, id: &str, uptime_ms: u64, at: u64) {
            let mut snapshot = Box::new(snapshot(id, Tier::Requester));
            (snapshot.uptime_ms, snapshot.at, snapshot.ledger) = (Some(uptime_ms), at, self.ledger);
            snapshot.hops.insert(Hop::Total, self.latency.clone());
            topology.apply(&Event::Instance { snapshot }, at);
        }
    }

    #[test]
    fn rates_are_those_of_a_second_whatever_the_interval_of_telemetry_is() {
        let (mut sampler, mut topology, mut requester) =
            (Sampler::default(), Topology::default(), Requester::default());
        requester.ends(7);
        requester.tells(&mut topology, "a", 10_000, 0);
        assert_eq!(sampler.take(&topology, 0).responses_per_s, 0.0, "it counts from its second snapshot");
        for second in 1..=20_u64 {
            if second % 5 == 0 {
                requester.ends(500);
                requester.tells(&mut topology, "a", 10_000 + second * 1_000, 0);
            }
            let sample = sampler.take(&topology, second);
            let (rate, p50) = if second < 5 { (0.0, None) } else { (100.0, Some(10)) };
            assert_eq!((sample.responses_per_s, sample.p50_us.map(|us| us / 1_000)), (rate, p50), "{second}");
        }
    }

    #[test]
    fn neither_jitter_nor_a_clock_that_is_set_changes_a_rate() {
        let (mut sampler, mut topology, mut requester) =
            (Sampler::default(), Topology::default(), Requester::default());
        let mut uptime = 0;
        // By the wall clock an hour forward, then back to 1970.
        for (index, (wall, millis)) in
            [(5_000, 500), (3_605_000, 480), (3_605_500, 2_000), (0, 700)].into_iter().enumerate()
        {
            uptime += millis;
            requester.ends(millis / 10);
            requester.tells(&mut topology, "a", uptime, wall);
            let sample = sampler.take(&topology, wall);
            assert_eq!(sample.responses_per_s, if index == 0 { 0.0 } else { 100.0 }, "{wall}");
        }
        requester.tells(&mut topology, "a", uptime + 1, 0);
        assert_eq!(sampler.take(&topology, 0).responses_per_s, 100.0, "too soon after the last to give another");
    }

    #[test]
    fn instances_add_up_and_one_that_is_gone_counts_no_more() {
        let (mut sampler, mut topology, mut requester) =
            (Sampler::default(), Topology::default(), Requester::default());
        for second in [0, 1_000] {
            requester.ends(30);
            ["a", "b"].iter().for_each(|id| requester.tells(&mut topology, id, second, second));
            sampler.take(&topology, second);
        }
        assert_eq!(sampler.take(&topology, 2_000).responses_per_s, 60.0);
        topology.apply(&Event::InstanceGone { id: "b".into(), at: 1, reason: "silent".into() }, 1);
        assert_eq!(sampler.take(&topology, 3_000).responses_per_s, 30.0);
    }
}

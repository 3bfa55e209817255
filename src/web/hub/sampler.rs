//! The deployment's figures second by second, from what the instances' counts have grown by.

use std::collections::HashMap;
use std::time::Instant;

use crate::wire::{Hop, Latency, Ledger, Sample, Tier, Topology};

/// What was known at the last sample, by requester instance.
#[derive(Default)]
pub struct Sampler {
    last: HashMap<String, (Ledger, Latency)>,
    taken_at: Option<Instant>,
}

impl Sampler {
    /// The figures since the last call, marked with the time `now`. The first of an instance's counts begin with its second sample.
    pub fn take(&mut self, topology: &Topology, now: u64) -> Sample {
        let seconds = self.taken_at.map_or(1.0, |last| last.elapsed().as_secs_f64().max(0.001));
        self.taken_at = Some(Instant::now());
        let mut grown = Ledger::default();
        let mut latency = Latency::default();
        let mut seen = HashMap::new();
        let mut sample = Sample { at: now, ..Sample::default() };
        for view in topology.living(Tier::Requester) {
            let snapshot = &view.snapshot;
            let total = snapshot.hops.get(&Hop::Total).cloned().unwrap_or_default();
            if let Some((ledger, earlier)) = self.last.get(&snapshot.instance.id) {
                grown.responses += snapshot.ledger.responses.saturating_sub(ledger.responses);
                grown.errors += snapshot.ledger.errors.saturating_sub(ledger.errors);
                grown.timeouts += snapshot.ledger.timeouts.saturating_sub(ledger.timeouts);
                latency.merge(&total.since(earlier));
            }
            sample.in_flight += snapshot.ledger.in_flight;
            sample.queue += snapshot.queue;
            seen.insert(snapshot.instance.id.clone(), (snapshot.ledger, total));
        }
        sample.queue += topology.living(Tier::Broker).map(|view| view.snapshot.queue).sum::<u64>();
        self.last = seen;
        sample.responses_per_s = grown.responses as f64 / seconds;
        sample.errors_per_s = grown.errors as f64 / seconds;
        sample.timeouts_per_s = grown.timeouts as f64 / seconds;
        if latency.count() > 0 {
            sample.p50_us = Some(latency.quantile_us(0.5));
            sample.p95_us = Some(latency.quantile_us(0.95));
            sample.p99_us = Some(latency.quantile_us(0.99));
        }
        sample
    }
}

//! Results for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::experiment::plan::{Order, Plan, PlanFlags, read_plan};
use crate::experiment::run::{
    Environment, Generator, LedgerVerdict, RequestCounts, Results, SCHEMA, Shares, TierUsage, TrialResult,
};
use crate::wire::{Hop, Latency, OutcomeCounts, Tier};

/// Parses a plan. Its trials are in the order of its levels.
pub fn plan_of(text: &str) -> Plan {
    let flags = PlanFlags { order: Some(Order::Interleaved), ..PlanFlags::default() };
    read_plan("test", "test.toml", text, &flags).unwrap()
}

/// The results of a plan. `trial` makes a trial from its cell and repetition.
pub fn results_of(text: &str, mut trial: impl FnMut(usize, u32) -> TrialResult) -> Results {
    let plan = plan_of(text);
    let trials =
        plan.trials().into_iter().map(|one| TrialResult { number: one.number, ..trial(one.cell, one.repetition) });
    Results {
        schema: SCHEMA.to_owned(),
        environment: Environment { version: "0.1.0".to_owned(), cores: 2, ..Environment::default() },
        started_at: 1_700_000_000_000,
        finished_at: Some(1_700_000_100_000),
        trials: trials.collect(),
        resumed: vec![],
        plan,
    }
}

/// A valid trial: `per_s` requests per second over 10 s, with latencies evenly from 1 % to 100 % of `slowest_ms` milliseconds.
pub fn good_trial(cell: usize, repetition: u32, per_s: f64, slowest_ms: u64) -> TrialResult {
    let mut latency = Latency::default();
    (1..=100).for_each(|step| latency.record(Duration::from_micros(slowest_ms * 10 * step)));
    let sent = (per_s * 10.0) as u64;
    TrialResult {
        number: 0,
        cell,
        repetition,
        started_at: 1_700_000_000_000,
        problem: None,
        measured_ms: 10_000.0,
        requests: RequestCounts { sent, complete: sent, ..RequestCounts::default() },
        messages: OutcomeCounts { responses: sent, ..OutcomeCounts::default() },
        requests_per_s: per_s,
        messages_per_s: per_s,
        percentiles: vec![],
        hops: BTreeMap::from([(Hop::Service, latency.clone()), (Hop::Total, latency.clone())]),
        latency,
        shares: Shares {
            responders: BTreeMap::from([(format!("{cell}-{repetition}-a"), 3), (format!("{cell}-{repetition}-b"), 1)]),
            nodes: BTreeMap::from([("here".to_owned(), 4)]),
        },
        errors: BTreeMap::new(),
        usage: vec![TierUsage {
            tiers: vec![Tier::Web],
            processes: 1,
            cpu_ms: 100.0,
            cpu_us_per_message: 50.0,
            resident_bytes: 20_000_000,
        }],
        ledger: LedgerVerdict { balanced: true, ..LedgerVerdict::default() },
        generator: Generator { intended: sent, unsent: 0, lag: Latency::default(), behind: false, cpu_ms: 1.0 },
        steadiness: None,
        machine: None,
    }
}

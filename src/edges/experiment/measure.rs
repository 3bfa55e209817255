//! One trial: load against a deployment that is ready, and everything that was measured meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use super::deployment::{TIERS, body, ledger_since};
use super::generator::{self, Made, Progress};
use super::{Deployment, LedgerVerdict, Plan, TierUsage, Trial, TrialResult};
use crate::model::{Ledger, Tier, Topology, now_ms};

/// Longest wait for the deployment to count what has ended, which it tells twice a second.
const SETTLING: Duration = Duration::from_secs(5);

/// Makes the load of a trial and measures. None when it was stopped: half a trial says nothing.
pub async fn measure(
    plan: &Plan,
    trial: &Trial,
    deployment: &Deployment,
    generator_inside: bool,
    stop: &CancellationToken,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Option<TrialResult>> {
    let setup = &plan.cells[trial.cell].setup;
    let started_at = now_ms();
    let before = deployment.topology().await?;
    let task = generator::Task {
        url: deployment.url.clone(),
        body: body(setup, plan.timeout_ms),
        load: setup.load,
        warm_up: Duration::from_millis(plan.warm_up_ms),
        duration: Duration::from_millis(plan.duration_ms),
        count: plan.count,
        seed: plan.seed_of(trial),
        timeout: Duration::from_millis(plan.timeout_ms),
    };
    let mut load = generator::start(task, stop.clone())?;
    let (mut first, mut last) = (None, None);
    let made = loop {
        tokio::select! {
            made = &mut load.made => break made.context("the load generator died")??,
            changed = load.progress.changed() => {
                let progress = *load.progress.borrow_and_update();
                if changed.is_err() {
                    continue;
                }
                tell(&progress);
                if progress.measuring && !progress.finished {
                    // What it tells is half a second old at most, which is why it is compared with itself.
                    last = Some((deployment.topology().await?, progress.cpu));
                    first.get_or_insert_with(|| last.clone().unwrap_or_default());
                }
            }
        }
    };
    if stop.is_cancelled() {
        return Ok(None);
    }
    let Made { tally, mut generator } = made;
    let after = deployment.settled(&before, tally.all_messages, SETTLING).await?;
    let window = tally.window();
    let (requests_per_s, messages_per_s) = tally.rates();
    let usage = match (&first, &last) {
        (Some((first, cpu_before)), Some((last, cpu_after))) => {
            let generator_cpu = cpu_after.saturating_sub(*cpu_before);
            generator.cpu_ms = generator_cpu.as_secs_f64() * 1_000.0;
            let own = if generator_inside { generator_cpu } else { Duration::ZERO };
            usage(first, last, &after, own, window, messages_per_s)
        }
        _ => vec![],
    };
    let problem = match tally.requests.sent {
        0 => Some("no request was due after the warm-up: give it a longer duration or more load".to_owned()),
        _ => None,
    };
    Ok(Some(TrialResult {
        number: trial.number,
        cell: trial.cell,
        repetition: trial.repetition,
        started_at,
        problem,
        measured_ms: window.as_secs_f64() * 1_000.0,
        requests: tally.requests,
        messages: tally.messages,
        requests_per_s,
        messages_per_s,
        percentiles: tally.percentiles(),
        latency: tally.latency,
        hops: tally.hops,
        shares: tally.shares,
        errors: tally.errors,
        usage,
        ledger: verdict(&before, &after, tally.all_messages),
        generator,
    }))
}

/// What each kind of process used between two looks, scaled to the time that counts.
fn usage(
    first: &Topology,
    last: &Topology,
    after: &Topology,
    inside: Duration,
    window: Duration,
    messages_per_s: f64,
) -> Vec<TierUsage> {
    // A process is known by its admin server, which all of its instances name.
    let mut processes: BTreeMap<&str, (BTreeSet<Tier>, f64, u64)> = BTreeMap::new();
    for (id, view) in &last.instances {
        let Some(then) = first.instances.get(id) else { continue };
        let (Some(used), Some(before)) = (view.snapshot.usage, then.snapshot.usage) else { continue };
        let elapsed_us = view.snapshot.at.saturating_sub(then.snapshot.at) as f64 * 1_000.0;
        if elapsed_us <= 0.0 {
            continue;
        }
        let inside = inside.as_micros() as f64;
        let busy = (used.cpu_us.saturating_sub(before.cpu_us) as f64 - inside).max(0.0) / elapsed_us;
        let resident = after.instances.get(id).and_then(|view| view.snapshot.usage).unwrap_or(used).resident_bytes;
        let process = view.snapshot.instance.admin.as_deref().unwrap_or(id);
        let (tiers, cores, memory) = processes.entry(process).or_default();
        tiers.insert(view.snapshot.instance.tier);
        (*cores, *memory) = (busy, resident);
    }
    let mut by_tiers: BTreeMap<BTreeSet<Tier>, (usize, f64, u64)> = BTreeMap::new();
    for (tiers, cores, memory) in processes.into_values() {
        let sum = by_tiers.entry(tiers).or_default();
        *sum = (sum.0 + 1, sum.1 + cores, sum.2 + memory);
    }
    let usage = |(tiers, (processes, cores, resident_bytes)): (BTreeSet<Tier>, (usize, f64, u64))| TierUsage {
        tiers: tiers.into_iter().collect(),
        processes,
        cpu_ms: cores * window.as_secs_f64() * 1_000.0,
        cpu_us_per_message: if messages_per_s > 0.0 { cores * 1e6 / messages_per_s } else { 0.0 },
        resident_bytes,
    };
    by_tiers.into_iter().map(usage).collect()
}

/// Holds the deployment's own count against itself and against the client's.
fn verdict(before: &Topology, after: &Topology, client_messages: u64) -> LedgerVerdict {
    let ledger = |tier| (tier, ledger_since(before, after, tier));
    let tiers: BTreeMap<Tier, Ledger> = TIERS.map(ledger).into_iter().collect();
    let requesters = tiers[&Tier::Requester];
    let unbalanced = tiers.iter().find(|(_, ledger)| !ledger.is_balanced());
    let reason = match unbalanced {
        Some((tier, ledger)) => Some(format!("the {} tier's ledger does not balance: {ledger:?}", tier.name())),
        None if requesters.in_flight > 0 => Some(format!("{} messages have no outcome yet", requesters.in_flight)),
        None if requesters.sent > client_messages => Some(format!(
            "the requesters sent {} messages, {} more than this experiment had outcomes of: was there other load?",
            requesters.sent,
            requesters.sent - client_messages
        )),
        None if requesters.sent < client_messages => Some(format!(
            "the requesters sent {} messages, {} fewer than this experiment had outcomes of: did one of them restart?",
            requesters.sent,
            client_messages - requesters.sent
        )),
        None => None,
    };
    LedgerVerdict { tiers, client_messages, balanced: reason.is_none(), reason }
}

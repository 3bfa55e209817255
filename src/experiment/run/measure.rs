//! One trial: load against a deployment that is ready, and everything that was measured meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use super::{Counters, LedgerVerdict, TierUsage, TrialResult};
use crate::experiment::load::{LoadTask, Progress, start_load};
use crate::experiment::plan::{Plan, Target, Trial};
use crate::experiment::target::{Deployment, TIERS, altered, body, in_flight_before, ledger_since};
use crate::wire::{Ledger, Tier, Topology, Usage, now_ms};

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
    let task = LoadTask {
        url: deployment.url.clone(),
        body: body(setup, plan.timeout_ms),
        load: setup.load,
        warm_up: Duration::from_millis(plan.warm_up_ms),
        duration: Duration::from_millis(plan.duration_ms),
        count: plan.count,
        seed: plan.seed_of(trial.repetition),
        timeout: Duration::from_millis(plan.timeout_ms),
    };
    let mut load = start_load(task, stop.clone())?;
    let mut first = None;
    let made = loop {
        tokio::select! {
            made = &mut load.made => break made.context("the load generator died")??,
            changed = load.progress.changed() => {
                let progress = *load.progress.borrow_and_update();
                if changed.is_err() {
                    continue;
                }
                tell(&progress);
                if progress.measuring && first.is_none() {
                    first = Some((deployment.topology().await?, progress.cpu, Counters::now()));
                }
            }
        }
    };
    if stop.is_cancelled() {
        return Ok(None);
    }
    let machine = first.as_ref().map(|(_, _, then)| then.until(&Counters::now()));
    let tally = made.tally;
    let after = deployment.settled(&before, tally.all_messages, SETTLING).await?;
    let window = tally.window();
    let (requests_per_s, messages_per_s) = tally.rates();
    let usage = first.map_or_else(Vec::new, |(first, cpu_before, _)| {
        let generator_cpu = made.cpu.saturating_sub(cpu_before);
        usage(&first, &after, if generator_inside { generator_cpu } else { Duration::ZERO }, tally.messages.total())
    });
    let problem = match tally.requests.sent {
        0 => Some("no request was due after the warm-up: give it a longer duration or more load".to_owned()),
        // Others may change a deployment that was there before.
        _ if matches!(plan.target, Target::Running | Target::Swarm) => {
            altered(&after, setup).map(|other| format!("the deployment changed during the trial: {other}"))
        }
        _ => None,
    };
    Ok(Some(TrialResult {
        number: trial.number,
        cell: trial.cell,
        repetition: trial.repetition,
        started_at,
        problem,
        measured_ms: window.as_secs_f64() * 1_000.0,
        steadiness: Some(tally.steadiness()),
        machine,
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
        ledger: verdict(&before, &after, tally.all_messages, tally.lost),
        generator: made.generator,
    }))
}

/// What each kind of process used for a message between two looks at the deployment, and for so many of them; `inside`
/// is the load generator's part of it.
fn usage(first: &Topology, last: &Topology, inside: Duration, messages: u64) -> Vec<TierUsage> {
    let between = ledger_since(first, last, Tier::Requester).sent.max(1) as f64;
    // A process is known by its admin server, which all of its instances name.
    let mut processes: BTreeMap<String, (BTreeSet<Tier>, Usage)> = BTreeMap::new();
    for (id, view) in &last.instances {
        let then = first.instances.get(id).and_then(|then| then.snapshot.usage);
        let (Some(now), Some(then)) = (view.snapshot.usage, then) else { continue };
        let process = view.snapshot.instance.admin.map_or_else(|| id.to_string(), |admin| admin.to_string());
        let (tiers, used) = processes.entry(process).or_default();
        tiers.insert(view.snapshot.instance.tier);
        // Its instances tell of it at different moments: the longest stretch is taken.
        used.cpu_us = used.cpu_us.max(now.cpu_us.saturating_sub(then.cpu_us));
        used.resident_bytes = now.resident_bytes;
    }
    let mut by_tiers: BTreeMap<BTreeSet<Tier>, (usize, Usage)> = BTreeMap::new();
    for (tiers, used) in processes.into_values() {
        let (count, sum) = by_tiers.entry(tiers).or_default();
        *count += 1;
        sum.cpu_us += used.cpu_us;
        sum.resident_bytes += used.resident_bytes;
    }
    let usage = |(tiers, (processes, sum)): (BTreeSet<Tier>, (usize, Usage))| {
        let cpu_us_per_message = (sum.cpu_us as f64 - inside.as_micros() as f64).max(0.0) / between;
        TierUsage {
            tiers: tiers.into_iter().collect(),
            processes,
            cpu_ms: cpu_us_per_message * messages as f64 / 1_000.0,
            cpu_us_per_message,
            resident_bytes: sum.resident_bytes,
        }
    };
    by_tiers.into_iter().map(usage).collect()
}

/// Holds the deployment's own count against itself and against the client's. Of `lost` requests the client does not know how
/// many messages they had.
fn verdict(before: &Topology, after: &Topology, client_messages: u64, lost: u64) -> LedgerVerdict {
    let ledger = |tier| (tier, ledger_since(before, after, tier));
    let tiers: BTreeMap<Tier, Ledger> = TIERS.map(ledger).into_iter().collect();
    let requesters = tiers[&Tier::Requester];
    // What was in flight before is other load's, as the client's messages have all ended for it.
    let pending = requesters.in_flight.saturating_sub(in_flight_before(before, after, Tier::Requester));
    // Each instance's own: what was in flight when the trial began would unbalance the differences of a sound ledger.
    let unbalanced =
        after.instances.values().map(|view| &view.snapshot).find(|snapshot| !snapshot.ledger.is_balanced());
    let reason = match unbalanced {
        Some(snapshot) => {
            Some(format!("the ledger of {} does not balance: {:?}", snapshot.instance.id, snapshot.ledger))
        }
        None if pending > 0 => Some(format!("{pending} messages have no outcome yet")),
        None if requesters.sent > client_messages => {
            let why = match lost {
                0 => "there was other load, or a link was lost and requests were sent again".to_owned(),
                lost => format!("{lost} of its requests had no answer that could be read"),
            };
            let more = requesters.sent - client_messages;
            Some(format!(
                "the requesters sent {} messages, {more} more than this experiment had outcomes of: {why}",
                requesters.sent
            ))
        }
        None if requesters.sent < client_messages => Some(format!(
            "the requesters sent {} messages, {} fewer than this experiment had outcomes of: one of them ended or was started again",
            requesters.sent,
            client_messages - requesters.sent
        )),
        None => None,
    };
    LedgerVerdict { tiers, client_messages, balanced: reason.is_none(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Event, Snapshot, snapshot};

    /// A broker as it is known once it has counted this.
    fn seen(ledger: Ledger) -> Topology {
        instance("broker-1", Tier::Broker, ledger)
    }

    fn instance(id: &str, tier: Tier, ledger: Ledger) -> Topology {
        let snapshot = Snapshot { ledger, ..snapshot(id, tier) };
        let mut topology = Topology::default();
        topology.apply(&Event::Instance { snapshot: Box::new(snapshot) }, 0);
        topology
    }

    #[test]
    fn what_an_earlier_trial_left_at_the_broker_does_not_unbalance_this_one() {
        let before = Ledger { sent: 50, responses: 40, in_flight: 10, ..Ledger::default() };
        let all_ended = Ledger { sent: 60, responses: 50, timeouts: 10, ..Ledger::default() };
        let still_there = Ledger { sent: 60, responses: 50, in_flight: 10, ..Ledger::default() };
        for after in [all_ended, still_there] {
            let verdict = verdict(&seen(before), &seen(after), 0, 0);
            assert!(verdict.balanced, "{verdict:?}");
        }
        let lost = Ledger { sent: 60, responses: 50, timeouts: 9, ..Ledger::default() };
        let verdict = verdict(&seen(before), &seen(lost), 0, 0);
        assert!(verdict.reason.unwrap().contains("broker-1 does not balance"));
    }

    #[test]
    fn other_messages_in_flight_do_not_unbalance_a_trial_and_its_own_do() {
        let requester = |sent, responses, in_flight| {
            instance("requester-1", Tier::Requester, Ledger { sent, responses, in_flight, ..Ledger::default() })
        };
        let before = requester(50, 40, 10);
        for (after, client, balanced) in [
            (requester(70, 60, 10), 20, true),
            (requester(70, 70, 0), 20, true),
            (requester(70, 59, 11), 20, false),
            (requester(71, 61, 10), 20, false),
            (requester(70, 60, 10), 21, false),
        ] {
            let verdict = verdict(&before, &after, client, 0);
            assert_eq!(verdict.balanced, balanced, "{verdict:?}");
        }
        let other = verdict(&before, &requester(71, 61, 10), 20, 0).reason.unwrap();
        let lost = verdict(&before, &requester(71, 61, 10), 20, 1).reason.unwrap();
        assert!(other.ends_with("1 more than this experiment had outcomes of: there was other load, or a link was lost and requests were sent again"), "{other}");
        assert!(lost.ends_with(": 1 of its requests had no answer that could be read"), "{lost}");
    }
}

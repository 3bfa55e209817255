//! The capacity of a deployment: the minimum of what its tiers can do, with the delays and faults in effect, and which one that
//! is.

use super::responders::{at_work, ready};
use super::{Limit, Responders};
use crate::experiment::expected::capacity_per_s;
use crate::wire::{Bottleneck, Tier, Topology};

/// Where messages take less, what processors and network take decides, which is not known.
const SHORTEST_MS: f64 = 1.0;

/// Messages a second that can end as responses without a queue that grows, and what limits them. None: not known.
pub fn capacity(topology: &Topology) -> Option<(f64, Bottleneck)> {
    let none = |tier, text: &str| {
        let text = text.to_owned();
        Some((0.0, Bottleneck { tier, instance: None, at_once: 0, time_ms: 0.0, text }))
    };
    let requesters = || ready(topology, Tier::Requester);
    if requesters().next().is_none() {
        return none(Tier::Requester, "no requester is ready");
    }
    let responders = Responders::of(topology);
    if !responders.has_broker() {
        return none(Tier::Broker, "no broker is ready");
    }
    let Some(limit) = responders.limit() else { return none(Tier::Responder, "no responder worker is ready") };
    let time_ms = responders.time_ms();
    if time_ms < SHORTEST_MS {
        return None;
    }
    let mut windows =
        requesters().map(|view| Some((at_work(view).count() as u64).saturating_mul(view.snapshot.window?)));
    let windows = windows.try_fold(0_u64, |sum, window| Some(sum.saturating_add(window?)))?;
    if windows == 0 {
        return none(Tier::Requester, "no requester worker is ready");
    }
    let of_requesters = capacity_per_s(usize::try_from(windows).ok()?, time_ms)?;
    let (per_s, mut bottleneck) = match of_requesters < limit.per_s {
        true => {
            let text =
                format!("requesters limit this: {windows} in flight at {} = {}/s", ms(time_ms), rate(of_requesters));
            (of_requesters, Bottleneck { tier: Tier::Requester, instance: None, at_once: windows, time_ms, text })
        }
        false => (limit.per_s, of_responders(&limit)),
    };
    let answered = responders.answered();
    if answered < 1.0 {
        bottleneck.text += &format!("; by faults, {:.0} % end as errors", 100.0 * (1.0 - answered));
    }
    Some((per_s * answered, bottleneck))
}

fn of_responders(limit: &Limit<'_>) -> Bottleneck {
    let Limit { per_s, slowest, workers, time_ms } = *limit;
    let at = format!("{workers} {} at {}", if workers == 1 { "worker" } else { "workers" }, ms(time_ms));
    let text = match slowest {
        None => format!("responders limit this: {at} = {}/s", rate(per_s)),
        Some((instance, share)) if workers == 0 => {
            format!("{} limits this: none of its workers is ready, and it gets {}", instance.name(), percent(share))
        }
        Some((instance, share)) => {
            format!("{} limits this: {at} = {}/s, and it gets {}", instance.name(), rate(per_s * share), percent(share))
        }
    };
    let instance = slowest.map(|(instance, _)| instance.id.clone());
    Bottleneck { tier: Tier::Responder, instance, at_once: workers as u64, time_ms, text }
}

fn percent(share: f64) -> String {
    format!("{:.0} % of the messages", 100.0 * share)
}

fn ms(time: f64) -> String {
    format!("{} ms", rate(time))
}

/// A number with one decimal where it is small and has one.
fn rate(value: f64) -> String {
    match value < 10.0 {
        true => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        false => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::{Delay, Dispatch, Event, Faults, InstanceState, Snapshot, WorkerState, WorkerView, snapshot};

    fn with_workers(id: &str, tier: Tier, pid: u32, count: usize) -> Snapshot {
        let worker = |index| WorkerView { index, id: String::new(), state: WorkerState::Idle, handled: 0, restarts: 0 };
        let mut snapshot = Snapshot { workers: (0..count).map(worker).collect(), ..snapshot(id, tier) };
        snapshot.instance.pid = pid;
        snapshot
    }

    fn requester(workers: usize, window: u64) -> Snapshot {
        Snapshot { window: Some(window), ..with_workers("requester", Tier::Requester, 1, workers) }
    }

    fn broker(pid: u32, dispatch: Dispatch) -> Snapshot {
        Snapshot { dispatch: Some(dispatch), ..with_workers(&format!("broker-{pid}"), Tier::Broker, pid, 1) }
    }

    fn responder(pid: u32, workers: usize, delay_ms: u64) -> Snapshot {
        let delay = Some(Delay::fixed(Duration::from_millis(delay_ms)));
        Snapshot { delay, ..with_workers(&format!("responder-{pid}"), Tier::Responder, pid, workers) }
    }

    fn found(snapshots: &[Snapshot]) -> Option<(f64, Bottleneck)> {
        let mut topology = Topology::default();
        for snapshot in snapshots {
            topology.apply(&Event::Instance { snapshot: Box::new(snapshot.clone()) }, 0);
        }
        capacity(&topology)
    }

    #[track_caller]
    fn assert_limit(snapshots: &[Snapshot], per_s: f64, text: &str) -> Bottleneck {
        let (found, bottleneck) = found(snapshots).unwrap();
        assert!((found - per_s).abs() < 1e-6, "{found}, not {per_s}: {bottleneck:?}");
        assert_eq!(bottleneck.text, text);
        bottleneck
    }

    use Dispatch::{LeastBusy, RoundRobin};

    #[test]
    fn the_tier_that_can_do_least_is_the_bottleneck() {
        let extra = Faults { extra_latency_ms: 100, ..Faults::default() };
        let slowed = Snapshot { faults: Some(extra), ..responder(2, 20, 200) };
        let bottleneck = assert_limit(
            &[requester(12, 1), broker(2, RoundRobin), slowed.clone()],
            40.0,
            "requesters limit this: 12 in flight at 300 ms = 40/s",
        );
        assert_eq!((bottleneck.tier, bottleneck.at_once, bottleneck.time_ms), (Tier::Requester, 12, 300.0));
        let bottleneck = assert_limit(
            &[requester(12, 16), broker(2, RoundRobin), slowed],
            20.0 / 0.3,
            "responders limit this: 20 workers at 300 ms = 67/s",
        );
        assert_eq!((bottleneck.tier, bottleneck.at_once, bottleneck.instance), (Tier::Responder, 20, None));
    }

    #[test]
    fn instances_add_up_and_the_tasks_own_time_counts() {
        let task_us = Some(50_000);
        let both = [2, 3].map(|pid| Snapshot { task_us, ..responder(pid, 4, 50) });
        let brokers = [2, 3].map(|pid| broker(pid, LeastBusy));
        let all = [&[requester(50, 1)][..], &both, &brokers].concat();
        assert_limit(&all, 80.0, "responders limit this: 8 workers at 100 ms = 80/s");
    }

    #[test]
    fn an_instance_slower_than_others_limits_all_as_requesters_take_brokers_in_turn() {
        let extra = Faults { extra_latency_ms: 900, ..Faults::default() };
        let slow = Snapshot { faults: Some(extra), ..responder(3, 4, 100) };
        let all = [requester(100, 4), broker(2, LeastBusy), responder(2, 4, 100), broker(3, LeastBusy), slow.clone()];
        let bottleneck = assert_limit(
            &all,
            8.0,
            "responder-3 limits this: 4 workers at 1000 ms = 4/s, and it gets 50 % of the messages",
        );
        assert_eq!(bottleneck.instance.as_deref(), Some("responder-3"));
        // A broker apart from its workers knows which are idle, or it does not.
        let apart = |dispatch| [requester(100, 4), broker(9, dispatch), responder(2, 4, 100), slow.clone()];
        assert_limit(
            &apart(RoundRobin),
            8.0,
            "responder-3 limits this: 4 workers at 1000 ms = 4/s, and it gets 50 % of the messages",
        );
        assert_limit(&apart(LeastBusy), 44.0, "responders limit this: 8 workers at 182 ms = 44/s");
    }

    #[test]
    fn workers_that_are_stalled_or_dead_do_nothing_and_failing_ones_answer_nothing() {
        let mut weak = responder(2, 10, 100);
        (weak.stalled, weak.workers[9].state) = (vec![0, 1], WorkerState::Restarting);
        let of = |responder: &Snapshot| [requester(100, 1), broker(2, RoundRobin), responder.clone()];
        assert_limit(&of(&weak), 70.0, "responders limit this: 7 workers at 100 ms = 70/s");
        weak.faults = Some(Faults { error_rate: 0.25, ..Faults::default() });
        assert_limit(
            &of(&weak),
            52.5,
            "responders limit this: 7 workers at 100 ms = 70/s; by faults, 25 % end as errors",
        );
        weak.faults = Some(Faults { failing: true, ..Faults::default() });
        assert_eq!(found(&of(&weak)).unwrap().0, 0.0);
    }

    #[test]
    fn a_tier_without_anybody_is_named() {
        let draining = Snapshot { state: InstanceState::Draining, ..responder(2, 3, 10) };
        for (snapshots, text) in [
            (vec![], "no requester is ready"),
            (vec![requester(1, 1)], "no broker is ready"),
            (vec![requester(1, 1), broker(2, RoundRobin), draining], "no responder worker is ready"),
            (vec![requester(0, 1), broker(2, RoundRobin), responder(2, 3, 10)], "no requester worker is ready"),
        ] {
            assert_limit(&snapshots, 0.0, text);
        }
        let one_without =
            [requester(9, 9), broker(2, RoundRobin), responder(2, 3, 10), broker(3, RoundRobin), responder(3, 0, 10)];
        assert_limit(
            &one_without,
            0.0,
            "broker-3 limits this: none of its workers is ready, and it gets 50 % of the messages",
        );
    }

    #[test]
    fn what_is_not_known_has_no_figure() {
        let fast = [requester(3, 1), broker(2, RoundRobin), responder(2, 3, 0)];
        assert!(found(&fast).is_none(), "the delay is none");
        let earlier = Snapshot { window: None, ..requester(3, 1) };
        assert!(found(&[earlier, broker(2, RoundRobin), responder(2, 3, 100)]).is_none());
    }
}

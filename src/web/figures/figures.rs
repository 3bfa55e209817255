//! Puts the figures of a deployment together.

use std::time::Instant;

use super::{Rates, Totals, capacity, usage_by_node};
use crate::wire::{Event, Figures, InstanceState, NodeFigures, Tier, TierFigures, Topology};

/// The data from which the figures are computed, and the figures last sent to dashboards.
#[derive(Debug)]
pub struct FiguresLog {
    /// Milliseconds since the epoch.
    since: u64,
    totals: Totals,
    rates: Rates,
    /// The last news.
    shown: Option<Figures>,
}

impl FiguresLog {
    /// Begins to count. `at`: milliseconds since the epoch.
    pub fn new(now: Instant, at: u64) -> Self {
        Self { since: at, totals: Totals::new(now), rates: Rates::default(), shown: None }
    }

    /// Takes in an event that the topology has taken in. `at`: milliseconds since the epoch.
    pub fn take(&mut self, event: &Event, now: Instant, at: u64) {
        match event {
            Event::Instance { snapshot } => {
                self.totals.take(snapshot, now, at);
                self.rates.take(snapshot);
            }
            Event::InstanceGone { id, .. } => self.totals.end(id, at),
            _ => {}
        }
    }

    /// The figures now. `at`: milliseconds since the epoch.
    pub fn figures(&self, topology: &Topology, at: u64) -> Figures {
        let tiers: Vec<_> = Tier::ALL.into_iter().map(|tier| self.tier(tier, topology)).collect();
        let living = topology.instances.values().filter(|view| view.snapshot.state != InstanceState::Gone);
        let ids = living.map(|view| &view.snapshot.instance.id);
        let rates = ids.filter_map(|id| Some((id.clone(), rounded(self.rates.per_s(id)?))));
        let requesters = || topology.living(Tier::Requester);
        let served = requesters().filter_map(|view| self.rates.responses_per_s(&view.snapshot.instance.id));
        let taking = requesters().filter(|view| view.snapshot.state != InstanceState::Draining);
        let (capacity_per_s, bottleneck) = capacity(topology).unzip();
        let nodes = usage_by_node(topology, &self.rates).into_iter();
        Figures {
            at,
            since: self.since,
            rates: rates.collect(),
            requests: self.totals.requests(),
            messages_per_request: taking.map(|view| view.snapshot.pool_size() as u64).sum(),
            offered_per_s: tiers[1].per_s,
            served_per_s: rounded(served.sum()),
            tiers,
            capacity_per_s: capacity_per_s.map(rounded),
            bottleneck,
            nodes: nodes.map(|node| NodeFigures { cpus: node.cpus.map(rounded), ..node }).collect(),
        }
    }

    fn tier(&self, tier: Tier, topology: &Topology) -> TierFigures {
        let rates = topology.living(tier).filter_map(|view| self.rates.per_s(&view.snapshot.instance.id));
        TierFigures { per_s: rounded(rates.sum()), ..self.totals.of(tier) }
    }

    /// Forgets the rates of the instances that a topology does not have. The totals keep their counts.
    pub fn keep(&mut self, topology: &Topology) {
        self.rates.keep(topology);
    }

    /// Somebody was given other figures: the next are news, whatever they are.
    pub fn given(&mut self) {
        self.shown = None;
    }

    /// The figures, unless they are those that were news last.
    pub fn news(&mut self, topology: &Topology, at: u64) -> Option<Figures> {
        let figures = self.figures(topology, at);
        let same = self.shown.as_ref().is_some_and(|shown| Figures { at: shown.at, ..figures.clone() } == *shown);
        if same {
            return None;
        }
        self.shown = Some(figures.clone());
        Some(figures)
    }
}

/// Rounded to two decimals, so that changes that the page does not show are not sent.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::{Delay, Ledger, Snapshot, WorkerState, WorkerView, snapshot};

    struct Deployment {
        log: FiguresLog,
        topology: Topology,
        now: Instant,
    }

    impl Deployment {
        fn take(&mut self, event: &Event) {
            self.topology.apply(event, 0);
            self.log.take(event, self.now, 5);
        }

        /// The states of a web instance and of a requester with three workers, after so many seconds of three requests each.
        fn after(&mut self, seconds: u64) {
            let worker =
                |index| WorkerView { index, id: String::new(), state: WorkerState::Idle, handled: 0, restarts: 0 };
            let workers = || (0..3).map(worker).collect::<Vec<_>>();
            // A pool that has shrunk: no request has a message for the worker that drains.
            let draining = WorkerView { state: WorkerState::Draining, ..worker(3) };
            let sent = 9 * seconds;
            let ledger = Ledger { sent, responses: sent, ..Ledger::default() };
            let uptime_ms = Some(1_000 * seconds);
            let delay = Some(Delay::fixed(Duration::from_millis(100)));
            for snapshot in [
                Snapshot { requests: Some(3 * seconds), uptime_ms, ..snapshot("web", Tier::Web) },
                Snapshot {
                    workers: workers().into_iter().chain([draining]).collect(),
                    window: Some(1),
                    ledger,
                    uptime_ms,
                    ..snapshot("requester", Tier::Requester)
                },
                Snapshot { uptime_ms, ..snapshot("broker", Tier::Broker) },
                Snapshot { workers: workers(), delay, uptime_ms, ..snapshot("responder", Tier::Responder) },
            ] {
                self.take(&Event::Instance { snapshot: Box::new(snapshot) });
            }
        }
    }

    #[test]
    fn rates_have_one_meaning_on_each_tier_and_unchanged_figures_are_no_news() {
        let now = Instant::now();
        let mut deployment = Deployment { log: FiguresLog::new(now, 5), topology: Topology::default(), now };
        deployment.after(0);
        deployment.after(1);
        let figures = deployment.log.news(&deployment.topology, 6).unwrap();
        assert_eq!((figures.at, figures.since, figures.requests, figures.messages_per_request), (6, 5, 3, 3));
        assert_eq!((figures.rates["web"], figures.rates["requester"]), (3.0, 9.0));
        assert_eq!((figures.offered_per_s, figures.served_per_s, figures.capacity_per_s), (9.0, 9.0, Some(30.0)));
        assert_eq!(figures.tiers.iter().map(|tier| tier.tier).collect::<Vec<_>>(), Tier::ALL);
        assert_eq!(figures.nodes.len(), 1);
        assert_eq!(deployment.log.news(&deployment.topology, 7), None);
        deployment.log.given();
        assert!(deployment.log.news(&deployment.topology, 7).is_some());
        deployment.take(&Event::InstanceGone { id: "requester".into(), at: 1, reason: "silent".into() });
        let figures = deployment.log.news(&deployment.topology, 8).unwrap();
        assert_eq!((figures.offered_per_s, figures.capacity_per_s), (0.0, Some(0.0)));
        assert_eq!((figures.tiers[1].ledger.sent, figures.tiers[1].instances), (9, 0));
    }
}

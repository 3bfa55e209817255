//! What the deployment tells of itself, looked at ten times a second as a dashboard would be: every instance ever seen,
//! with its last figures.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use awc::Connector;
use futures_util::future::join_all;
use parking_lot::Mutex;
use swarmq::wire::{InstanceState, InstanceView, Ledger, LinkState, Tier, Topology, now_ms};

use crate::stack::wait_for;

/// An instance that no web instance tells of for so long has ended, and was forgotten.
const FORGOTTEN_MS: u64 = 3_000;

const TIERS: [Tier; 4] = [Tier::Web, Tier::Requester, Tier::Broker, Tier::Responder];

/// One instance, from its first sight on. Times are milliseconds since the epoch.
#[derive(Clone)]
pub struct Seen {
    pub view: InstanceView,
    pub first_at: u64,
    /// When it was first seen with a message to its name.
    pub working_at: Option<u64>,
    /// It said goodbye, or nothing was heard of it.
    pub gone: bool,
    /// It died without a word: its last figures never came.
    written_off: bool,
    /// When a web instance last told of it.
    told_at: u64,
}

impl Seen {
    pub fn tier(&self) -> Tier {
        self.view.snapshot.instance.tier
    }

    pub fn node(&self) -> &str {
        &self.view.snapshot.instance.node
    }

    /// Its container's address.
    pub fn ip(&self) -> Option<IpAddr> {
        Some(self.view.snapshot.instance.admin?.ip())
    }

    pub fn is_ready(&self) -> bool {
        !self.gone && self.view.snapshot.state == InstanceState::Ready
    }
}

#[derive(Default)]
struct State {
    seen: BTreeMap<String, Seen>,
    /// The last answers.
    topologies: Vec<Topology>,
}

/// Looks at the topology until it is dropped.
pub struct Watch {
    state: Arc<Mutex<State>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Asks the web instances at these addresses, those that answer: one that has just started knows nothing of what ended
    /// before.
    pub fn start(addresses: Vec<String>) -> Self {
        let (state, stopping) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (kept, stop) = (state.clone(), stopping.clone());
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async {
                let mut ticks = tokio::time::interval(Duration::from_millis(100));
                while !stop.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let answers = join_all(addresses.iter().map(|address| topology(address))).await;
                    kept.lock().take(answers.into_iter().flatten().collect());
                }
            });
        });
        Self { state, stopping, thread: Some(thread) }
    }

    /// Every instance seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.values().cloned().collect()
    }

    /// The instances of a tier that would do work.
    pub fn ready(&self, tier: Tier) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.is_ready() && seen.tier() == tier).collect()
    }

    /// What is not as it shall be: instances that would do no work, and tiers with another count of them.
    pub fn amiss(&self, counts: &[(Tier, usize)]) -> Vec<String> {
        let living: Vec<_> = self.seen().into_iter().filter(|seen| !seen.gone).collect();
        let idle = living.iter().filter(|seen| !seen.is_ready()).map(|seen| {
            let snapshot = &seen.view.snapshot;
            format!("{} on {} is {:?} {:?}", snapshot.instance.id, seen.node(), snapshot.state, snapshot.reason)
        });
        let of = |tier| living.iter().filter(|seen| seen.tier() == tier).count();
        let other = counts.iter().filter(|(tier, count)| of(*tier) != *count);
        idle.chain(other.map(|(tier, count)| format!("{} of {count} {}", of(*tier), tier.name()))).collect()
    }

    /// Waits until the instances that are there are these, by tier, and all of them would do work.
    pub fn wait_for(&self, counts: &[(Tier, usize)], within: Duration) -> Result<()> {
        wait_for("every instance at work", within, || match self.amiss(counts) {
            amiss if amiss.is_empty() => Ok(true),
            amiss => bail!("{}", amiss.join("; ")),
        })
        .map(drop)
    }

    /// The ledger of a tier: all instances ever seen.
    pub fn ledger(&self, tier: Tier) -> Ledger {
        let mut sum = Ledger::default();
        let seen = self.seen().into_iter().filter(|seen| seen.tier() == tier && !seen.written_off);
        seen.for_each(|seen| sum.add(&seen.view.snapshot.ledger));
        sum
    }

    /// From now on the instances that died on a node don't count.
    pub fn write_off(&self, node: &str) {
        let mut state = self.state.lock();
        let died = state.seen.values_mut().filter(|seen| seen.gone && seen.node() == node);
        died.filter(|seen| seen.view.snapshot.ledger.in_flight > 0).for_each(|seen| seen.written_off = true);
    }

    /// The instances whose ledger does not balance with nothing in flight.
    pub fn unsettled(&self) -> Vec<String> {
        let is_settled = |ledger: &Ledger| ledger.is_balanced() && ledger.in_flight == 0;
        let seen = self.seen();
        seen.iter()
            .filter(|seen| !seen.written_off)
            .filter(|seen| !is_settled(&seen.view.snapshot.ledger))
            .map(|seen| format!("{}: {:?}", seen.view.snapshot.instance.id, seen.view.snapshot.ledger))
            .collect()
    }

    /// True when no living instance has a connection to any of these hosts.
    pub fn gave_up(&self, hosts: &BTreeSet<IpAddr>) -> bool {
        let state = self.state.lock();
        let is_there = |address: &str| address.parse::<SocketAddr>().is_ok_and(|address| hosts.contains(&address.ip()));
        let peers = |seen: &Seen| seen.view.snapshot.peers.iter().any(|peer| peer.connected && is_there(&peer.address));
        let living = state.seen.values().filter(|seen| !seen.gone && !seen.ip().is_some_and(|ip| hosts.contains(&ip)));
        let mut links = state.topologies.iter().flat_map(|topology| &topology.links);
        !living.into_iter().any(peers)
            && !links.any(|(address, link)| link.state == LinkState::Connected && is_there(address))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl State {
    /// Takes in what the web instances say; of an instance, what is newest.
    fn take(&mut self, topologies: Vec<Topology>) {
        let now = now_ms();
        for (id, view) in topologies.iter().flat_map(|topology| &topology.instances) {
            let seen = self.seen.entry(id.clone()).or_insert_with(|| Seen {
                view: view.clone(),
                first_at: now,
                working_at: None,
                gone: false,
                written_off: false,
                told_at: now,
            });
            seen.told_at = now;
            if view.snapshot.at < seen.view.snapshot.at {
                continue;
            }
            seen.gone = view.snapshot.state == InstanceState::Gone;
            seen.view = view.clone();
            if view.snapshot.ledger.sent > 0 {
                seen.working_at.get_or_insert(now);
            }
        }
        if !topologies.is_empty() {
            let unheard = self.seen.values_mut().filter(|seen| now - seen.told_at > FORGOTTEN_MS);
            unheard.for_each(|seen| seen.gone = true);
        }
        self.topologies = topologies;
    }
}

/// The topology as one web instance knows it.
async fn topology(address: &str) -> Result<Topology> {
    let connector = Connector::new().timeout(Duration::from_millis(500));
    let client = awc::Client::builder().connector(connector).timeout(Duration::from_secs(1)).finish();
    let sent = client.get(format!("http://{address}/api/v1/topology")).force_close().send().await;
    let mut answer = sent.map_err(|error| anyhow!("{error}"))?;
    Ok(answer.json().limit(16 << 20).await?)
}

/// Every tier with its counts, for the report.
pub fn ledgers(watch: &Watch) -> BTreeMap<&'static str, Ledger> {
    TIERS.into_iter().map(|tier| (tier.name(), watch.ledger(tier))).collect()
}

//! The states of the links, for the rest of the web tier, and the choice of links for a request.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::LinkQueue;
use crate::runtime::{InstanceStatus, TieBreaker};
use crate::wire::{FanOut, LinkState, LinkView};

/// Why a connection could not be made, in the format of Node.js's error, which the article's page shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConnectFailure {
    pub errno: i32,
    pub code: String,
    pub syscall: &'static str,
    pub address: String,
    pub port: u16,
    /// A reason without a code in Node.js, such as the one that the requester gave before it closed the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl ConnectFailure {
    pub fn of(address: SocketAddr, errno: Errno, message: Option<String>) -> Self {
        let (address, port) = (address.ip().to_string(), address.port());
        let (errno, code) = (-(errno as i32), format!("{errno:?}"));
        Self { errno, code, syscall: "connect", address, port, message }
    }

    /// For logs, the page, and `/readyz`.
    pub fn reason(&self) -> String {
        self.message.clone().unwrap_or_else(|| format!("can't connect: {}", self.code))
    }
}

/// Why a link has ended.
pub const LINK_ENDED: &str = "the web tier was disconnected, or the name does not resolve to its address any more";

/// The desired state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkGoal {
    Keep,
    /// The name does not resolve to its address any more. Sends no more requests, and waits for the replies to earlier ones: a swarm
    /// removes a task from its DNS before it stops it.
    Drain,
    /// Closes the connection at once, and ends the requests. Final.
    Close,
}

/// A link as seen by those who choose one.
struct Record {
    queue: Arc<LinkQueue>,
    state: LinkState,
    /// Why it is in this state, if known.
    reason: Option<String>,
    failure: Option<ConnectFailure>,
}

/// The links of a web tier, and whether it is to be connected.
pub struct LinkTable {
    records: Mutex<BTreeMap<SocketAddr, Record>>,
    /// True while the web tier is to be connected.
    wanted: watch::Sender<bool>,
    /// Changes whenever a link's state does.
    changes: watch::Sender<u64>,
    status: Arc<InstanceStatus>,
    /// The upstream as configured, for messages.
    pub upstream: String,
    connect_timeout: Duration,
    tie_breaker: TieBreaker,
}

impl LinkTable {
    /// A table without links. `wanted`: connect at the start.
    pub fn new(wanted: bool, status: Arc<InstanceStatus>, upstream: String, connect_timeout: Duration) -> Self {
        let (wanted, changes) = (watch::Sender::new(wanted), watch::Sender::new(0));
        let tie_breaker = TieBreaker::default();
        Self { records: Mutex::default(), wanted, changes, status, upstream, connect_timeout, tie_breaker }
    }

    /// Whether the web tier is to be connected.
    pub fn wanted(&self) -> watch::Receiver<bool> {
        self.wanted.subscribe()
    }

    /// The links that send a request, without those to the addresses in `not`: every connected one, or the connected one with the
    /// fewest requests, breaking ties round-robin.
    pub fn choose(&self, fan_out: FanOut, not: &BTreeSet<SocketAddr>) -> Vec<Arc<LinkQueue>> {
        let records = self.records.lock();
        let mut connected: Vec<_> = usable(&records, not).map(|record| record.queue.clone()).collect();
        match fan_out {
            FanOut::All => connected,
            FanOut::One => {
                let least = self.tie_breaker.least(connected.len(), |index| connected[index].count());
                least.map(|index| connected.swap_remove(index)).into_iter().collect()
            }
        }
    }

    /// True if [`Self::choose`] would return a link. Does not advance the round-robin.
    pub fn any(&self, not: &BTreeSet<SocketAddr>) -> bool {
        usable(&self.records.lock(), not).next().is_some()
    }

    /// Asks for connections, as the article's Connect button does. Returns the first one that is up, or why none could be made.
    pub async fn connect(&self) -> Result<SocketAddr, ConnectFailure> {
        let mut changes = self.changes.subscribe();
        self.records.lock().values_mut().for_each(|record| record.failure = None);
        self.wanted.send_replace(true);
        let settled = async {
            loop {
                if let Some(settled) = self.settled() {
                    return settled;
                }
                // The sender is this struct's own, so that waiting cannot fail.
                let _ = changes.changed().await;
            }
        };
        match timeout(self.connect_timeout, settled).await {
            Ok(settled) => settled,
            Err(_) => Err(self.timed_out()),
        }
    }

    /// Asks for all connections to be closed; requests under way end as errors.
    pub fn disconnect(&self) {
        self.wanted.send_replace(false);
    }

    /// The links as they are now, for the page.
    pub fn views(&self) -> BTreeMap<String, LinkView> {
        let view = |record: &Record| LinkView {
            state: record.state,
            reason: record.reason.clone().or_else(|| record.failure.as_ref().map(ConnectFailure::reason)),
        };
        self.records.lock().iter().map(|(address, record)| (address.to_string(), view(record))).collect()
    }

    /// Changes whenever a link's state does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Adds a link, which is not connected yet.
    pub fn add(&self, queue: Arc<LinkQueue>) {
        let address = queue.address;
        let record = Record { queue, state: LinkState::Disconnected, reason: None, failure: None };
        self.status.know_peer(address);
        self.records.lock().insert(address, record);
    }

    /// True until the link to the address has left.
    pub fn has(&self, address: SocketAddr) -> bool {
        self.records.lock().contains_key(&address)
    }

    /// Removes a link that has ended.
    pub fn remove(&self, address: SocketAddr) {
        self.set(address, LinkState::Disconnected, None, None);
        self.records.lock().remove(&address);
        self.status.forget_peer(address);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Sets a link's state, why it is in it, and why no connection could be made.
    pub fn set(&self, address: SocketAddr, state: LinkState, reason: Option<String>, failure: Option<ConnectFailure>) {
        if let Some(record) = self.records.lock().get_mut(&address) {
            let before = std::mem::replace(&mut record.state, state);
            record.reason = reason;
            if (before == LinkState::Connected) != (state == LinkState::Connected) {
                self.status.peer(address, state == LinkState::Connected);
            }
            if failure.is_some() || state == LinkState::Connected {
                self.status.peer_trouble(address, failure.as_ref().map(ConnectFailure::reason));
                record.failure = failure;
            }
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// The result of connecting, if it is known: a connection, or a failure if every link has failed.
    fn settled(&self) -> Option<Result<SocketAddr, ConnectFailure>> {
        let records = self.records.lock();
        if let Some(up) = records.values().find(|record| record.state == LinkState::Connected) {
            return Some(Ok(up.queue.address));
        }
        let failures: Option<Vec<_>> = records.values().map(|record| record.failure.clone()).collect();
        failures?.into_iter().next().map(Err)
    }

    fn timed_out(&self) -> ConnectFailure {
        let (host, port) = self.upstream.rsplit_once(':').unwrap_or((&self.upstream, "0"));
        let known = !self.records.lock().is_empty();
        let (errno, code, syscall) =
            if known { (-110, "ETIMEDOUT", "connect") } else { (-3008, "ENOTFOUND", "getaddrinfo") };
        ConnectFailure {
            errno,
            code: code.to_owned(),
            syscall,
            address: host.to_owned(),
            port: port.parse().unwrap_or_default(),
            message: None,
        }
    }
}

/// The connected links, without those to the addresses in `not`.
fn usable<'a>(
    records: &'a BTreeMap<SocketAddr, Record>,
    not: &'a BTreeSet<SocketAddr>,
) -> impl Iterator<Item = &'a Record> {
    records.values().filter(|record| record.state == LinkState::Connected && !not.contains(&record.queue.address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::status;

    #[test]
    fn ties_are_broken_round_robin_and_any_does_not_advance_it() {
        let links = LinkTable::new(true, status(), "requester:5678".into(), Duration::from_secs(1));
        let addresses = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        for address in addresses {
            links.add(Arc::new(LinkQueue::new(address)));
        }
        let none = BTreeSet::new();
        assert!(!links.any(&none) && links.choose(FanOut::One, &none).is_empty());
        for address in addresses {
            links.set(address, LinkState::Connected, None, None);
        }
        let choose = || links.choose(FanOut::One, &none)[0].address;
        let first = choose();
        let others = [(); 3].map(|()| (links.any(&none), choose()).1);
        assert!(others[0] != first && others[1] == first && others[2] == others[0], "{first} {others:?}");
        assert!(links.any(&BTreeSet::from([first])) && !links.any(&BTreeSet::from(addresses)));
    }
}

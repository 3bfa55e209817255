//! Keeps a socket connected to a changing set of peers.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{ConnectionChange, Renewal, RenewalPolicy, connect, endpoint, renew};

/// The addresses that a socket connects to. An address that discovery does not list any more is kept while its connection is
/// up: a swarm removes a task from its DNS before it stops it, and replies may still be on their way.
pub struct Peers {
    policy: RenewalPolicy,
    all: BTreeMap<SocketAddr, Renewal>,
}

/// What [`Peers::follow`] changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PeerChanges {
    pub new: Vec<SocketAddr>,
    pub gone: Vec<SocketAddr>,
}

impl Peers {
    pub fn new(policy: RenewalPolicy) -> Self {
        Self { policy, all: BTreeMap::new() }
    }

    /// Connects to new `known` addresses, disconnects from addresses that are neither `known` nor `up`, and renews connections
    /// that have been down for too long.
    pub fn follow(
        &mut self,
        socket: &zmq::Socket,
        known: &BTreeSet<SocketAddr>,
        up: &BTreeSet<SocketAddr>,
    ) -> io::Result<PeerChanges> {
        let mut changes = PeerChanges::default();
        for gone in self.all.keys().filter(|address| !known.contains(address) && !up.contains(address)) {
            socket.disconnect(&endpoint(*gone))?;
            changes.gone.push(*gone);
        }
        self.all.retain(|address, _| !changes.gone.contains(address));
        for (address, renewal) in &mut self.all {
            renewal.set(up.contains(address));
            if renewal.take_turn() {
                renew(socket, *address)?;
            }
        }
        for new in known {
            if !self.all.contains_key(new) {
                connect(socket, *new)?;
                self.all.insert(*new, Renewal::new(self.policy));
                changes.new.push(*new);
            }
        }
        Ok(changes)
    }

    /// The latest time for the next call of [`Self::follow`]; `None` while every connection is up.
    pub fn next_renewal(&self) -> Option<Instant> {
        self.all.values().filter_map(Renewal::due).min()
    }
}

/// Updates the set of addresses whose connections are up.
pub fn follow_up(up: &watch::Sender<BTreeSet<SocketAddr>>, address: SocketAddr, change: ConnectionChange) {
    up.send_if_modified(|up| match change {
        ConnectionChange::Up => up.insert(address),
        _ => up.remove(&address),
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn set(ports: &[u16]) -> BTreeSet<SocketAddr> {
        ports.iter().map(|port| address(*port)).collect()
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn peers() -> (Peers, zmq::Socket) {
        let policy = RenewalPolicy { first: Duration::from_millis(50), longest: Duration::from_millis(100) };
        (Peers::new(policy), zmq::Context::new().socket(zmq::PUB).unwrap())
    }

    #[test]
    fn a_peer_that_discovery_does_not_list_is_kept_while_its_connection_is_up() {
        let (mut peers, socket) = peers();
        let changes = peers.follow(&socket, &set(&[1, 2]), &set(&[])).unwrap();
        assert_eq!(changes, PeerChanges { new: vec![address(1), address(2)], gone: vec![] });
        let changes = peers.follow(&socket, &set(&[3]), &set(&[2])).unwrap();
        assert_eq!(changes, PeerChanges { new: vec![address(3)], gone: vec![address(1)] });
        let changes = peers.follow(&socket, &set(&[3]), &set(&[])).unwrap();
        assert_eq!(changes, PeerChanges { new: vec![], gone: vec![address(2)] });
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_due_for_renewal_again_and_again_until_it_is_up() {
        let (mut peers, socket) = peers();
        peers.follow(&socket, &set(&[1]), &set(&[])).unwrap();
        for _ in 0..3 {
            let due = peers.next_renewal().unwrap();
            tokio::time::advance(due - Instant::now()).await;
            peers.follow(&socket, &set(&[1]), &set(&[])).unwrap();
            assert!(peers.next_renewal().unwrap() > due);
        }
        peers.follow(&socket, &set(&[1]), &set(&[1])).unwrap();
        assert_eq!(peers.next_renewal(), None);
    }
}

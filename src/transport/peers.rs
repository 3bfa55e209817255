//! The peers that one socket connects to, as they come and leave.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

/// Which addresses a socket is connected to, or tries to be. One that is not behind the name any more is kept while its
/// connection is up: a swarm takes a task out of its DNS before it tells it to stop, and what it holds is still to be
/// exchanged.
#[derive(Default)]
pub struct Peers(BTreeSet<SocketAddr>);

/// What [`Peers::follow`] changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PeerChanges {
    pub new: Vec<SocketAddr>,
    pub gone: Vec<SocketAddr>,
}

impl Peers {
    /// Connects to the `known` addresses that are new, and disconnects from those that are neither known nor among the
    /// connections that are `up`.
    pub fn follow(
        &mut self,
        socket: &zmq::Socket,
        known: &BTreeSet<SocketAddr>,
        up: &BTreeSet<SocketAddr>,
    ) -> io::Result<PeerChanges> {
        let mut changes = PeerChanges::default();
        for gone in self.0.iter().filter(|address| !known.contains(address) && !up.contains(address)) {
            socket.disconnect(&format!("tcp://{gone}"))?;
            changes.gone.push(*gone);
        }
        self.0.retain(|address| !changes.gone.contains(address));
        for new in known {
            if self.0.insert(*new) {
                socket.connect(&format!("tcp://{new}"))?;
                changes.new.push(*new);
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_left_the_name_is_kept_while_its_connection_is_up() {
        let socket = zmq::Context::new().socket(zmq::PUB).unwrap();
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let set = |ports: &[u16]| ports.iter().map(|port| address(*port)).collect::<BTreeSet<_>>();
        let mut peers = Peers::default();
        let changes = peers.follow(&socket, &set(&[1, 2]), &set(&[])).unwrap();
        assert_eq!(changes, PeerChanges { new: vec![address(1), address(2)], gone: vec![] });
        let changes = peers.follow(&socket, &set(&[3]), &set(&[2])).unwrap();
        assert_eq!(changes, PeerChanges { new: vec![address(3)], gone: vec![address(1)] });
        let changes = peers.follow(&socket, &set(&[3]), &set(&[])).unwrap();
        assert_eq!(changes, PeerChanges { new: vec![], gone: vec![address(2)] });
    }
}

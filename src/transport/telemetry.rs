//! Telemetry: each instance's PUB socket connects to the web tier's SUB sockets. One way, JSON, and it may lose.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::sync::watch;

use super::{Contexts, Frames, Peers, Socket};
use crate::model::Event;

/// An instance's end.
pub struct Publisher {
    socket: Socket,
    peers: Peers,
    /// The connections that are up.
    up: watch::Receiver<BTreeSet<SocketAddr>>,
}

impl Publisher {
    /// A publisher without peers. Needs an actix runtime; fails without a free file descriptor.
    pub fn new(contexts: &Contexts) -> io::Result<Self> {
        let socket = contexts.inproc_socket(zmq::PUB)?;
        let (sender, up) = watch::channel(BTreeSet::new());
        // Every process has this one connection at least: what is wrong with its key shows here.
        contexts.watch_peers(&socket, "telemetry", sender, |_, _| {})?;
        Ok(Self { socket: Socket::attach(socket)?, peers: Peers::default(), up })
    }

    /// Connects to addresses that are new, and disconnects from those that are not among them any more once their
    /// connection is lost: a web instance that drains still shows what happens.
    pub fn set_peers(&mut self, addresses: &BTreeSet<SocketAddr>) -> io::Result<()> {
        let up = self.up.borrow_and_update().clone();
        self.peers.follow(self.socket.raw(), addresses, &up).map(drop)
    }

    /// Returns when connections have come up or were lost since the last [`Self::set_peers`].
    pub async fn news(&mut self) {
        if self.up.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Sends events, as one JSON array, to whoever listens. Never waits: a peer that is slow or away misses it.
    pub fn publish(&self, events: &[Event]) -> io::Result<()> {
        let json = serde_json::to_vec(events)?;
        self.socket.raw().send(json, zmq::DONTWAIT)?;
        Ok(())
    }
}

/// The web tier's end.
pub struct Subscriber {
    socket: Socket,
}

impl Subscriber {
    /// Wraps a bound SUB socket. Fails without a free file descriptor.
    pub fn new(bound: zmq::Socket) -> io::Result<Self> {
        bound.set_subscribe(b"")?;
        Ok(Self { socket: Socket::attach(bound)? })
    }

    /// Takes the next message; the inner error says why it is no array of events. An admin server that listens on every
    /// address of its host is given the one that its telemetry comes from.
    pub async fn next(&self) -> io::Result<Result<Vec<Event>, serde_json::Error>> {
        let mut frames: Frames = self.socket.recv().await?;
        let peer: Option<IpAddr> = frames[0].gets("Peer-Address").and_then(|address| address.parse().ok());
        let events = serde_json::from_slice::<Vec<Event>>(&frames[0]);
        Ok(events.map(|mut events| {
            events.iter_mut().for_each(|event| place(event, peer));
            events
        }))
    }
}

/// Puts the sender's address where its own host's every address stood.
fn place(event: &mut Event, peer: Option<IpAddr>) {
    let (Event::Instance { snapshot }, Some(peer)) = (event, peer) else { return };
    let admin = &mut snapshot.instance.admin;
    if let Some(address) = admin.as_ref().and_then(|admin| admin.parse::<SocketAddr>().ok())
        && address.ip().is_unspecified()
    {
        *admin = Some(SocketAddr::new(peer, address.port()).to_string());
    }
}

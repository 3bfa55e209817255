//! Telemetry: each instance's PUB socket connects to the web tier's SUB sockets. One way, JSON, and it may lose.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::sync::watch;

use super::{Contexts, Frames, Peers, Socket, follow_up, peers_news};
use crate::model::Event;

/// The largest report that a web tier takes, in bytes: the snapshot of ten thousand workers is below it.
pub const LARGEST_REPORT: usize = 4 << 20;

/// Events are sent together up to so many bytes.
const REPORT: usize = 1 << 20;

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
        let (sender, up) = watch::channel(BTreeSet::new());
        // Every process has this one connection at least: what is wrong with its key shows here.
        let socket =
            contexts.watched_socket(zmq::PUB, "telemetry", move |address, news| follow_up(&sender, address, news))?;
        Ok(Self { socket: Socket::attach(socket)?, peers: Peers::new(contexts.renewal()), up })
    }

    /// Connects to addresses that are new, and disconnects from those that are not among them any more once their
    /// connection is lost: a web instance that drains still shows what happens. Makes connections anew that stay down.
    pub fn set_peers(&mut self, addresses: &BTreeSet<SocketAddr>) -> io::Result<()> {
        let up = self.up.borrow_and_update().clone();
        self.peers.follow(self.socket.raw(), addresses, &up).map(drop)
    }

    /// Returns when [`Self::set_peers`] has to be called: connections have come up or were lost since, or stay down.
    pub async fn news(&mut self) {
        peers_news(&self.peers, &mut self.up).await;
    }

    /// Sends events, as JSON arrays, to whoever listens; how many were left out because they are too large. Never waits: a
    /// peer that is slow or away misses them.
    pub fn publish(&self, events: &[Event]) -> io::Result<u64> {
        let mut left_out = 0;
        let mut report = Vec::new();
        for event in events {
            let json = serde_json::to_vec(event)?;
            if json.len() > LARGEST_REPORT - 2 {
                left_out += 1;
                continue;
            }
            if report.len() + json.len() + 2 > REPORT {
                self.send(&mut report)?;
            }
            report.push(if report.is_empty() { b'[' } else { b',' });
            report.extend_from_slice(&json);
        }
        self.send(&mut report)?;
        Ok(left_out)
    }

    /// Sends the array that was begun, if there is one.
    fn send(&self, report: &mut Vec<u8>) -> io::Result<()> {
        if !report.is_empty() {
            report.push(b']');
            self.socket.raw().send(std::mem::take(report), zmq::DONTWAIT)?;
        }
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

//! Telemetry: each instance's PUB socket connects to the web tier's SUB sockets. One way, JSON, and it may lose.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::sync::watch;

use super::{Contexts, Frames, Peers, Socket, follow_up, peers_news};
use crate::model::Event;

/// The largest report that is taken, in bytes: the states of 10,000 workers, the most that a setting allows, take half of it.
pub const LARGEST_REPORT: usize = 2 << 20;

/// About the most bytes of a report: what waits for a peer is counted in reports.
const REPORT: usize = 64 << 10;

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

    /// Sends events, as JSON arrays, to whoever listens. Never waits: a peer that is slow or away misses them. How many were
    /// left out, because they are longer than any peer takes.
    pub fn publish(&self, events: &[Event]) -> io::Result<usize> {
        let (reports, left_out) = reports(events)?;
        reports.iter().try_for_each(|report| self.socket.raw().send(report, zmq::DONTWAIT))?;
        Ok(left_out)
    }
}

/// Events as JSON arrays, each of [`REPORT`] bytes or of one event that is longer; and how many are too long for that.
fn reports(events: &[Event]) -> serde_json::Result<(Vec<String>, usize)> {
    let mut reports: Vec<String> = vec![];
    let mut left_out = 0;
    for event in events {
        let event = serde_json::to_string(event)?;
        match reports.last_mut() {
            _ if event.len() + "[]".len() > LARGEST_REPORT => left_out += 1,
            Some(report) if report.len() + event.len() < REPORT => report.extend([",", &event]),
            _ => reports.push(format!("[{event}")),
        }
    }
    reports.iter_mut().for_each(|report| report.push(']'));
    Ok((reports, left_out))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_events_are_told_in_reports_of_a_bounded_length() {
        let event = |length: usize| {
            let reason = "x".repeat(length);
            Event::InstanceGone { id: "a".into(), at: 1, reason }
        };
        let lengths = [10, 40_000, 40_000, 10, REPORT * 2, 10, LARGEST_REPORT, 10];
        let mut events: Vec<Event> = lengths.into_iter().map(event).collect();
        let (reports, left_out) = reports(&events).unwrap();
        assert_eq!(left_out, 1);
        events.remove(6);
        assert_eq!(reports.len(), 4, "{:?}", reports.iter().map(String::len).collect::<Vec<_>>());
        let told = reports.iter().flat_map(|report| serde_json::from_str::<Vec<Event>>(report).unwrap());
        assert_eq!(told.collect::<Vec<_>>(), events);
    }
}

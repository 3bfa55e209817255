//! Telemetry: each instance's PUB socket connects to the web tier's SUB sockets. One way, JSON, and it may lose.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use tokio::sync::watch;

use super::{Allowance, Proof};
use crate::runtime::zeromq::{Contexts, Frames, Peers, Socket, follow_up, memory};
use crate::wire::Event;

/// The largest report that is taken, in bytes: the states of 10,000 workers, the most that a setting allows, take half of it.
pub const MAX_REPORT: usize = 2 << 20;

/// About the most bytes of a report: what waits for a peer is counted in reports.
const REPORT: usize = 64 << 10;

/// An instance's end.
pub struct Publisher {
    socket: Socket,
    peers: Peers,
    proof: Option<Proof>,
    /// The connections that are up.
    up: watch::Receiver<BTreeSet<SocketAddr>>,
}

impl Publisher {
    /// A publisher without peers, which sends a proof with each report where it has one. Needs an actix runtime; fails
    /// without a free file descriptor.
    pub fn new(contexts: &Contexts, proof: Option<Proof>) -> io::Result<Self> {
        let (sender, up) = watch::channel(BTreeSet::new());
        // Every process has this one connection at least: what is wrong with its key shows here.
        let socket =
            contexts.watched_socket(zmq::PUB, "telemetry", move |address, news| follow_up(&sender, address, news))?;
        Ok(Self { socket: Socket::attach(socket)?, peers: Peers::new(contexts.renewal()), proof, up })
    }

    /// Connects to addresses that are new, and disconnects from those that are not among them any more once their
    /// connection is lost: a web instance that drains still shows what happens. Makes connections anew that stay down.
    pub fn set_peers(&mut self, addresses: &BTreeSet<SocketAddr>) -> io::Result<()> {
        let up = self.up.borrow_and_update().clone();
        self.peers.follow(self.socket.raw(), addresses, &up).map(drop)
    }

    /// The connections that are up. [`Self::set_peers`] has to be called when they change.
    pub fn up(&self) -> watch::Receiver<BTreeSet<SocketAddr>> {
        self.up.clone()
    }

    /// The latest time for the next call of [`Self::set_peers`]; `None` while every connection is up.
    pub fn next_renewal(&self) -> Option<tokio::time::Instant> {
        self.peers.next_renewal()
    }

    /// Sends events, as JSON arrays, to whoever listens. Never waits: a peer that is slow or away misses them. How many were
    /// left out, because they are longer than any peer takes.
    pub fn publish(&self, events: &[Event]) -> io::Result<usize> {
        let (reports, left_out) = reports(events)?;
        for report in reports {
            let signature = self.proof.as_ref().map(|proof| proof.sign(report.as_bytes()));
            let frames = [Some(report.into_bytes()), signature];
            self.socket.raw().send_multipart(frames.into_iter().flatten(), zmq::DONTWAIT)?;
        }
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
            _ if event.len() + "[]".len() > MAX_REPORT => left_out += 1,
            Some(report) if report.len() + event.len() < REPORT => report.extend([",", &event]),
            _ => reports.push(format!("[{event}")),
        }
    }
    reports.iter_mut().for_each(|report| report.push(']'));
    Ok((reports, left_out))
}

/// What an instance has told.
pub struct Report {
    /// The address it came from.
    pub peer: IpAddr,
    pub events: Vec<Event>,
}

/// Why a report is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("it does not carry the proof of this deployment's token (admin.token)")]
    Unproved,
    #[error("it can't be read, of another version? {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("where it comes from is not known")]
    FromNowhere,
    #[error("its host sends more than an instance does (telemetry.events_per_second, telemetry.interval)")]
    TooFast,
}

/// The web tier's end.
pub struct Subscriber {
    socket: Socket,
    /// What each report has to come with.
    proof: Option<Proof>,
    allowance: Allowance,
}

impl Subscriber {
    /// Wraps a bound SUB socket, which takes `per_second` bytes of each host, two seconds' worth at once. Fails without a
    /// free file descriptor.
    pub fn new(bound: zmq::Socket, proof: Option<Proof>, per_second: u64) -> io::Result<Self> {
        bound.set_subscribe(b"")?;
        Ok(Self { socket: Socket::attach(bound)?, proof, allowance: Allowance::new(per_second) })
    }

    /// Takes the next report; the inner error says why it is none. What a host sends beyond its allowance is not read. An
    /// admin server that listens on every address of its host is given the one that its telemetry comes from.
    pub async fn next(&mut self) -> io::Result<Result<Report, TelemetryError>> {
        let mut frames: Frames = self.socket.recv().await?;
        let peer = frames[0].gets("Peer-Address").and_then(|address| address.parse::<IpAddr>().ok());
        // A socket for both IPs tells of IPv4 in IPv6's form.
        Ok(match peer.map(|peer| peer.to_canonical()) {
            None => Err(TelemetryError::FromNowhere),
            Some(peer) if !self.allowance.take(peer, memory(&frames), Instant::now()) => Err(TelemetryError::TooFast),
            Some(peer) => self.report(&frames, peer),
        })
    }

    fn report(&self, frames: &Frames, peer: IpAddr) -> Result<Report, TelemetryError> {
        let signature = frames.get(1).map_or(&[][..], |frame| &frame[..]);
        if self.proof.as_ref().is_some_and(|proof| !proof.holds(&frames[0], signature)) {
            return Err(TelemetryError::Unproved);
        }
        let mut events = serde_json::from_slice::<Vec<Event>>(&frames[0])?;
        events.iter_mut().for_each(|event| place(event, peer));
        Ok(Report { peer, events })
    }
}

/// Keeps an admin server's address only where it is on the host that tells it, whose address is put in the place of its
/// own host's every address. What is called there carries the token.
pub fn place(event: &mut Event, peer: IpAddr) {
    let Event::Instance { snapshot } = event else { return };
    let admin = &mut snapshot.instance.admin;
    *admin = admin.and_then(|told| {
        let ip = told.ip();
        let same_host = ip.is_unspecified() || ip == peer || (is_here(ip) && is_here(peer));
        let ip = if ip.is_unspecified() { peer } else { ip };
        same_host.then_some(SocketAddr::new(ip, told.port()))
    });
}

/// True for an address of this machine: no other can be bound.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Tier, snapshot};

    #[test]
    fn many_events_are_told_in_reports_of_a_bounded_length() {
        let event = |length: usize| {
            let reason = "x".repeat(length);
            Event::InstanceGone { id: "a".into(), at: 1, reason }
        };
        let lengths = [10, 40_000, 40_000, 10, REPORT * 2, 10, MAX_REPORT, 10];
        let mut events: Vec<Event> = lengths.into_iter().map(event).collect();
        let (reports, left_out) = reports(&events).unwrap();
        assert_eq!(left_out, 1);
        events.remove(6);
        assert_eq!(reports.len(), 4, "{:?}", reports.iter().map(String::len).collect::<Vec<_>>());
        let told = reports.iter().flat_map(|report| serde_json::from_str::<Vec<Event>>(report).unwrap());
        assert_eq!(told.collect::<Vec<_>>(), events);
    }

    fn placed(told: &str, peer: &str) -> Option<String> {
        let mut snapshot = Box::new(snapshot("a", Tier::Broker));
        snapshot.instance.admin = Some(told.parse().unwrap());
        let mut event = Event::Instance { snapshot };
        place(&mut event, peer.parse().unwrap());
        let Event::Instance { snapshot } = event else { panic!() };
        snapshot.instance.admin.map(|admin| admin.to_string())
    }

    // Addresses for documentation are never this machine's.
    #[test]
    fn an_admin_server_is_on_the_host_that_tells_of_it() {
        for (told, peer, kept) in [
            ("0.0.0.0:9090", "192.0.2.7", Some("192.0.2.7:9090")),
            ("192.0.2.7:9090", "192.0.2.7", Some("192.0.2.7:9090")),
            ("192.0.2.8:9090", "192.0.2.7", None),
            ("127.0.0.1:9090", "192.0.2.7", None),
            ("127.0.0.1:9090", "127.0.0.1", Some("127.0.0.1:9090")),
            ("127.0.0.9:9090", "127.0.0.1", Some("127.0.0.9:9090")),
            ("192.0.2.7:9090", "127.0.0.1", None),
            ("[::]:9090", "127.0.0.1", Some("127.0.0.1:9090")),
        ] {
            assert_eq!(placed(told, peer).as_deref(), kept, "{told} told by {peer}");
        }
    }

    #[test]
    fn an_address_with_a_path_is_none() {
        let mut event = serde_json::json!([{ "type": "instance", "snapshot": snapshot("a", Tier::Broker) }]);
        for admin in ["127.0.0.1:80/x?y=", "evil.example:80", "127.0.0.1", "u@127.0.0.1:80"] {
            event[0]["snapshot"]["instance"]["admin"] = admin.into();
            assert!(serde_json::from_value::<Vec<Event>>(event.clone()).is_err(), "{admin}");
        }
    }
}

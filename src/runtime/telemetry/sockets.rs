//! The sockets of telemetry: the PUB of each process connects to the SUB of each web instance. It is one way, and may lose
//! events.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Instant;

use tokio::sync::watch;

use super::{Allowance, Proof};
use crate::runtime::zeromq::{Contexts, Frames, Peers, Socket, follow_up, memory};
use crate::wire::Event;

/// Maximum bytes of a report. A snapshot of 10,000 workers, the maximum of the settings, takes half of it.
pub const MAX_REPORT: usize = 2 << 20;

/// Maximum bytes of a report with more than one event. Reports are kept short because the high-water mark counts reports.
const REPORT: usize = 64 << 10;

/// The PUB of a process.
pub struct Publisher {
    socket: Socket,
    peers: Peers,
    proof: Option<Proof>,
    /// The connections that are up.
    up: watch::Receiver<BTreeSet<SocketAddr>>,
}

impl Publisher {
    /// A publisher without peers. `proof` signs each report. Needs an actix runtime.
    ///
    /// # Errors
    /// No file descriptor is free.
    pub fn new(contexts: &Contexts, proof: Option<Proof>) -> io::Result<Self> {
        let (sender, up) = watch::channel(BTreeSet::new());
        // With a monitor, because every process has this connection: the monitor reports a wrong key.
        let socket =
            contexts.watched_socket(zmq::PUB, "telemetry", move |address, news| follow_up(&sender, address, news))?;
        Ok(Self { socket: Socket::attach(socket)?, peers: Peers::new(contexts.renewal()), proof, up })
    }

    /// Connects to new addresses, and renews connections that stay down. Disconnects from an address that is not in the set any
    /// more when its connection is lost: until then, a draining web instance still gets telemetry.
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

    /// Sends events, as JSON arrays, to all connected peers. Never waits: a slow peer misses events. Returns the number of events
    /// that were dropped because they are longer than [`MAX_REPORT`].
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

/// Events as JSON arrays of up to [`REPORT`] bytes, or of one longer event; and the number of events above [`MAX_REPORT`].
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

/// Events from an instance.
pub struct Report {
    /// The sender's address.
    pub peer: IpAddr,
    pub events: Vec<Event>,
}

/// Why a report was dropped.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("it does not carry the proof of this deployment's token (admin.token)")]
    Unproved,
    #[error("it cannot be parsed; is the sender of another version? {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the address of its sender is not known")]
    UnknownSender,
    #[error("its host sends more than an instance does (telemetry.events_per_second, telemetry.interval)")]
    TooFast,
}

/// The SUB of a web instance.
pub struct Subscriber {
    socket: Socket,
    /// Checks the signature of each report. `None`: reports need no signature.
    proof: Option<Proof>,
    allowance: Allowance,
}

impl Subscriber {
    /// Wraps a bound SUB. `per_second`: maximum bytes per second from each host, with bursts of two seconds' bytes.
    ///
    /// # Errors
    /// No file descriptor is free.
    pub fn new(bound: zmq::Socket, proof: Option<Proof>, per_second: u64) -> io::Result<Self> {
        bound.set_subscribe(b"")?;
        Ok(Self { socket: Socket::attach(bound)?, proof, allowance: Allowance::new(per_second) })
    }

    /// Receives the next report. The inner error says why it was dropped; reports above the limit of their host are not parsed.
    /// Addresses of admin servers are changed by [`place`].
    pub async fn next(&mut self) -> io::Result<Result<Report, TelemetryError>> {
        let mut frames: Frames = self.socket.recv().await?;
        let peer = frames[0].gets("Peer-Address").and_then(|address| address.parse::<IpAddr>().ok());
        // A socket for IPv4 and IPv6 reports IPv4 addresses in their IPv6 form.
        Ok(match peer.map(|peer| peer.to_canonical()) {
            None => Err(TelemetryError::UnknownSender),
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

/// Removes the addresses at which an instance listens from its snapshot unless they are on the sender's host: calls to the admin
/// server carry the token. An unspecified address (0.0.0.0, [::]) is replaced by the sender's, `peer`.
pub fn place(event: &mut Event, peer: IpAddr) {
    let Event::Instance { snapshot } = event else { return };
    let placed = |address: SocketAddr| {
        let ip = address.ip();
        let same_host = ip.is_unspecified() || ip == peer || (is_here(ip) && is_here(peer));
        let ip = if ip.is_unspecified() { peer } else { ip };
        same_host.then_some(SocketAddr::new(ip, address.port()))
    };
    snapshot.instance.admin = snapshot.instance.admin.and_then(placed);
    snapshot.listens = snapshot.listens.and_then(placed);
}

/// True for an address of this machine: only those can be bound.
fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Tier, snapshot};

    #[test]
    fn events_are_split_into_reports_of_a_bounded_length() {
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
        let received = reports.iter().flat_map(|report| serde_json::from_str::<Vec<Event>>(report).unwrap());
        assert_eq!(received.collect::<Vec<_>>(), events);
    }

    fn placed(admin: &str, peer: &str) -> Option<String> {
        let mut snapshot = Box::new(snapshot("a", Tier::Broker));
        snapshot.instance.admin = Some(admin.parse().unwrap());
        snapshot.listens = snapshot.instance.admin;
        let mut event = Event::Instance { snapshot };
        place(&mut event, peer.parse().unwrap());
        let Event::Instance { snapshot } = event else { panic!() };
        assert_eq!(snapshot.listens, snapshot.instance.admin);
        snapshot.instance.admin.map(|admin| admin.to_string())
    }

    // 192.0.2.0/24 is reserved for documentation, so never an address of this machine.
    #[test]
    fn an_admin_address_is_kept_if_it_is_on_the_senders_host() {
        for (admin, peer, kept) in [
            ("0.0.0.0:9090", "192.0.2.7", Some("192.0.2.7:9090")),
            ("192.0.2.7:9090", "192.0.2.7", Some("192.0.2.7:9090")),
            ("192.0.2.8:9090", "192.0.2.7", None),
            ("127.0.0.1:9090", "192.0.2.7", None),
            ("127.0.0.1:9090", "127.0.0.1", Some("127.0.0.1:9090")),
            ("127.0.0.9:9090", "127.0.0.1", Some("127.0.0.9:9090")),
            ("192.0.2.7:9090", "127.0.0.1", None),
            ("[::]:9090", "127.0.0.1", Some("127.0.0.1:9090")),
        ] {
            assert_eq!(placed(admin, peer).as_deref(), kept, "{admin} from {peer}");
        }
    }

    #[test]
    fn only_an_ip_and_a_port_are_an_admin_address() {
        let mut event = serde_json::json!([{ "type": "instance", "snapshot": snapshot("a", Tier::Broker) }]);
        for admin in ["127.0.0.1:80/x?y=", "evil.example:80", "127.0.0.1", "u@127.0.0.1:80"] {
            event[0]["snapshot"]["instance"]["admin"] = admin.into();
            assert!(serde_json::from_value::<Vec<Event>>(event.clone()).is_err(), "{admin}");
        }
    }
}

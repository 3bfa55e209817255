//! The state of a socket's connections, from the events of libzmq's socket monitor.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use slog::Logger;

use super::{Frames, Socket, refusal};
use crate::runtime::supervision::guarded;

/// Monitors started in this process, for unique endpoints.
static MONITORS: AtomicU64 = AtomicU64::new(0);

const CONNECTED: u16 = zmq::SocketEvent::CONNECTED as u16;
const CLOSED: u16 = zmq::SocketEvent::CLOSED as u16;
const HANDSHAKE_SUCCEEDED: u16 = zmq::SocketEvent::HANDSHAKE_SUCCEEDED as u16;
const HANDSHAKE_FAILED_PROTOCOL: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL as u16;
const HANDSHAKE_FAILED_AUTH: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_AUTH as u16;
const DISCONNECTED: u16 = zmq::SocketEvent::DISCONNECTED as u16;
const MONITOR_STOPPED: u16 = zmq::SocketEvent::MONITOR_STOPPED as u16;

/// A message of a monitor.
pub enum Told {
    /// `value`: depends on the event, see zmq_socket_monitor(3).
    Event { event: u16, value: u32, address: Option<SocketAddr> },
    /// The monitored socket was closed. This is the last message.
    Closed,
}

/// Starts a socket's monitor and returns the socket to read its events from. `context`: the monitored socket's.
pub fn monitor(socket: &zmq::Socket, context: &zmq::Context, events: u16) -> zmq::Result<zmq::Socket> {
    let pair = context.socket(zmq::PAIR)?;
    let endpoint = format!("inproc://monitor-{}", MONITORS.fetch_add(1, Ordering::Relaxed));
    socket.monitor(&endpoint, i32::from(events | MONITOR_STOPPED))?;
    pair.set_linger(0)?;
    pair.connect(&endpoint)?;
    Ok(pair)
}

/// Starts a task that calls `on_message` for each message of a [`monitor`], until the monitored socket is closed. The task also
/// continues after a panic in `on_message`, because a monitor that is not read blocks libzmq's I/O thread.
///
/// # Errors
/// No file descriptor is free.
pub fn watch(monitor: zmq::Socket, log: Logger, mut on_message: impl FnMut(Told) + 'static) -> io::Result<()> {
    let monitor = Socket::attach(monitor)?;
    let mut handle = move |message| guarded("a socket's monitor", &log, || on_message(message)).unwrap_or_default();
    actix_rt::spawn(async move {
        while let Ok(frames) = monitor.recv().await {
            match parse(&frames) {
                Some(Told::Event { event: MONITOR_STOPPED, .. }) => break,
                Some(message) => handle(message),
                None => {}
            }
        }
        handle(Told::Closed);
    });
    Ok(())
}

/// The events that [`Connections`] needs.
pub const CONNECTIONS: u16 =
    CONNECTED | HANDSHAKE_SUCCEEDED | HANDSHAKE_FAILED_PROTOCOL | HANDSHAKE_FAILED_AUTH | DISCONNECTED | CLOSED;

/// A change of an outgoing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionChange {
    /// The handshake has succeeded.
    Up,
    /// A connection that was up is lost.
    Lost,
    /// The TCP connection was made, but the handshake failed; the reason.
    Refused(&'static str),
    /// The TCP connection could not be made.
    Away,
}

/// The state of a TCP connection that has been opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Up,
    Refused,
}

/// The reason if the peer closes the connection during the handshake, for which libzmq has no event of its own.
const NO_HANDSHAKE: &str = "it does not complete the handshake: is another program there, or has one side a key and the \
                            other none (curve.key, curve.key_file)?";

/// Tracks a socket's outgoing connections by the events of its monitor: a socket's own events show neither which peer is
/// connected nor why a handshake failed.
pub struct Connections {
    has_key: bool,
    phases: HashMap<SocketAddr, Phase>,
}

impl Connections {
    /// `has_key`: connections are encrypted.
    pub fn new(has_key: bool) -> Self {
        Self { has_key, phases: HashMap::new() }
    }

    /// Handles an event; returns the address and the change, if its connection's state has changed.
    pub fn take(&mut self, message: &Told) -> Option<(SocketAddr, ConnectionChange)> {
        let Told::Event { event, value, address: Some(address) } = *message else { return None };
        let before = self.phases.remove(&address);
        let (phase, change) = match event {
            CONNECTED => (Some(Phase::Handshake), None),
            HANDSHAKE_SUCCEEDED => (Some(Phase::Up), Some(ConnectionChange::Up)),
            HANDSHAKE_FAILED_PROTOCOL | HANDSHAKE_FAILED_AUTH => match refusal(event, value, self.has_key) {
                Some(reason) => (Some(Phase::Refused), Some(ConnectionChange::Refused(reason))),
                None => (before, None),
            },
            DISCONNECTED if before == Some(Phase::Up) => (None, Some(ConnectionChange::Lost)),
            DISCONNECTED if before == Some(Phase::Handshake) => (None, Some(ConnectionChange::Refused(NO_HANDSHAKE))),
            CLOSED => (None, Some(ConnectionChange::Away)),
            _ => (None, None),
        };
        if let Some(phase) = phase {
            self.phases.insert(address, phase);
        }
        Some(address).zip(change)
    }

    /// Call after the socket was closed. Returns the addresses whose connections were up.
    pub fn close(&mut self) -> Vec<SocketAddr> {
        self.phases.drain().filter(|(_, phase)| *phase == Phase::Up).map(|(address, _)| address).collect()
    }
}

/// `[event number, value][endpoint]`
fn parse(frames: &Frames) -> Option<Told> {
    let head = frames.first()?;
    let event = u16::from_ne_bytes(head.get(..2)?.try_into().ok()?);
    let value = u32::from_ne_bytes(head.get(2..6)?.try_into().ok()?);
    let endpoint = frames.get(1).and_then(|frame| frame.as_str());
    let address = endpoint.and_then(|text| text.strip_prefix("tcp://")?.parse().ok());
    Some(Told::Event { event, value, address })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The changes that a connection's events cause.
    fn changes_of<const N: usize>(events: [(u16, u32); N]) -> Vec<ConnectionChange> {
        let address = SocketAddr::from(([10, 0, 0, 2], 5432));
        let mut connections = Connections::new(false);
        let event = |(event, value)| Told::Event { event, value, address: Some(address) };
        events.into_iter().filter_map(|values| connections.take(&event(values)).map(|(_, change)| change)).collect()
    }

    #[test]
    fn a_connection_comes_up_and_is_lost_once() {
        let events = [(CONNECTED, 0), (HANDSHAKE_SUCCEEDED, 0), (DISCONNECTED, 0), (DISCONNECTED, 0)];
        assert_eq!(changes_of(events), [ConnectionChange::Up, ConnectionChange::Lost]);
        assert_eq!(changes_of([(CLOSED, 0), (CLOSED, 0)]), [ConnectionChange::Away, ConnectionChange::Away]);
    }

    #[test]
    fn a_failed_handshake_is_reported_once_with_its_reason() {
        const MECHANISM_MISMATCH: u32 = 0x1100_0002;
        let changes = changes_of([(CONNECTED, 0), (HANDSHAKE_FAILED_PROTOCOL, MECHANISM_MISMATCH), (DISCONNECTED, 0)]);
        assert!(
            matches!(changes[..], [ConnectionChange::Refused(reason)] if reason.contains("has a key")),
            "{changes:?}"
        );
        let changes = changes_of([(CONNECTED, 0), (DISCONNECTED, 0), (CONNECTED, 0), (HANDSHAKE_SUCCEEDED, 0)]);
        assert_eq!(changes, [ConnectionChange::Refused(NO_HANDSHAKE), ConnectionChange::Up]);
    }
}

//! What libzmq's socket monitor tells of a socket's connections.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch as watched;

use super::{Frames, Socket};

/// Tells monitors of one process apart.
static MONITORS: AtomicU64 = AtomicU64::new(0);

const HANDSHAKE_SUCCEEDED: u16 = zmq::SocketEvent::HANDSHAKE_SUCCEEDED as u16;
const DISCONNECTED: u16 = zmq::SocketEvent::DISCONNECTED as u16;
const MONITOR_STOPPED: u16 = zmq::SocketEvent::MONITOR_STOPPED as u16;

/// What a monitor tells.
pub enum Told {
    /// `value` is what zmq_socket_monitor(3) says of the event.
    Event { event: u16, value: u32, address: Option<SocketAddr> },
    /// The socket was closed; nothing comes after it.
    Closed,
}

/// Calls `told` with each of the events that happens to a socket, until it is closed. The task must run that long:
/// libzmq's I/O thread waits for whoever does not read its monitor. `context` is the socket's own.
pub fn watch(
    socket: &zmq::Socket,
    context: &zmq::Context,
    events: u16,
    mut told: impl FnMut(Told) + 'static,
) -> io::Result<()> {
    let endpoint = format!("inproc://monitor-{}", MONITORS.fetch_add(1, Ordering::Relaxed));
    socket.monitor(&endpoint, i32::from(events | MONITOR_STOPPED))?;
    let pair = context.socket(zmq::PAIR)?;
    pair.set_linger(0)?;
    pair.connect(&endpoint)?;
    let pair = Socket::attach(pair)?;
    actix_rt::spawn(async move {
        while let Ok(frames) = pair.recv().await {
            match parse(&frames) {
                Some(Told::Event { event: MONITOR_STOPPED, .. }) => break,
                Some(event) => told(event),
                None => {}
            }
        }
        told(Told::Closed);
    });
    Ok(())
}

/// The events that [`follow_connections`] needs.
pub const CONNECTIONS: u16 = HANDSHAKE_SUCCEEDED | DISCONNECTED;

/// What keeps `up` at the addresses whose connections are up, and calls `told` with each that comes or is lost. For REP
/// and PUB sockets, which do not tell by their events.
pub fn follow_connections(
    up: watched::Sender<BTreeSet<SocketAddr>>,
    mut told: impl FnMut(SocketAddr, bool) + 'static,
) -> impl FnMut(&Told) + 'static {
    move |news| match *news {
        Told::Event { event: HANDSHAKE_SUCCEEDED, address: Some(address), .. } => {
            if up.send_if_modified(|up| up.insert(address)) {
                told(address, true);
            }
        }
        // A loss is told for each try that fails as well.
        Told::Event { event: DISCONNECTED, address: Some(address), .. } => {
            if up.send_if_modified(|up| up.remove(&address)) {
                told(address, false);
            }
        }
        Told::Event { .. } => {}
        Told::Closed => up.send_replace(BTreeSet::new()).into_iter().for_each(|address| told(address, false)),
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

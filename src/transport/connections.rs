//! What libzmq's socket monitor tells of a socket's connections.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Calls `told` with each address a socket connects to or loses. For REP sockets, which do not tell by their events.
pub fn watch_connections(
    socket: &zmq::Socket,
    context: &zmq::Context,
    mut told: impl FnMut(SocketAddr, bool) + 'static,
) -> io::Result<()> {
    let mut up = BTreeSet::new();
    watch(socket, context, HANDSHAKE_SUCCEEDED | DISCONNECTED, move |news| match news {
        Told::Event { event: HANDSHAKE_SUCCEEDED, address: Some(address), .. } => {
            if up.insert(address) {
                told(address, true);
            }
        }
        // A loss is told for each try that fails as well.
        Told::Event { address: Some(address), .. } => {
            if up.remove(&address) {
                told(address, false);
            }
        }
        Told::Event { .. } => {}
        Told::Closed => std::mem::take(&mut up).into_iter().for_each(|address| told(address, false)),
    })
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

//! Which of a socket's connections are up, from libzmq's socket monitor. For REP and PUB sockets, which do not
//! tell by their events.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::{Frames, Socket};

/// Tells monitors of one process apart.
static MONITORS: AtomicU64 = AtomicU64::new(0);

const HANDSHAKE_SUCCEEDED: u16 = zmq::SocketEvent::HANDSHAKE_SUCCEEDED as u16;
const DISCONNECTED: u16 = zmq::SocketEvent::DISCONNECTED as u16;
const MONITOR_STOPPED: u16 = zmq::SocketEvent::MONITOR_STOPPED as u16;

/// Keeps `up` at the addresses whose connections are up, and calls `told` with each that comes or is lost, until the
/// socket is closed. The task must run that long: libzmq's I/O thread waits for whoever does not read its monitor.
/// `context` is the socket's own.
pub fn watch_connections(
    socket: &zmq::Socket,
    context: &zmq::Context,
    up: watch::Sender<BTreeSet<SocketAddr>>,
    mut told: impl FnMut(SocketAddr, bool) + 'static,
) -> io::Result<()> {
    let endpoint = format!("inproc://monitor-{}", MONITORS.fetch_add(1, Ordering::Relaxed));
    socket.monitor(&endpoint, i32::from(HANDSHAKE_SUCCEEDED | DISCONNECTED | MONITOR_STOPPED))?;
    let pair = context.socket(zmq::PAIR)?;
    pair.set_linger(0)?;
    pair.connect(&endpoint)?;
    let pair = Socket::attach(pair)?;
    actix_rt::spawn(async move {
        while let Ok(frames) = pair.recv().await {
            let Some((event, address)) = parse(&frames) else { continue };
            let changed = match event {
                MONITOR_STOPPED => break,
                HANDSHAKE_SUCCEEDED => address.is_some_and(|address| up.send_if_modified(|up| up.insert(address))),
                // Told for each try that fails as well.
                _ => address.is_some_and(|address| up.send_if_modified(|up| up.remove(&address))),
            };
            if let Some(address) = address.filter(|_| changed) {
                told(address, event == HANDSHAKE_SUCCEEDED);
            }
        }
        up.send_replace(BTreeSet::new()).into_iter().for_each(|address| told(address, false));
    });
    Ok(())
}

/// `[event number, value][endpoint]`
fn parse(frames: &Frames) -> Option<(u16, Option<SocketAddr>)> {
    let event = u16::from_ne_bytes(frames.first()?.get(..2)?.try_into().ok()?);
    let endpoint = frames.get(1).and_then(|frame| frame.as_str());
    Some((event, endpoint.and_then(|text| text.strip_prefix("tcp://")?.parse().ok())))
}

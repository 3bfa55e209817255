//! Events of a socket with one peer and ZMQ_IMMEDIATE. Such a socket is writable only while its peer is connected.

use std::io;
use std::task::{Context, Poll};

use super::{Frames, Socket};

/// An event of a socket.
pub enum PeerEvent {
    Received(Frames),
    Connected,
    Disconnected,
}

/// Ready with the next message, or with a change of the connection. `up`: the connection was up after the last event. A new
/// connection is reported before its first message, a lost one after its last message.
pub fn poll_peer(socket: &Socket, up: bool, cx: &mut Context<'_>) -> Poll<io::Result<PeerEvent>> {
    loop {
        let events = socket.events()?;
        if events.writable && !up {
            return Poll::Ready(Ok(PeerEvent::Connected));
        }
        // Checked first: receiving from a REQ that has sent nothing fails.
        if events.readable {
            match socket.try_recv()? {
                Some(frames) => return Poll::Ready(Ok(PeerEvent::Received(frames))),
                None => continue,
            }
        }
        if up && !events.writable {
            return Poll::Ready(Ok(PeerEvent::Disconnected));
        }
        if socket.poll_edge(cx)?.is_pending() {
            return Poll::Pending;
        }
    }
}

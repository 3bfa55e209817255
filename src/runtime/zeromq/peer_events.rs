//! What happens at a socket with one peer and IMMEDIATE: such a socket is writable just while its peer is connected.

use std::io;
use std::task::{Context, Poll};

use super::{Frames, Socket};

/// What a socket had to say.
pub enum PeerEvent {
    Received(Frames),
    Connected,
    Disconnected,
}

/// Ready when something has come, or the connection is not any more what `up` says. The connection comes before its first
/// message, and the last message before the loss of its connection.
pub fn poll_peer(socket: &Socket, up: bool, cx: &mut Context<'_>) -> Poll<io::Result<PeerEvent>> {
    loop {
        let events = socket.events()?;
        if events.writable && !up {
            return Poll::Ready(Ok(PeerEvent::Connected));
        }
        // A REQ that has sent nothing may not even be asked for a message.
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

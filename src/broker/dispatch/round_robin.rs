//! Round-robin dispatch: a DEALER, with which libzmq sends to each connected worker in turn, busy or not.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::runtime::zeromq::{Frames, SharedDealer, Socket};

/// The DEALER for workers.
pub struct RoundRobin {
    dealer: Socket,
    /// Shared with the workers, if they are in this process.
    shared: Option<Arc<SharedDealer>>,
}

impl RoundRobin {
    /// `dealer` is bound.
    pub fn new(dealer: Socket, shared: Option<Arc<SharedDealer>>) -> Self {
        Self { dealer, shared }
    }

    pub fn attach_here(&mut self) -> io::Result<()> {
        self.dealer.attach_here()
    }

    /// True if the number of messages queued in libzmq is known: libzmq does not report it, but [`SharedDealer`]
    /// counts them.
    pub fn knows_queued(&self) -> bool {
        self.shared.is_some()
    }

    /// Sends waiting messages while libzmq accepts them; true if one was sent.
    pub fn deal(&self, waiting: &mut VecDeque<Frames>) -> io::Result<bool> {
        let mut moved = false;
        // With the lock, no worker disconnects between libzmq's choice of it and the message.
        let _lock = self.shared.as_ref().map(|shared| shared.lock());
        while let Some(frames) = waiting.pop_front() {
            if let Some(frames) = self.dealer.try_send(frames)? {
                waiting.push_front(frames);
                break;
            }
            self.shared.iter().for_each(|shared| shared.sent());
            moved = true;
        }
        Ok(moved)
    }

    /// Receives from a worker. Returns a reply; ignores messages of one frame, READY and LEAVE, which are for a ROUTER.
    pub fn try_reply(&self) -> io::Result<Option<Frames>> {
        Ok(self.dealer.try_recv()?.filter(|frames| frames.len() > 1))
    }

    /// Ready when frames from a worker have arrived; also, if messages are `waiting`, when libzmq accepts one.
    pub fn poll_ready(&self, waiting: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let events = self.dealer.events()?;
            if events.readable || (waiting && events.writable) {
                return Poll::Ready(Ok(()));
            }
            if self.dealer.poll_edge(cx)?.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

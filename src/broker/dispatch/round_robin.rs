//! Round-robin dispatch: a DEALER, by which libzmq deals to each worker in turn, whether it is busy or not.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::runtime::zeromq::{Frames, SharedDealer, Socket};

/// The DEALER for workers.
pub struct RoundRobin {
    dealer: Socket,
    /// Where the workers are in this process.
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

    /// True where it is known which messages workers have begun; libzmq does not tell.
    pub fn counts(&self) -> bool {
        self.shared.is_some()
    }

    /// Deals out what waits, as far as libzmq takes it; true when a message went out.
    pub fn deal(&self, waiting: &mut VecDeque<Frames>) -> io::Result<bool> {
        let mut moved = false;
        // No worker can leave between libzmq's choice of it and the message.
        let _dealing = self.shared.as_ref().map(|shared| shared.lock());
        while let Some(frames) = waiting.pop_front() {
            if let Some(frames) = self.dealer.try_send(frames)? {
                waiting.push_front(frames);
                break;
            }
            self.shared.iter().for_each(|shared| shared.dealt());
            moved = true;
        }
        Ok(moved)
    }

    /// A reply, where what comes next is one. What workers say of themselves means nothing to a DEALER.
    pub fn try_reply(&self) -> io::Result<Option<Frames>> {
        Ok(self.dealer.try_recv()?.filter(|frames| frames.len() > 1))
    }

    /// Ready when something came from a worker, or what is `waiting` can be dealt out.
    pub fn poll_news(&self, waiting: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

//! Least-busy dispatch: a ROUTER, whose workers announce themselves and get a message each.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use slog::{Logger, warn};

use super::ReadyQueue;
use crate::runtime::LogLimit;
use crate::runtime::zeromq::{Frames, Socket};
use crate::wire::{LEAVE, READY};

/// The ROUTER for workers, and what is known of them.
pub struct LeastBusy {
    router: Socket,
    queue: ReadyQueue,
    strangers: LogLimit,
    log: Logger,
}

impl LeastBusy {
    /// `router` is bound and has ROUTER_MANDATORY. A peer that reads nothing reaches the high-water mark, by heartbeats or by
    /// answers to its announcements; then it counts as lost.
    pub fn new(router: Socket, log: Logger) -> Self {
        Self { router, queue: ReadyQueue::default(), strangers: LogLimit::default(), log }
    }

    pub fn attach_here(&mut self) -> io::Result<()> {
        self.router.attach_here()
    }

    /// Deals out what waits, as far as workers are ready; true when a message went out.
    pub fn deal(&mut self, waiting: &mut VecDeque<Frames>) -> io::Result<bool> {
        let Self { router, queue, .. } = self;
        queue.deal(waiting, |worker, message| router.try_route_to(worker, message.iter().map(|frame| &frame[..])))
    }

    /// A reply, where what comes next is one. Takes in what workers say of themselves, and answers it.
    pub fn try_reply(&mut self) -> io::Result<Option<Frames>> {
        let Some(mut frames) = self.router.try_recv()? else { return Ok(None) };
        let worker = frames.remove(0);
        match &frames[..] {
            [only] if &only[..] == LEAVE => {
                self.queue.leave(&worker);
                self.router.try_route_to(&worker, [LEAVE])?;
            }
            [only] if &only[..] == READY => {
                self.queue.announce(&worker);
                self.router.try_route_to(&worker, [READY])?;
            }
            _ if self.queue.reply(&worker, &frames) => return Ok(Some(frames)),
            _ => self.warn_of_stranger(),
        }
        Ok(None)
    }

    fn warn_of_stranger(&self) {
        if let Some(times) = self.strangers.allow("") {
            warn!(
                self.log,
                "dropped frames from a peer that is no worker: it has not announced itself. Requesters have to connect to the \
                 other port (broker.port, which requester.responder names)"; "times" => times
            );
        }
    }

    /// Sends a heartbeat to each worker; the messages of those that are lost, see [`ReadyQueue::take_lost`].
    pub fn take_lost(&mut self, timeout: Duration) -> io::Result<Vec<Frames>> {
        let Self { router, queue, .. } = self;
        queue.take_lost(timeout, |worker| router.try_route_to(worker, [READY]))
    }

    /// Workers that have announced themselves.
    pub fn workers(&self) -> usize {
        self.queue.len()
    }

    /// Ready when something came from a worker, or what is `waiting` can be dealt out.
    pub fn poll_news(&mut self, waiting: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if waiting && self.queue.has_ready() {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.router.events()?.readable {
                return Poll::Ready(Ok(()));
            }
            if self.router.poll_edge(cx)?.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

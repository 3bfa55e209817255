//! Least-busy dispatch: a ROUTER whose workers announce themselves with READY and get one message at a time.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use slog::{Logger, warn};

use super::ReadyQueue;
use crate::runtime::LogLimit;
use crate::runtime::zeromq::{Frames, Socket};
use crate::wire::{LEAVE, READY};

/// The ROUTER for workers, and the workers' states.
pub struct LeastBusy {
    router: Socket,
    queue: ReadyQueue,
    unknown_peers: LogLimit,
    log: Logger,
}

impl LeastBusy {
    /// `router` is bound and has ROUTER_MANDATORY. If a worker does not read, heartbeats and answers fill its queue up to the
    /// high-water mark; then it counts as lost.
    pub fn new(router: Socket, log: Logger) -> Self {
        Self { router, queue: ReadyQueue::default(), unknown_peers: LogLimit::default(), log }
    }

    pub fn attach_here(&mut self) -> io::Result<()> {
        self.router.attach_here()
    }

    /// Sends waiting messages while workers are ready; true if one was sent.
    pub fn deal(&mut self, waiting: &mut VecDeque<Frames>) -> io::Result<bool> {
        let Self { router, queue, .. } = self;
        queue.deal(waiting, |worker, message| router.try_route_to(worker, message.iter().map(|frame| &frame[..])))
    }

    /// Receives from a worker. Returns a reply; handles and answers READY and LEAVE, for which it returns `None`.
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
            _ => self.warn_of_unknown_peer(),
        }
        Ok(None)
    }

    fn warn_of_unknown_peer(&self) {
        if let Some(times) = self.unknown_peers.allow("") {
            warn!(
                self.log,
                "dropped frames from a peer that has not announced itself as a worker. Requesters have to connect to the \
                 other port (broker.port, set in requester.responder)"; "times" => times
            );
        }
    }

    /// Sends a heartbeat to each worker. Returns the messages of lost workers, see [`ReadyQueue::take_lost`].
    pub fn take_lost(&mut self, timeout: Duration) -> io::Result<Vec<Frames>> {
        let Self { router, queue, .. } = self;
        queue.take_lost(timeout, |worker| router.try_route_to(worker, [READY]))
    }

    /// Workers that have announced themselves.
    pub fn workers(&self) -> usize {
        self.queue.len()
    }

    /// Ready when frames from a worker have arrived; also, if messages are `waiting`, when a worker is ready.
    pub fn poll_ready(&mut self, waiting: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

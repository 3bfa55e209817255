//! How the broker deals messages out to the responder workers.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, watch};

use crate::runtime::zeromq::{Contexts, Frames, Socket};
use crate::wire::Dispatch;

/// Workers that least-busy dispatch allows: each has two sockets in the one ZeroMQ context, which holds 1,023.
pub const MAX_LEAST_BUSY: usize = 500;

/// The broker's back. Dispatch can change while it runs: messages that wait change sides, those at a worker stay.
pub struct Dispatcher {
    dispatch: watch::Receiver<Dispatch>,
    round_robin: RoundRobin,
    /// Where the workers are in this process; made when it is used first.
    least_busy: Result<LeastBusy, Option<LeastBusyConfig>>,
    waiting: VecDeque<Frames>,
}

/// What least-busy dispatch is made of.
pub struct LeastBusyConfig {
    pub contexts: Arc<Contexts>,
    /// How many workers there shall be.
    pub size: watch::Receiver<usize>,
    /// How many workers are dealt to: a worker at or above it may leave.
    pub released: watch::Sender<usize>,
}

/// One DEALER for all workers: libzmq deals out in turn, whoever is busy.
struct RoundRobin {
    dealer: Socket,
}

/// A reply, with the place of the worker it comes from.
type Answer = (usize, Frames);

/// One DEALER per worker and one queue for all: a message goes to a worker that has nothing to do.
struct LeastBusy {
    parts: LeastBusyConfig,
    /// Senders to the workers' pumps.
    workers: Vec<mpsc::UnboundedSender<Frames>>,
    idle: VecDeque<usize>,
    replies: (mpsc::UnboundedSender<Answer>, mpsc::UnboundedReceiver<Answer>),
    /// Replies taken out of the channel while waiting for them.
    arrived: VecDeque<Answer>,
}

impl Dispatcher {
    /// `dealer` is bound already, for workers in turn; `parts` are those of least-busy dispatch, where the workers are
    /// in this process and connect to [`worker_endpoint`] in the first of the contexts.
    pub fn new(dispatch: watch::Receiver<Dispatch>, dealer: Socket, parts: Option<LeastBusyConfig>) -> Self {
        Self { dispatch, round_robin: RoundRobin { dealer }, least_busy: Err(parts), waiting: VecDeque::new() }
    }

    /// Moves the sockets to the current arbiter.
    pub fn attach_here(&mut self) -> io::Result<()> {
        self.round_robin.dealer.attach_here()
    }

    /// Deals a message out, or keeps it until it can be.
    pub fn pass(&mut self, frames: Frames) -> io::Result<()> {
        self.waiting.push_back(frames);
        self.flush().map(drop)
    }

    /// Deals out what waits, as far as there are workers for it; true when something went out.
    pub fn flush(&mut self) -> io::Result<bool> {
        let dispatch = *self.dispatch.borrow_and_update();
        if dispatch == Dispatch::LeastBusy
            && let Err(parts) = &mut self.least_busy
            && let Some(parts) = parts.take()
        {
            self.least_busy = Ok(LeastBusy::new(parts));
        }
        match (dispatch, &mut self.least_busy) {
            (Dispatch::LeastBusy, Ok(least_busy)) => {
                least_busy.follow_size()?;
                Ok(least_busy.flush(&mut self.waiting))
            }
            (_, least_busy) => {
                if let Ok(least_busy) = least_busy {
                    least_busy.follow_size()?;
                }
                self.round_robin.flush(&mut self.waiting)
            }
        }
    }

    /// What the broker has to look at again when it changes: the dispatch and the number of workers.
    pub fn watches(&self) -> (watch::Receiver<Dispatch>, Option<watch::Receiver<usize>>) {
        let size = match &self.least_busy {
            Ok(least_busy) => Some(&least_busy.parts),
            Err(parts) => parts.as_ref(),
        };
        (self.dispatch.clone(), size.map(|parts| parts.size.clone()))
    }

    /// A reply that is here.
    pub fn try_reply(&mut self) -> io::Result<Option<Frames>> {
        if let Ok(least_busy) = &mut self.least_busy
            && let Some(frames) = least_busy.try_reply()
        {
            return Ok(Some(frames));
        }
        self.round_robin.dealer.try_recv()
    }

    /// Ready when a reply is here, or something that waits can perhaps be dealt out.
    pub fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let dispatch = *self.dispatch.borrow();
        let waiting = !self.waiting.is_empty();
        if let Ok(least_busy) = &mut self.least_busy
            && least_busy.poll_news(waiting && dispatch == Dispatch::LeastBusy, cx).is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        self.round_robin.poll_news(waiting && dispatch == Dispatch::RoundRobin, cx)
    }

    /// The broker deals to nobody any more.
    pub fn release_all(&self) {
        if let Ok(least_busy) = &self.least_busy {
            least_busy.parts.released.send_replace(0);
        }
    }
}

impl RoundRobin {
    fn flush(&self, waiting: &mut VecDeque<Frames>) -> io::Result<bool> {
        let mut moved = false;
        while let Some(frames) = waiting.pop_front() {
            if let Some(frames) = self.dealer.try_send(frames)? {
                waiting.push_front(frames);
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    fn poll_news(&self, waiting: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

impl LeastBusy {
    fn new(parts: LeastBusyConfig) -> Self {
        Self {
            parts,
            workers: vec![],
            idle: VecDeque::new(),
            replies: mpsc::unbounded_channel(),
            arrived: VecDeque::new(),
        }
    }

    fn flush(&mut self, waiting: &mut VecDeque<Frames>) -> bool {
        let mut moved = false;
        while !waiting.is_empty()
            && let Some(index) = self.idle.pop_front()
            && let Some(frames) = waiting.pop_front()
        {
            if let Err(unsent) = self.workers[index].send(frames) {
                // The pump is gone, of a failed socket; its worker is not idle again.
                waiting.push_front(unsent.0);
                continue;
            }
            moved = true;
        }
        moved
    }

    fn try_reply(&mut self) -> Option<Frames> {
        let (index, frames) = self.arrived.pop_front().or_else(|| self.replies.1.try_recv().ok())?;
        self.idle.push_back(index);
        Some(frames)
    }

    fn poll_news(&mut self, waiting: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if waiting && !self.idle.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match self.replies.1.poll_recv(cx) {
            Poll::Ready(Some(reply)) => {
                self.arrived.push_back(reply);
                Poll::Ready(Ok(()))
            }
            // The channel cannot be closed: this struct has a sender of its own.
            _ => Poll::Pending,
        }
    }

    /// Makes a DEALER for each worker that is new, and lets go of those that are surplus and have nothing in hand.
    fn follow_size(&mut self) -> io::Result<()> {
        let size = *self.parts.size.borrow_and_update();
        while self.workers.len() < size {
            let index = self.workers.len();
            let dealer = self.parts.contexts.inproc_socket(zmq::DEALER)?;
            dealer.bind(&worker_endpoint(index))?;
            let (sender, messages) = mpsc::unbounded_channel();
            actix_rt::spawn(pump(index, Socket::attach(dealer)?, messages, self.replies.0.clone()));
            self.workers.push(sender);
            self.idle.push_back(index);
        }
        while self.workers.len() > size
            && let Some(place) = self.idle.iter().position(|index| *index + 1 == self.workers.len())
        {
            self.idle.remove(place);
            self.workers.pop();
        }
        self.parts
            .released
            .send_if_modified(|released| std::mem::replace(released, self.workers.len()) != self.workers.len());
        Ok(())
    }
}

/// Where the worker in a slot finds its own DEALER.
pub fn worker_endpoint(index: usize) -> String {
    format!("inproc://worker-{index}")
}

/// Owns one worker's DEALER: messages in, replies out, until the broker lets go of it.
async fn pump(
    index: usize,
    dealer: Socket,
    mut messages: mpsc::UnboundedReceiver<Frames>,
    replies: mpsc::UnboundedSender<(usize, Frames)>,
) {
    loop {
        let moved = tokio::select! {
            message = messages.recv() => match message {
                Some(frames) => dealer.send(frames).await,
                None => return,
            },
            reply = dealer.recv() => reply.map(|frames| drop(replies.send((index, frames)))),
        };
        if moved.is_err() {
            return;
        }
    }
}

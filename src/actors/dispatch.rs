//! How the broker deals messages out to the responder workers.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, watch};

use crate::transport::{Contexts, Frames, Socket};

/// The broker's back.
pub enum Backends {
    RoundRobin(RoundRobin),
    LeastBusy(LeastBusy),
}

/// One DEALER for all workers: libzmq deals out in turn, whoever is busy.
pub struct RoundRobin {
    dealer: Socket,
    /// What no worker is connected for yet.
    waiting: VecDeque<Frames>,
}

/// One DEALER per worker and one queue for all: a message goes to a worker that has nothing to do.
pub struct LeastBusy {
    contexts: Arc<Contexts>,
    /// How many workers there shall be.
    size: watch::Receiver<usize>,
    /// How many workers are dealt to: a worker at or above it may leave.
    released: watch::Sender<usize>,
    /// Senders to the workers' pumps.
    workers: Vec<mpsc::UnboundedSender<Frames>>,
    idle: VecDeque<usize>,
    waiting: VecDeque<Frames>,
    replies: (mpsc::UnboundedSender<(usize, Frames)>, mpsc::UnboundedReceiver<(usize, Frames)>),
    /// A reply taken out of `replies` by waiting for it.
    arrived: Option<(usize, Frames)>,
}

impl Backends {
    /// Deals out by a DEALER that is bound already.
    pub fn round_robin(dealer: Socket) -> Self {
        Self::RoundRobin(RoundRobin { dealer, waiting: VecDeque::new() })
    }

    /// Deals out to the workers of this process, which connect to [`worker_endpoint`] in the first of `contexts`.
    pub fn least_busy(contexts: Arc<Contexts>, size: watch::Receiver<usize>, released: watch::Sender<usize>) -> Self {
        Self::LeastBusy(LeastBusy {
            contexts,
            size,
            released,
            workers: vec![],
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            replies: mpsc::unbounded_channel(),
            arrived: None,
        })
    }

    /// Messages that no worker has yet, as far as the broker can tell.
    pub fn waiting(&self) -> usize {
        match self {
            Self::RoundRobin(RoundRobin { waiting, .. }) | Self::LeastBusy(LeastBusy { waiting, .. }) => waiting.len(),
        }
    }

    /// Deals a message out, or keeps it until it can be.
    pub fn pass(&mut self, frames: Frames) -> io::Result<()> {
        match self {
            Self::RoundRobin(RoundRobin { waiting, .. }) | Self::LeastBusy(LeastBusy { waiting, .. }) => {
                waiting.push_back(frames);
            }
        }
        self.flush().map(drop)
    }

    /// Deals out what waits, as far as there are workers for it; true when something went out.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::RoundRobin(backend) => backend.flush(),
            Self::LeastBusy(backend) => backend.flush(),
        }
    }

    /// A reply that is here.
    pub fn try_reply(&mut self) -> io::Result<Option<Frames>> {
        match self {
            Self::RoundRobin(backend) => backend.dealer.try_recv(),
            Self::LeastBusy(backend) => Ok(backend.try_reply()),
        }
    }

    /// How many workers there shall be, where the broker has to follow that: `flush` does.
    pub fn size(&self) -> Option<watch::Receiver<usize>> {
        match self {
            Self::RoundRobin(_) => None,
            Self::LeastBusy(backend) => Some(backend.size.clone()),
        }
    }

    /// Ready when a reply is here, or something that waits can be dealt out.
    pub fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::RoundRobin(backend) => backend.poll_news(cx),
            Self::LeastBusy(backend) => backend.poll_news(cx),
        }
    }

    /// The broker deals to nobody any more.
    pub fn release_all(&self) {
        if let Self::LeastBusy(backend) = self {
            backend.released.send_replace(0);
        }
    }
}

impl RoundRobin {
    fn flush(&mut self) -> io::Result<bool> {
        let mut moved = false;
        while let Some(frames) = self.waiting.pop_front() {
            if let Some(frames) = self.dealer.try_send(frames)? {
                self.waiting.push_front(frames);
                break;
            }
            moved = true;
        }
        Ok(moved)
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.dealer.is_readable()? || (!self.waiting.is_empty() && self.dealer.is_writable()?) {
                return Poll::Ready(Ok(()));
            }
            if self.dealer.poll_edge(cx)?.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl LeastBusy {
    fn flush(&mut self) -> io::Result<bool> {
        self.follow_size()?;
        let mut moved = false;
        while !self.waiting.is_empty()
            && let Some(index) = self.idle.pop_front()
            && let Some(frames) = self.waiting.pop_front()
        {
            if let Err(unsent) = self.workers[index].send(frames) {
                // The pump is gone, of a failed socket; its worker is not idle again.
                self.waiting.push_front(unsent.0);
                continue;
            }
            moved = true;
        }
        Ok(moved)
    }

    fn try_reply(&mut self) -> Option<Frames> {
        let (index, frames) = self.arrived.take().or_else(|| self.replies.1.try_recv().ok())?;
        self.idle.push_back(index);
        Some(frames)
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.arrived.is_none()
            && let Poll::Ready(reply) = self.replies.1.poll_recv(cx)
        {
            self.arrived = reply;
        }
        let dealable = !self.waiting.is_empty() && !self.idle.is_empty();
        if dealable || self.arrived.is_some() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Makes a DEALER for each worker that is new, and lets go of those that are surplus and have nothing in hand.
    fn follow_size(&mut self) -> io::Result<()> {
        let size = *self.size.borrow_and_update();
        while self.workers.len() < size {
            let index = self.workers.len();
            let dealer = self.contexts.inproc_socket(zmq::DEALER)?;
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
        self.released
            .send_if_modified(|released| std::mem::replace(released, self.workers.len()) != self.workers.len());
        Ok(())
    }
}

/// Where the worker on a seat finds its own DEALER.
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

//! The broker's side towards its workers.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::{LeastBusy, RoundRobin};
use crate::runtime::zeromq::Frames;
use crate::wire::Dispatch;

/// The messages that wait for a worker, and the strategies by which they are dealt out. Where both are there, dispatch can
/// change at run time: messages that wait go by the new strategy, and those at a worker stay there.
pub struct Dispatcher {
    dispatch: Dispatch,
    waiting: VecDeque<Frames>,
    round_robin: Option<RoundRobin>,
    least_busy: Option<LeastBusy>,
    heartbeat: Option<Heartbeat>,
    check_at: Instant,
}

/// When workers in other processes are lost.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    /// How often each worker gets a heartbeat.
    pub interval: Duration,
    /// The longest silence of a worker that is busy.
    pub timeout: Duration,
}

impl Dispatcher {
    /// One strategy, or both. `heartbeat`: workers are in other processes.
    pub fn new(
        dispatch: Dispatch,
        round_robin: Option<RoundRobin>,
        least_busy: Option<LeastBusy>,
        heartbeat: Option<Heartbeat>,
    ) -> Self {
        let heartbeat = heartbeat.filter(|_| least_busy.is_some());
        Self { dispatch, waiting: VecDeque::new(), round_robin, least_busy, heartbeat, check_at: Instant::now() }
    }

    /// Moves the sockets to the current arbiter.
    pub fn attach_here(&mut self) -> io::Result<()> {
        self.round_robin.as_mut().map_or(Ok(()), RoundRobin::attach_here)?;
        self.least_busy.as_mut().map_or(Ok(()), LeastBusy::attach_here)
    }

    /// From now on messages go by this strategy, where it is there.
    pub fn set(&mut self, dispatch: Dispatch) {
        self.dispatch = dispatch;
    }

    /// Deals a message out, or keeps it until it can be.
    pub fn pass(&mut self, frames: Frames) -> io::Result<()> {
        self.waiting.push_back(frames);
        self.flush().map(drop)
    }

    /// The same for one that was dealt out before: it is the next.
    pub fn pass_first(&mut self, frames: Frames) -> io::Result<()> {
        self.waiting.push_front(frames);
        self.flush().map(drop)
    }

    /// Deals out what waits, as far as there are workers for it; true when a message went out.
    pub fn flush(&mut self) -> io::Result<bool> {
        match (self.dispatch, &self.round_robin, &mut self.least_busy) {
            (Dispatch::RoundRobin, Some(round_robin), _) => round_robin.deal(&mut self.waiting),
            (Dispatch::LeastBusy, _, Some(least_busy)) => least_busy.deal(&mut self.waiting),
            _ => Ok(false),
        }
    }

    /// A reply that is here.
    pub fn try_reply(&mut self) -> io::Result<Option<Frames>> {
        if let Some(least_busy) = &mut self.least_busy
            && let Some(frames) = least_busy.try_reply()?
        {
            return Ok(Some(frames));
        }
        self.round_robin.as_ref().map_or(Ok(None), RoundRobin::try_reply)
    }

    /// Drops the messages that wait for a worker and that `is_to_go` is true of.
    pub fn drop_where(&mut self, mut is_to_go: impl FnMut(&Frames) -> bool) {
        self.waiting.retain(|frames| !is_to_go(frames));
    }

    /// Messages that were not dealt out; none where those that were may not be begun either, and nobody knows how many.
    pub fn waiting(&self) -> Option<usize> {
        let is_known = self.round_robin.as_ref().is_none_or(RoundRobin::counts);
        is_known.then_some(self.waiting.len())
    }

    /// When [`Self::take_lost`] has to be called next, if ever.
    pub fn check_at(&self) -> Option<Instant> {
        self.heartbeat.map(|_| self.check_at)
    }

    /// The messages of workers that are lost, to be passed again.
    pub fn take_lost(&mut self) -> io::Result<Vec<Frames>> {
        let (Some(least_busy), Some(heartbeat)) = (&mut self.least_busy, self.heartbeat) else { return Ok(vec![]) };
        self.check_at = Instant::now() + heartbeat.interval;
        least_busy.take_lost(heartbeat.timeout)
    }

    /// Workers that have announced themselves, for least-busy dispatch.
    pub fn workers(&self) -> usize {
        self.least_busy.as_ref().map_or(0, LeastBusy::workers)
    }

    /// Ready when something came from a worker, or something that waits can perhaps be dealt out.
    pub fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waits_for = |strategy| !self.waiting.is_empty() && self.dispatch == strategy;
        let (in_turn, for_credit) = (waits_for(Dispatch::RoundRobin), waits_for(Dispatch::LeastBusy));
        if let Some(least_busy) = &mut self.least_busy
            && let Poll::Ready(news) = least_busy.poll_news(for_credit, cx)
        {
            return Poll::Ready(news);
        }
        self.round_robin.as_ref().map_or(Poll::Pending, |round_robin| round_robin.poll_news(in_turn, cx))
    }

    /// Closes the sockets: workers see that the broker is gone.
    pub fn close(&mut self) {
        (self.round_robin, self.least_busy) = (None, None);
    }
}

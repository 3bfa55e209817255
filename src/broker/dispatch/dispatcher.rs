//! The broker's worker-facing side.

use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::{LeastBusy, RoundRobin};
use crate::runtime::zeromq::Frames;
use crate::wire::Dispatch;

/// The messages that wait for a worker, and the strategies that distribute them. With both strategies, dispatch can be switched
/// at runtime: waiting messages move to the new strategy, messages at a worker stay there.
pub struct Dispatcher {
    dispatch: Dispatch,
    waiting: VecDeque<Frames>,
    round_robin: Option<RoundRobin>,
    least_busy: Option<LeastBusy>,
    heartbeat: Option<Heartbeat>,
    check_at: Instant,
}

/// The heartbeats of workers in other processes.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    /// Interval of the heartbeats to each worker.
    pub interval: Duration,
    /// Silence after which a busy worker counts as lost.
    pub timeout: Duration,
}

impl Dispatcher {
    /// At least one strategy. `heartbeat`: for workers in other processes; `None` within one process.
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

    /// Switches the strategy. Waiting messages stay queued while the dispatcher does not have it.
    pub fn set(&mut self, dispatch: Dispatch) {
        self.dispatch = dispatch;
    }

    /// Queues a message and sends what can be sent.
    pub fn enqueue(&mut self, frames: Frames) -> io::Result<()> {
        self.waiting.push_back(frames);
        self.flush().map(drop)
    }

    /// Puts a message that was sent before back at the front, and sends what can be sent.
    pub fn requeue(&mut self, frames: Frames) -> io::Result<()> {
        self.waiting.push_front(frames);
        self.flush().map(drop)
    }

    /// Sends waiting messages while workers can take them; true if one was sent.
    pub fn flush(&mut self) -> io::Result<bool> {
        match (self.dispatch, &self.round_robin, &mut self.least_busy) {
            (Dispatch::RoundRobin, Some(round_robin), _) => round_robin.deal(&mut self.waiting),
            (Dispatch::LeastBusy, _, Some(least_busy)) => least_busy.deal(&mut self.waiting),
            _ => Ok(false),
        }
    }

    /// The next reply, if one has arrived.
    pub fn try_reply(&mut self) -> io::Result<Option<Frames>> {
        if let Some(least_busy) = &mut self.least_busy
            && let Some(frames) = least_busy.try_reply()?
        {
            return Ok(Some(frames));
        }
        self.round_robin.as_ref().map_or(Ok(None), RoundRobin::try_reply)
    }

    /// Drops the waiting messages for which `is_unwanted` is true.
    pub fn drop_where(&mut self, mut is_unwanted: impl FnMut(&Frames) -> bool) {
        self.waiting.retain(|frames| !is_unwanted(frames));
    }

    /// Number of waiting messages; `None` if libzmq also queues messages for workers, whose number it does not report.
    pub fn waiting(&self) -> Option<usize> {
        let is_known = self.round_robin.as_ref().is_none_or(RoundRobin::knows_queued);
        is_known.then_some(self.waiting.len())
    }

    /// When [`Self::take_lost`] has to be called next; `None` without heartbeats.
    pub fn check_at(&self) -> Option<Instant> {
        self.heartbeat.map(|_| self.check_at)
    }

    /// Removes lost workers; returns their messages, to be requeued.
    pub fn take_lost(&mut self) -> io::Result<Vec<Frames>> {
        let (Some(least_busy), Some(heartbeat)) = (&mut self.least_busy, self.heartbeat) else { return Ok(vec![]) };
        self.check_at = Instant::now() + heartbeat.interval;
        least_busy.take_lost(heartbeat.timeout)
    }

    /// Workers that have announced themselves, for least-busy dispatch.
    pub fn workers(&self) -> usize {
        self.least_busy.as_ref().map_or(0, LeastBusy::workers)
    }

    /// Ready when frames from a worker have arrived, or a waiting message can perhaps be sent.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let waits_for = |strategy| !self.waiting.is_empty() && self.dispatch == strategy;
        let (in_turn, for_credit) = (waits_for(Dispatch::RoundRobin), waits_for(Dispatch::LeastBusy));
        if let Some(least_busy) = &mut self.least_busy
            && let Poll::Ready(result) = least_busy.poll_ready(for_credit, cx)
        {
            return Poll::Ready(result);
        }
        self.round_robin.as_ref().map_or(Poll::Pending, |round_robin| round_robin.poll_ready(in_turn, cx))
    }

    /// Closes the sockets, so that workers disconnect.
    pub fn close(&mut self) {
        (self.round_robin, self.least_busy) = (None, None);
    }
}

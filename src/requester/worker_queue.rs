//! A requester worker's queue of messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::Recipient;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Assigned, PendingMessage};

/// Why a worker queue did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its queue is full.
    Full,
    /// Its worker has left.
    Closed,
}

/// A requester worker's queue. It belongs to the pool, and outlives the worker.
pub struct WorkerQueue {
    pub index: usize,
    /// Fixed per worker, as in the article.
    pub requester_id: String,
    limit: usize,
    queue: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    /// Gets `Assigned` when there are messages.
    worker: Option<Recipient<Assigned>>,
    /// An `Assigned` is in its mailbox.
    notified: bool,
    waiting: VecDeque<Arc<PendingMessage>>,
    in_hand: usize,
    closed: bool,
}

impl QueueState {
    /// Once, until the worker looks: its mailbox does not grow with the queue.
    fn notify_worker(&mut self) {
        if !self.notified
            && let Some(worker) = &self.worker
        {
            worker.do_send(Assigned);
            self.notified = true;
        }
    }

    /// Those at the front are the first whose time runs out.
    fn drop_ended(&mut self) {
        while self.waiting.front().is_some_and(|pending| pending.outcome().is_some()) {
            self.waiting.pop_front();
        }
    }
}

impl WorkerQueue {
    /// An open worker queue in which up to `limit` messages may wait.
    pub fn new(index: usize, limit: usize) -> Self {
        Self { index, requester_id: Uuid::new_v4().to_string(), limit, queue: Mutex::default() }
    }

    /// Appends a message.
    pub fn push(&self, pending: Arc<PendingMessage>) -> Result<(), Refusal> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(Refusal::Closed);
        }
        if queue.waiting.len() >= self.limit {
            queue.waiting.retain(|waiting| waiting.outcome().is_none());
        }
        if queue.waiting.len() >= self.limit {
            return Err(Refusal::Full);
        }
        queue.waiting.push_back(pending);
        queue.notify_worker();
        Ok(())
    }

    /// Gives a message back that could not be ended: it is the next one.
    pub fn requeue(&self, pending: Arc<PendingMessage>) {
        let mut queue = self.lock();
        queue.in_hand = queue.in_hand.saturating_sub(1);
        queue.waiting.push_front(pending);
        queue.notify_worker();
    }

    /// The message in flight at the worker is not its concern any more.
    pub fn done(&self) {
        let mut queue = self.lock();
        queue.in_hand = queue.in_hand.saturating_sub(1);
    }

    /// Takes the next message that has no outcome yet.
    pub fn pop(&self) -> Option<Arc<PendingMessage>> {
        self.pop_if(|_| true)
    }

    /// The same, unless the next one is not wanted now.
    pub fn pop_if(&self, wanted: impl FnOnce(&PendingMessage) -> bool) -> Option<Arc<PendingMessage>> {
        let mut queue = self.lock();
        queue.drop_ended();
        if !wanted(queue.waiting.front()?) {
            return None;
        }
        queue.in_hand += 1;
        queue.waiting.pop_front()
    }

    /// Messages in flight, and those that wait; of these, ended ones behind others are counted still.
    pub fn load(&self) -> usize {
        let mut queue = self.lock();
        queue.drop_ended();
        queue.waiting.len() + queue.in_hand
    }

    /// Messages waiting that have no outcome yet.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.iter().filter(|pending| pending.outcome().is_none()).count()
    }

    /// When the first deadline of the waiting messages passes.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.lock().waiting.iter().map(|pending| pending.deadline).min()
    }

    /// Ends the waiting messages whose deadline has passed.
    pub fn expire(&self) {
        let now = Instant::now();
        let mut expired = Vec::new();
        self.lock().waiting.retain(|pending| {
            let keep = pending.deadline > now;
            if !keep {
                expired.push(pending.clone());
            }
            keep
        });
        expired.iter().for_each(|pending| {
            pending.complete(pending.message.timed_out(pending.timeout_detail()));
        });
    }

    /// Takes no more messages, if none is left. False when there is still work.
    pub fn close_if_empty(&self) -> bool {
        let mut queue = self.lock();
        queue.closed = queue.waiting.is_empty() && queue.in_hand == 0;
        queue.closed
    }

    /// Messages are taken again, for a worker that is here or on its way.
    pub fn open(&self) {
        self.lock().closed = false;
    }

    /// A worker is here, and looks at the queue now.
    pub fn attach(&self, worker: Recipient<Assigned>) {
        let mut queue = self.lock();
        (queue.worker, queue.notified, queue.closed) = (Some(worker), false, false);
    }

    /// The worker looks at the queue now.
    pub fn noticed(&self) {
        self.lock().notified = false;
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

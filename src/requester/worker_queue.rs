//! The bounded queue of messages for one requester worker.

use std::collections::VecDeque;
use std::sync::Arc;

use actix::Recipient;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Assigned, PendingMessage};

/// Why a worker queue refused a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full.
    Full,
    /// Its worker has left.
    Closed,
}

/// The queue of one requester worker. It belongs to the pool, so that it outlives the worker.
pub struct WorkerQueue {
    pub index: usize,
    /// Stays the same when the worker is restarted.
    pub requester_id: String,
    limit: usize,
    queue: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    /// Gets `Assigned` when the queue has messages.
    worker: Option<Recipient<Assigned>>,
    /// An `Assigned` is in the worker's mailbox.
    notified: bool,
    waiting: VecDeque<Arc<PendingMessage>>,
    in_flight: usize,
    closed: bool,
}

impl QueueState {
    /// Sends `Assigned` unless one is still in the mailbox, so that the mailbox does not grow with the queue.
    fn notify_worker(&mut self) {
        if !self.notified
            && let Some(worker) = &self.worker
        {
            worker.do_send(Assigned);
            self.notified = true;
        }
    }

    /// Drops messages at the front that have ended: the oldest expire first.
    fn drop_ended(&mut self) {
        while self.waiting.front().is_some_and(|pending| pending.outcome().is_some()) {
            self.waiting.pop_front();
        }
    }
}

impl WorkerQueue {
    /// An open queue for up to `limit` waiting messages.
    pub fn new(index: usize, limit: usize) -> Self {
        Self { index, requester_id: Uuid::new_v4().to_string(), limit, queue: Mutex::default() }
    }

    /// Appends a message.
    pub fn push(&self, pending: Arc<PendingMessage>) -> Result<(), Refusal> {
        let mut queue = self.queue.lock();
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

    /// Puts a message in flight back at the front.
    pub fn requeue(&self, pending: Arc<PendingMessage>) {
        let mut queue = self.queue.lock();
        queue.in_flight = queue.in_flight.saturating_sub(1);
        queue.waiting.push_front(pending);
        queue.notify_worker();
    }

    /// A message in flight has ended.
    pub fn done(&self) {
        let mut queue = self.queue.lock();
        queue.in_flight = queue.in_flight.saturating_sub(1);
    }

    /// Takes the next message that has no outcome yet.
    pub fn pop(&self) -> Option<Arc<PendingMessage>> {
        self.pop_if(|_| true)
    }

    /// The same, but leaves the message in the queue if `wanted` is false for it.
    pub fn pop_if(&self, wanted: impl FnOnce(&PendingMessage) -> bool) -> Option<Arc<PendingMessage>> {
        let mut queue = self.queue.lock();
        queue.drop_ended();
        if !wanted(queue.waiting.front()?) {
            return None;
        }
        queue.in_flight += 1;
        queue.waiting.pop_front()
    }

    /// Messages in flight and waiting. Includes ended messages that are not yet at the front.
    pub fn load(&self) -> usize {
        let mut queue = self.queue.lock();
        queue.drop_ended();
        queue.waiting.len() + queue.in_flight
    }

    /// Waiting messages without an outcome.
    pub fn waiting(&self) -> usize {
        self.queue.lock().waiting.iter().filter(|pending| pending.outcome().is_none()).count()
    }

    /// The earliest deadline of the waiting messages.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.queue.lock().waiting.iter().map(|pending| pending.deadline).min()
    }

    /// Ends the waiting messages whose deadline has passed.
    pub fn expire(&self) {
        let now = Instant::now();
        let mut expired = Vec::new();
        self.queue.lock().waiting.retain(|pending| {
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

    /// Closes the queue if it has no message waiting or in flight. Returns whether it is closed.
    pub fn close_if_empty(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.closed = queue.waiting.is_empty() && queue.in_flight == 0;
        queue.closed
    }

    /// Accepts messages again, for the current worker or the next one.
    pub fn open(&self) {
        self.queue.lock().closed = false;
    }

    /// Registers a new worker, which is about to read the queue.
    pub fn attach(&self, worker: Recipient<Assigned>) {
        let mut queue = self.queue.lock();
        (queue.worker, queue.notified, queue.closed) = (Some(worker), false, false);
    }

    /// The worker has received `Assigned`, and is about to read the queue.
    pub fn clear_notification(&self) {
        self.queue.lock().notified = false;
    }
}

//! The in-flight window of a requester worker: messages that it has sent and that have no outcome yet, and recent outcomes.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{PendingMessage, WorkerQueue};
use crate::wire::Outcome;

/// Outcomes kept of ended messages, to distinguish a duplicate reply from a late one.
const RECENT_CAPACITY: usize = 256;

/// A message that has been sent.
pub struct InFlight {
    pub pending: Arc<PendingMessage>,
    /// The broker that it was sent to.
    pub broker: SocketAddr,
    pub sent_at: Instant,
}

/// When a message is sent again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Time without a reply.
    pub after: Duration,
    /// Maximum number of attempts, the first included.
    pub max_attempts: u32,
}

impl InFlight {
    fn retry_at(&self, policy: Option<RetryPolicy>) -> Option<Instant> {
        let policy = policy.filter(|policy| self.pending.attempts() < policy.max_attempts)?;
        Some(self.sent_at + policy.after)
    }
}

/// A worker's messages in flight. On drop, as when the worker dies, it requeues them.
pub struct InFlightWindow {
    worker_queue: Arc<WorkerQueue>,
    messages: HashMap<String, InFlight>,
    recent: VecDeque<(String, Outcome)>,
}

impl InFlightWindow {
    pub fn new(worker_queue: Arc<WorkerQueue>) -> Self {
        Self { worker_queue, messages: HashMap::new(), recent: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// True while a suspect message is in flight, which must be the only one on its connection.
    pub fn has_suspect(&self) -> bool {
        self.messages.values().any(|sent| sent.pending.is_suspect())
    }

    /// Adds a message that was popped from the worker queue.
    pub fn insert(&mut self, sent: InFlight) {
        self.messages.insert(sent.pending.message.message_id.clone(), sent);
    }

    pub fn get(&self, message_id: &str) -> Option<&InFlight> {
        self.messages.get(message_id)
    }

    /// The message at a broker, if it is the only one there.
    pub fn only_at(&self, broker: SocketAddr) -> Option<&InFlight> {
        let mut there = self.messages.values().filter(|sent| sent.broker == broker);
        there.next().filter(|_| there.next().is_none())
    }

    /// Removes a message that has ended, and keeps its outcome.
    pub fn remove(&mut self, message_id: &str) {
        let Some(sent) = self.messages.remove(message_id) else { return };
        self.worker_queue.done();
        if let Some(outcome) = sent.pending.outcome() {
            self.recent.push_back((message_id.to_owned(), outcome));
            if self.recent.len() > RECENT_CAPACITY {
                self.recent.pop_front();
            }
        }
    }

    /// Puts a message back into the worker queue, to be sent again.
    pub fn requeue(&mut self, message_id: &str) {
        if let Some(sent) = self.messages.remove(message_id) {
            self.worker_queue.requeue(sent.pending);
        }
    }

    /// True for a message that is in flight, or has ended recently.
    pub fn knows(&self, message_id: &str) -> bool {
        self.messages.contains_key(message_id) || self.recent_outcome(message_id).is_some()
    }

    /// The outcome of a message that has ended recently.
    pub fn recent_outcome(&self, message_id: &str) -> Option<Outcome> {
        self.recent.iter().rev().find(|(id, _)| id == message_id).map(|(_, outcome)| *outcome)
    }

    /// When the next deadline or retry is due. `None` as the policy: no retries.
    pub fn next_timer(&self, policy: Option<RetryPolicy>) -> Option<Instant> {
        let due =
            |sent: &InFlight| sent.retry_at(policy).map_or(sent.pending.deadline, |at| at.min(sent.pending.deadline));
        self.messages.values().map(due).min()
    }

    /// The ids of messages whose deadline or retry is due.
    pub fn due(&self, policy: Option<RetryPolicy>) -> Vec<String> {
        let now = Instant::now();
        self.ids(|sent| sent.pending.deadline <= now || sent.retry_at(policy).is_some_and(|at| at <= now))
    }

    /// True if any of the messages is at the broker.
    pub fn has_any_at(&self, broker: SocketAddr) -> bool {
        self.messages.values().any(|sent| sent.broker == broker)
    }

    /// The ids of the messages at a broker.
    pub fn at_broker(&self, broker: SocketAddr) -> Vec<String> {
        self.ids(|sent| sent.broker == broker)
    }

    fn ids(&self, wanted: impl Fn(&InFlight) -> bool) -> Vec<String> {
        self.messages.iter().filter(|(_, sent)| wanted(sent)).map(|(id, _)| id.clone()).collect()
    }
}

impl Drop for InFlightWindow {
    fn drop(&mut self) {
        for (_, sent) in self.messages.drain() {
            self.worker_queue.requeue(sent.pending);
        }
    }
}

//! What a requester worker has in flight: the messages it sent that have no outcome yet, and a memory of those that have.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{PendingMessage, WorkerQueue};
use crate::wire::Outcome;

/// How many ended messages are remembered, to tell a second reply from a late one.
const REMEMBERED: usize = 256;

/// A message that was sent.
pub struct InFlight {
    pub pending: Arc<PendingMessage>,
    /// Who has it.
    pub broker: SocketAddr,
    pub sent_at: Instant,
}

/// When a message is sent again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Without a reply for so long.
    pub after: Duration,
    /// Sendings in all.
    pub max_attempts: u32,
}

impl InFlight {
    fn retry_at(&self, policy: Option<RetryPolicy>) -> Option<Instant> {
        let policy = policy.filter(|policy| self.pending.attempts() < policy.max_attempts)?;
        Some(self.sent_at + policy.after)
    }
}

/// Dropped with messages in it, as when its worker dies, it gives them back to the worker queue.
pub struct InFlightWindow {
    worker_queue: Arc<WorkerQueue>,
    held: HashMap<String, InFlight>,
    ended: VecDeque<(String, Outcome)>,
}

impl InFlightWindow {
    pub fn new(worker_queue: Arc<WorkerQueue>) -> Self {
        Self { worker_queue, held: HashMap::new(), ended: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// True while a message is in flight that may cost its connection, and is to have it for itself.
    pub fn has_suspect(&self) -> bool {
        self.held.values().any(|held| held.pending.is_suspect())
    }

    /// Takes a message in flight that was taken from the worker queue.
    pub fn insert(&mut self, held: InFlight) {
        self.held.insert(held.pending.message.message_id.clone(), held);
    }

    pub fn get(&self, message_id: &str) -> Option<&InFlight> {
        self.held.get(message_id)
    }

    /// The message that a broker has, where it is the only one.
    pub fn only_at(&self, broker: SocketAddr) -> Option<&InFlight> {
        let mut there = self.held.values().filter(|held| held.broker == broker);
        there.next().filter(|_| there.next().is_none())
    }

    /// Lets a message go that has ended.
    pub fn remove(&mut self, message_id: &str) {
        let Some(held) = self.held.remove(message_id) else { return };
        self.worker_queue.done();
        if let Some(outcome) = held.pending.outcome() {
            self.ended.push_back((message_id.to_owned(), outcome));
            if self.ended.len() > REMEMBERED {
                self.ended.pop_front();
            }
        }
    }

    /// Gives a message back to the worker queue, to be sent again.
    pub fn requeue(&mut self, message_id: &str) {
        if let Some(held) = self.held.remove(message_id) {
            self.worker_queue.requeue(held.pending);
        }
    }

    /// True for a message that is in flight, or was not long ago.
    pub fn knows(&self, message_id: &str) -> bool {
        self.held.contains_key(message_id) || self.recent_outcome(message_id).is_some()
    }

    /// How a message ended that was in flight not long ago.
    pub fn recent_outcome(&self, message_id: &str) -> Option<Outcome> {
        self.ended.iter().rev().find(|(id, _)| id == message_id).map(|(_, outcome)| *outcome)
    }

    /// When a message's deadline passes, or the time to send it again comes. No policy: nothing is to be sent again.
    pub fn next_timer(&self, policy: Option<RetryPolicy>) -> Option<Instant> {
        let due =
            |held: &InFlight| held.retry_at(policy).map_or(held.pending.deadline, |at| at.min(held.pending.deadline));
        self.held.values().map(due).min()
    }

    /// The messages whose deadline, or time to be sent again, has come.
    pub fn due(&self, policy: Option<RetryPolicy>) -> Vec<String> {
        let now = Instant::now();
        self.ids(|held| held.pending.deadline <= now || held.retry_at(policy).is_some_and(|at| at <= now))
    }

    /// True when a broker has any of the messages.
    pub fn has_any_at(&self, broker: SocketAddr) -> bool {
        self.held.values().any(|held| held.broker == broker)
    }

    /// The messages that a broker has.
    pub fn at_broker(&self, broker: SocketAddr) -> Vec<String> {
        self.ids(|held| held.broker == broker)
    }

    fn ids(&self, wanted: impl Fn(&InFlight) -> bool) -> Vec<String> {
        self.held.iter().filter(|(_, held)| wanted(held)).map(|(id, _)| id.clone()).collect()
    }
}

impl Drop for InFlightWindow {
    fn drop(&mut self) {
        for (_, held) in self.held.drain() {
            self.worker_queue.requeue(held.pending);
        }
    }
}

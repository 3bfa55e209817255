//! What a requester worker has in hand: the messages it sent that have no outcome yet, and a memory of those that have.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Lane, Ticket};
use crate::wire::Outcome;

/// How many ended messages are remembered, to tell a second reply from a late one.
const REMEMBERED: usize = 256;

/// A message that was sent.
pub struct Held {
    pub ticket: Arc<Ticket>,
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

impl Held {
    fn retry_at(&self, policy: Option<RetryPolicy>) -> Option<Instant> {
        let policy = policy.filter(|policy| self.ticket.sendings() < policy.max_attempts)?;
        Some(self.sent_at + policy.after)
    }
}

/// Dropped with messages in it, as when its worker dies, it gives them back to the lane.
pub struct Hand {
    lane: Arc<Lane>,
    held: HashMap<String, Held>,
    ended: VecDeque<(String, Outcome)>,
}

impl Hand {
    pub fn new(lane: Arc<Lane>) -> Self {
        Self { lane, held: HashMap::new(), ended: VecDeque::new() }
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// True while a message is in hand that may cost its connection, and is to have it for itself.
    pub fn has_suspect(&self) -> bool {
        self.held.values().any(|held| held.ticket.is_suspect())
    }

    /// Takes a message in hand that was taken from the lane.
    pub fn hold(&mut self, held: Held) {
        self.held.insert(held.ticket.message.message_id.clone(), held);
    }

    pub fn get(&self, message_id: &str) -> Option<&Held> {
        self.held.get(message_id)
    }

    /// The message that a broker has, where it is the only one.
    pub fn only_at(&self, broker: SocketAddr) -> Option<&Held> {
        let mut there = self.held.values().filter(|held| held.broker == broker);
        there.next().filter(|_| there.next().is_none())
    }

    /// Lets a message go that has ended.
    pub fn let_go(&mut self, message_id: &str) {
        let Some(held) = self.held.remove(message_id) else { return };
        self.lane.done();
        if let Some(outcome) = held.ticket.outcome() {
            self.ended.push_back((message_id.to_owned(), outcome));
            if self.ended.len() > REMEMBERED {
                self.ended.pop_front();
            }
        }
    }

    /// Gives a message back to the lane, to be sent again.
    pub fn give_back(&mut self, message_id: &str) {
        if let Some(held) = self.held.remove(message_id) {
            self.lane.give_back(held.ticket);
        }
    }

    /// True for a message that is in hand, or was not long ago.
    pub fn knows(&self, message_id: &str) -> bool {
        self.held.contains_key(message_id) || self.remembered(message_id).is_some()
    }

    /// How a message ended that was in hand not long ago.
    pub fn remembered(&self, message_id: &str) -> Option<Outcome> {
        self.ended.iter().rev().find(|(id, _)| id == message_id).map(|(_, outcome)| *outcome)
    }

    /// When a message's deadline passes, or the time to send it again comes. No policy: nothing is to be sent again.
    pub fn next_timer(&self, policy: Option<RetryPolicy>) -> Option<Instant> {
        let due = |held: &Held| held.retry_at(policy).map_or(held.ticket.deadline, |at| at.min(held.ticket.deadline));
        self.held.values().map(due).min()
    }

    /// The messages whose deadline, or time to be sent again, has come.
    pub fn due(&self, policy: Option<RetryPolicy>) -> Vec<String> {
        let now = Instant::now();
        self.ids(|held| held.ticket.deadline <= now || held.retry_at(policy).is_some_and(|at| at <= now))
    }

    /// True when a broker has any of the messages.
    pub fn has_any_at(&self, broker: SocketAddr) -> bool {
        self.held.values().any(|held| held.broker == broker)
    }

    /// The messages that a broker has.
    pub fn at_broker(&self, broker: SocketAddr) -> Vec<String> {
        self.ids(|held| held.broker == broker)
    }

    fn ids(&self, wanted: impl Fn(&Held) -> bool) -> Vec<String> {
        self.held.iter().filter(|(_, held)| wanted(held)).map(|(id, _)| id.clone()).collect()
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        for (_, held) in self.held.drain() {
            self.lane.give_back(held.ticket);
        }
    }
}

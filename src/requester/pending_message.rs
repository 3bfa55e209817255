//! A message from its arrival to its outcome. It gets exactly one outcome, even if the worker that has it dies.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Memory, Reservation};
use crate::runtime::InstanceStatus;
use crate::wire::{ErrorCode, Message, NO_RESPONDER, Outcome, Reply};

/// Where the reply to a message goes.
#[derive(Clone)]
pub struct ReplyTo {
    pub sender: mpsc::UnboundedSender<Completed>,
    pub memory: Arc<Memory>,
    /// Send only the fields that the article's program has.
    pub article_format: bool,
}

/// The reply that ended a message.
#[derive(Debug)]
pub struct Completed {
    pub json: String,
    /// Its part of the memory; `None` for the short error in place of a reply that did not fit.
    pub reservation: Option<Reservation>,
}

/// A message that the requester has accepted. Shared by the request's task, which times it out, and the worker that sends it.
pub struct PendingMessage {
    pub message: Message,
    /// Identifies the message to brokers. Secret, unlike `messageId`: a broker replies to the latest connection that sends
    /// this id.
    pub delivery_id: Uuid,
    pub deadline: Instant,
    /// When the request arrived at the requester.
    pub arrived_at: Instant,
    attempts: AtomicU32,
    /// How many connections were lost while it was in flight on them.
    losses: AtomicU32,
    first_sent: OnceLock<Instant>,
    outcome: Mutex<Option<Outcome>>,
    reply_to: ReplyTo,
    status: Arc<InstanceStatus>,
}

impl PendingMessage {
    /// Counts the message as sent. The first reply passed to [`Self::complete`] goes to `reply_to`.
    pub fn new(
        message: Message,
        arrived_at: Instant,
        deadline: Instant,
        reply_to: ReplyTo,
        status: Arc<InstanceStatus>,
    ) -> Arc<Self> {
        status.ledger.sent();
        Arc::new(Self {
            delivery_id: Uuid::new_v4(),
            message,
            deadline,
            arrived_at,
            attempts: AtomicU32::new(0),
            losses: AtomicU32::new(0),
            first_sent: OnceLock::new(),
            outcome: Mutex::new(None),
            reply_to,
            status,
        })
    }

    /// Ends the message with this reply. Returns false, and drops the reply, if the message has ended before. A reply for which
    /// there is no memory becomes an error.
    pub fn complete(&self, reply: Reply) -> bool {
        if self.outcome().is_some() {
            return false;
        }
        let mut outcome = reply.outcome();
        let mut json = self.json(reply);
        let reservation = self.reply_to.memory.reserve_reply(json.len());
        if reservation.is_none() {
            let reason = format!(
                "overloaded: no room for this reply of {} bytes in the {} bytes for requests and replies of this \
                 requester (requester.max_memory_bytes)",
                json.len(),
                self.reply_to.memory.limit
            );
            let refusal = self.message.error(NO_RESPONDER, ErrorCode::Overloaded, reason);
            (outcome, json) = (refusal.outcome(), self.json(refusal));
        }
        {
            let mut ended = self.outcome.lock();
            if ended.is_some() {
                return false;
            }
            *ended = Some(outcome);
        }
        match outcome {
            Outcome::Timeout if self.attempts() == 0 => self.status.ledger.expired(),
            outcome => self.status.ledger.ended(outcome),
        }
        // Fails if the request's task has ended; the ledger has counted the outcome.
        let _ = self.reply_to.sender.send(Completed { json, reservation });
        true
    }

    fn json(&self, reply: Reply) -> String {
        let reply = if self.reply_to.article_format { reply.into_article_format() } else { reply };
        // Infallible: a reply consists of texts, numbers and JSON values.
        serde_json::to_string(&reply).unwrap_or_default()
    }

    /// The outcome; `None` while the message is pending.
    pub fn outcome(&self) -> Option<Outcome> {
        *self.outcome.lock()
    }

    /// Counts an attempt and returns its number, from 1.
    pub fn begin_attempt(&self) -> u32 {
        self.first_sent.get_or_init(Instant::now);
        self.attempts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The `detail` of a timeout: why there was no reply.
    pub fn timeout_detail(&self) -> String {
        let waited = self.arrived_at.elapsed();
        match self.attempts() {
            0 => format!("never sent within {waited:.1?}: no broker was connected, or its worker was busy"),
            times => format!("no reply within {waited:.1?}, sent {times} times"),
        }
    }

    /// Uncounts an attempt that no responder worker has received.
    pub fn undo_attempt(&self) {
        self.attempts.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a connection that was lost while the message was in flight on it.
    pub fn record_connection_loss(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// True after two lost connections: the message may be the cause, for example if its reply exceeds libzmq's frame limit. It
    /// is then sent alone, so that no other message is lost with it.
    pub fn is_suspect(&self) -> bool {
        self.losses.load(Ordering::Relaxed) >= 2
    }

    /// Time from its arrival to its first attempt, or until now.
    pub fn queued(&self) -> Duration {
        self.first_sent.get().map_or_else(|| self.arrived_at.elapsed(), |sent| sent.duration_since(self.arrived_at))
    }

    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}

impl Drop for PendingMessage {
    fn drop(&mut self) {
        if self.outcome().is_none() {
            let reply = self.message.error(
                NO_RESPONDER,
                ErrorCode::Lost,
                "a fault in the requester: it dropped the message without an outcome",
            );
            self.complete(reply);
        }
    }
}

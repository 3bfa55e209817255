//! The pool's hold on a message: whatever happens to the worker that has it, it gets exactly one outcome.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Hold, Memory};
use crate::runtime::InstanceStatus;
use crate::wire::{ErrorCode, Message, NO_RESPONDER, Outcome, Reply};

/// Where the reply to a message goes.
#[derive(Clone)]
pub struct ReplyTo {
    pub sender: mpsc::UnboundedSender<Completed>,
    pub memory: Arc<Memory>,
    /// With the article's fields alone.
    pub plain: bool,
}

/// The reply that a message ended with.
#[derive(Debug)]
pub struct Completed {
    pub json: String,
    /// Its part of the memory; a short error has its message's.
    pub hold: Option<Hold>,
}

/// A message that the requester has taken on. Shared by the collector, which knows the deadline, and by the worker.
pub struct PendingMessage {
    pub message: Message,
    /// Known to brokers and workers alone: the `messageId` is no secret, and who could name a message to a broker would be
    /// sent its reply.
    pub delivery_id: Uuid,
    pub deadline: Instant,
    /// When the request arrived here.
    pub taken_at: Instant,
    /// How often it was sent.
    attempts: AtomicU32,
    /// How often the connection was lost by which it was sent.
    losses: AtomicU32,
    first_sent: OnceLock<Instant>,
    ended: Mutex<Option<Outcome>>,
    reply_to: ReplyTo,
    status: Arc<InstanceStatus>,
}

impl PendingMessage {
    /// Takes a message on; its reply, the first that is given, goes to `reply_to`.
    pub fn new(
        message: Message,
        taken_at: Instant,
        deadline: Instant,
        reply_to: ReplyTo,
        status: Arc<InstanceStatus>,
    ) -> Arc<Self> {
        status.ledger.sent();
        Arc::new(Self {
            delivery_id: Uuid::new_v4(),
            message,
            deadline,
            taken_at,
            attempts: AtomicU32::new(0),
            losses: AtomicU32::new(0),
            first_sent: OnceLock::new(),
            ended: Mutex::new(None),
            reply_to,
            status,
        })
    }

    /// Ends the message with this reply. False when it had ended before: the reply is dropped, and how the message
    /// ended stands. A reply that there is no memory for becomes an error.
    pub fn complete(&self, reply: Reply) -> bool {
        if self.outcome().is_some() {
            return false;
        }
        let mut outcome = reply.outcome();
        let mut json = self.json(reply);
        let hold = self.reply_to.memory.hold(json.len());
        if hold.is_none() {
            let reason = format!(
                "overloaded: with this reply of {} bytes, more than {} bytes of requests and replies would be here \
                 (requester.max_memory_bytes)",
                json.len(),
                self.reply_to.memory.limit
            );
            let refusal = self.message.error(NO_RESPONDER, ErrorCode::Overloaded, reason);
            (outcome, json) = (refusal.outcome(), self.json(refusal));
        }
        {
            let mut ended = self.lock();
            if ended.is_some() {
                return false;
            }
            *ended = Some(outcome);
        }
        match outcome {
            Outcome::Timeout if self.attempts() == 0 => self.status.ledger.expired(),
            outcome => self.status.ledger.ended(outcome),
        }
        // Nobody waits for it when the collector has gone; the ledger has it all the same.
        let _ = self.reply_to.sender.send(Completed { json, hold });
        true
    }

    fn json(&self, reply: Reply) -> String {
        let reply = if self.reply_to.plain { reply.plain() } else { reply };
        // A reply is made of texts, numbers and JSON values, none of which can fail to be written.
        serde_json::to_string(&reply).unwrap_or_default()
    }

    /// How the message ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        *self.lock()
    }

    /// Counts an attempt; the number of this one, from 1.
    pub fn begin_attempt(&self) -> u32 {
        self.first_sent.get_or_init(Instant::now);
        self.attempts.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What a timeout's `detail` says.
    pub fn timeout_detail(&self) -> String {
        let waited = self.taken_at.elapsed();
        match self.attempts() {
            0 => format!("never sent within {waited:.1?}: no broker was connected, or its worker was busy"),
            times => format!("no reply within {waited:.1?}, sent {times} times"),
        }
    }

    /// Takes an attempt back that no worker has seen.
    pub fn undo_attempt(&self) {
        self.attempts.fetch_sub(1, Ordering::Relaxed);
    }

    /// The connection was lost by which it was sent.
    pub fn lost_with_connection(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// True when connections were lost so often with it that it may be the reason, as when its reply is larger than libzmq
    /// takes: the others that were sent by them must not be lost with it for a third time.
    pub fn is_suspect(&self) -> bool {
        self.losses.load(Ordering::Relaxed) >= 2
    }

    /// From its arrival to its first attempt, or until now.
    pub fn queued(&self) -> Duration {
        self.first_sent.get().map_or_else(|| self.taken_at.elapsed(), |sent| sent.duration_since(self.taken_at))
    }

    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outcome>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PendingMessage {
    fn drop(&mut self) {
        if self.outcome().is_none() {
            let reply =
                self.message.error(NO_RESPONDER, ErrorCode::Lost, "the requester lost the message: a fault in it");
            self.complete(reply);
        }
    }
}

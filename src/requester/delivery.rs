//! How a requester worker sends messages, retries them, and completes them with their replies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use slog::{debug, info, warn};
use tokio::time::Instant;

use super::{InFlight, PendingMessage, RequesterSocket, RequesterWorker, RetryPolicy};
use crate::runtime::delivery_frame;
use crate::runtime::supervision::WorkError;
use crate::runtime::zeromq::{Frames, PeerEvent, frames_of};
use crate::wire::{BrokerStamp, ErrorCode, Event, NO_RESPONDER, Outcome, Reply, ResponseType, Timings, now_ms};

/// Maximum wait for memory before a worker sends its next message without. A reply that does not fit then becomes an error,
/// `overloaded`.
const ROOM_TIMEOUT: Duration = Duration::from_secs(1);

impl RequesterWorker {
    /// Sends messages of the worker queue while the window has room, a broker is connected, and there is memory for replies.
    /// Returns false if memory is lacking: so web tiers that read slowly slow the worker down, but only for [`ROOM_TIMEOUT`],
    /// because the memory may hold replies of the same request, which are not freed before it ends. A suspect message
    /// ([`PendingMessage::is_suspect`]) is sent alone.
    pub(super) fn fill_window(&mut self) -> Result<bool, WorkError> {
        while self.window.len() < self.context.socket.window() && !self.window.has_suspect() {
            if self.context.memory.has_room() {
                self.room_until = None;
            } else if Instant::now() < *self.room_until.get_or_insert_with(|| Instant::now() + ROOM_TIMEOUT) {
                return Ok(false);
            }
            let Some(broker) = self.brokers.choose() else { break };
            let next = self.worker_queue.pop_if(|pending| self.window.is_empty() || !pending.is_suspect());
            let Some(pending) = next else { break };
            self.send(pending, broker)?;
        }
        Ok(true)
    }

    fn send(&mut self, pending: Arc<PendingMessage>, broker: SocketAddr) -> Result<(), WorkError> {
        let limit = self.context.max_message_bytes;
        let mut message = pending.message.clone();
        let left = pending.deadline.saturating_duration_since(Instant::now());
        (message.attempt, message.max_reply_bytes) = (Some(pending.attempts() + 1), Some(limit as u64));
        message.time_left_ms = Some(left.as_millis() as u64);
        message.timeout_ms = Some(pending.deadline.duration_since(pending.arrived_at).as_millis() as u64);
        let json = serde_json::to_vec(&message).map_err(|error| WorkError::Other(error.to_string()))?;
        if json.len() > limit {
            self.refuse_too_large(&pending, json.len());
            return Ok(());
        }
        let attempt = pending.begin_attempt();
        let delivery = delivery_frame(pending.delivery_id, pending.deadline).encode();
        let frames = match self.context.socket {
            RequesterSocket::Req => frames_of([&json[..], &delivery]),
            // The envelope: the reply repeats the id, and the broker distinguishes the socket's messages by it.
            RequesterSocket::Dealer(_) => frames_of([message.message_id.as_bytes(), b"", &json, &delivery]),
        };
        // In flight even if the send fails: the `Disconnected` event that follows requeues the message.
        self.window.insert(InFlight { pending, broker, sent_at: Instant::now() });
        if !self.brokers.send(broker, frames)? {
            return Ok(());
        }
        debug!(self.log, "sent"; "requestId" => &message.request_id, "messageId" => &message.message_id,
            "attempt" => attempt, "broker" => %broker);
        self.context.status.events.emit_for_message(|| Event::Dispatched {
            request_id: message.request_id,
            message_id: message.message_id,
            requester_id: message.requester_id,
            instance: self.context.status.instance.id.clone(),
            at: now_ms(),
            attempt,
            broker: broker.to_string(),
        });
        Ok(())
    }

    /// Ends a message that is larger than brokers accept.
    fn refuse_too_large(&self, pending: &PendingMessage, bytes: usize) {
        let limit = self.context.max_message_bytes;
        let body = format!(
            "the message has {bytes} bytes as JSON, and {limit} are allowed (requester.max_message_bytes): send a \
             smaller request, or raise the limit on requesters, brokers and responders"
        );
        pending.complete(pending.message.error(NO_RESPONDER, ErrorCode::TooLarge, body));
        self.worker_queue.done();
    }

    /// The retry policy; `None` while no broker is connected. Until then the broker that has a message may still reply.
    pub(super) fn retry(&self) -> Option<RetryPolicy> {
        self.brokers.any().then_some(self.context.retry)
    }

    /// Ends messages whose deadline has passed, requeues messages whose reply is overdue, and renews connections that stay down.
    pub(super) fn on_timer(&mut self) -> Result<(), WorkError> {
        self.brokers.renew()?;
        self.worker_queue.expire();
        let now = Instant::now();
        for id in self.window.due(self.retry()) {
            let Some(InFlight { pending, broker, .. }) = self.window.get(&id) else { continue };
            if pending.deadline <= now || pending.outcome().is_some() {
                // The coordinator's timer for the same deadline may fire first; the outcome is a timeout in both cases.
                pending.complete(pending.message.timed_out(pending.timeout_detail()));
                self.window.remove(&id);
            } else {
                let reason = format!("no reply from {broker} within {:?}", self.context.retry.after);
                self.send_again(&id, &reason);
            }
        }
        Ok(())
    }

    /// Requeues a message, to be sent to the next connected broker.
    fn send_again(&mut self, message_id: &str, reason: &str) {
        let Some(InFlight { pending, .. }) = self.window.get(message_id) else { return };
        let (message, attempt) = (&pending.message, pending.attempts() + 1);
        debug!(self.log, "requeued"; "requestId" => &message.request_id, "messageId" => message_id,
            "attempt" => attempt, "reason" => reason);
        self.context.status.ledger.retry();
        self.context.status.events.emit_for_message(|| Event::Retry {
            request_id: message.request_id.clone(),
            message_id: Some(message_id.to_owned()),
            at: now_ms(),
            attempt,
            reason: reason.to_owned(),
        });
        self.window.requeue(message_id);
    }

    /// Handles a socket's event; true if it ended a message.
    pub(super) fn on_socket_event(&mut self, broker: SocketAddr, event: PeerEvent) -> bool {
        match event {
            PeerEvent::Received(frames) => return self.take_reply(broker, &frames),
            PeerEvent::Connected => debug!(self.log, "connected"; "broker" => %broker),
            PeerEvent::Disconnected => {
                info!(self.log, "connection lost"; "broker" => %broker, "inFlight" => self.window.len());
                self.requeue_from(broker, &format!("the connection to {broker} was lost"));
            }
        }
        false
    }

    /// Requeues the messages in flight at a broker whose connection was lost; ends those that have used up their attempts.
    fn requeue_from(&mut self, broker: SocketAddr, reason: &str) {
        for id in self.window.at_broker(broker) {
            let Some(InFlight { pending, .. }) = self.window.get(&id) else { continue };
            pending.record_connection_loss();
            if pending.attempts() < self.context.retry.max_attempts {
                self.send_again(&id, reason);
                continue;
            }
            let body = format!("{reason}, and it was sent {} times (requester.max_attempts)", pending.attempts());
            self.end(&id, ErrorCode::Lost, body);
        }
    }

    /// Handles a reply; true if it ended a message.
    fn take_reply(&mut self, broker: SocketAddr, frames: &Frames) -> bool {
        // REQ strips the envelope; with DEALER, the message's id and the empty frame come before the JSON.
        let (json, stamp) = match self.context.socket {
            RequesterSocket::Req => (frames.first(), frames.get(1)),
            RequesterSocket::Dealer(_) => (frames.get(2), frames.get(3)),
        };
        let reply = Reply::parse(json.map_or(&[], |frame| &frame[..]));
        // The envelope decides which message the reply belongs to, not the ids in its JSON.
        let message_id = match self.context.socket {
            // CORRELATE passes only the reply to the socket's latest message, which may have ended meanwhile.
            RequesterSocket::Req => match &reply {
                Ok(reply) if self.window.knows(&reply.message_id) => Some(reply.message_id.clone()),
                _ => self.window.only_at(broker).map(|sent| sent.pending.message.message_id.clone()),
            },
            RequesterSocket::Dealer(_) => frames.first().and_then(|frame| frame.as_str()).map(str::to_owned),
        };
        let problem = match (reply, message_id.as_deref().and_then(|id| self.window.get(id))) {
            (Ok(reply), Some(InFlight { pending, .. })) if !reply.answers(&pending.message) => {
                let of = &reply.message_id;
                match reply.response_type {
                    ResponseType::Error => format!("it has other ids than the message; its error is: {}", reply.body),
                    ResponseType::Response => format!("it has other ids than the message: its messageId is {of:?}"),
                }
            }
            (Ok(reply), _) => {
                let id = message_id.unwrap_or_else(|| reply.message_id.clone());
                return self.complete_with(broker, &id, reply, stamp.and_then(|frame| BrokerStamp::parse(frame)));
            }
            (Err(error), _) => format!("it cannot be parsed: {error}"),
        };
        warn!(self.log, "invalid reply"; "broker" => %broker, "messageId" => &message_id, "problem" => &problem);
        let Some(id) = message_id else { return false };
        self.end(&id, ErrorCode::BadRequest, format!("invalid reply from {broker}: {problem}"))
    }

    /// Ends a message in flight with an error; true if that is its outcome.
    fn end(&mut self, id: &str, code: ErrorCode, body: String) -> bool {
        let Some(InFlight { pending, .. }) = self.window.get(id) else { return false };
        let ended = pending.complete(pending.message.error(NO_RESPONDER, code, body));
        self.window.remove(id);
        ended
    }

    /// Completes a message with its reply; true if the reply is its outcome.
    fn complete_with(&mut self, broker: SocketAddr, id: &str, mut reply: Reply, stamp: Option<BrokerStamp>) -> bool {
        if reply.code == Some(ErrorCode::Timeout) {
            let Some(sent) = self.window.get(id) else { return false };
            let detail = "the responder worker that got the message could not do it before the deadline";
            let ended = sent.pending.complete(sent.pending.message.timed_out(detail));
            self.window.remove(id);
            return ended;
        }
        let Some(sent) = self.window.get(id) else {
            let late = self.window.recent_outcome(id) != Some(Outcome::Response);
            debug!(self.log, "reply to a message that is not in flight"; "messageId" => id, "late" => late, "broker" => %broker);
            if late {
                self.context.status.ledger.late()
            } else {
                self.context.status.ledger.duplicate()
            };
            return false;
        };
        if reply.code == Some(ErrorCode::Draining) {
            sent.pending.undo_attempt();
            self.brokers.set_draining(broker);
            self.send_again(id, &format!("{broker} is shutting down"));
            return false;
        }
        let timings = timings(sent, &reply, stamp);
        self.context.status.hops.record_all(timings.hops());
        reply.timings = Some(timings);
        debug!(self.log, "reply"; "requestId" => &reply.request_id, "messageId" => id,
            "responderId" => reply.responder_id, "type" => ?reply.response_type);
        let ended = sent.pending.complete(reply);
        if !ended {
            // The coordinator's timer for the deadline fired first.
            self.context.status.ledger.late();
        }
        self.window.remove(id);
        ended
    }
}

/// The message's time on each hop. A hop is `None` if the reply lacks the stamp that measures it.
fn timings(sent: &InFlight, reply: &Reply, stamp: Option<BrokerStamp>) -> Timings {
    let micros = |time: Duration| time.as_micros() as u64;
    let service_us = reply.timings.and_then(|timings| timings.service_us);
    let residence_us = stamp.map(|stamp| stamp.residence_us);
    Timings {
        queued_us: Some(micros(sent.pending.queued())),
        wire_us: residence_us.map(|residence| micros(sent.sent_at.elapsed()).saturating_sub(residence)),
        broker_us: residence_us.zip(service_us).map(|(residence, service)| residence.saturating_sub(service)),
        service_us,
        total_us: Some(micros(sent.pending.arrived_at.elapsed())),
    }
}

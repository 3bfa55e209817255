//! How a requester worker sends messages, sends them again, and ends them with their replies.

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

/// How long a worker waits for memory. Then it goes on: replies for which there is none become errors, `overloaded`.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);

impl RequesterWorker {
    /// Takes messages from the worker queue while there is room in the window, a broker to send them to, and memory for the
    /// replies: false where it was that which lacked. Web tiers that read slowly so slow the work down, for a while: what
    /// takes the memory may be the other replies to the very request that waits. A message that may be what costs
    /// connections is sent when there is no other, and alone.
    pub(super) fn fill_window(&mut self) -> Result<bool, WorkError> {
        while self.window.len() < self.context.socket.window() && !self.window.has_suspect() {
            if self.context.memory.has_room() {
                self.room_until = None;
            } else if Instant::now() < *self.room_until.get_or_insert_with(|| Instant::now() + ROOM_PATIENCE) {
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
        message.timeout_ms = Some(pending.deadline.duration_since(pending.taken_at).as_millis() as u64);
        let json = serde_json::to_vec(&message).map_err(|error| WorkError::Other(error.to_string()))?;
        if json.len() > limit {
            self.refuse_too_large(&pending, json.len());
            return Ok(());
        }
        let attempt = pending.begin_attempt();
        let delivery = delivery_frame(pending.delivery_id, pending.deadline).encode();
        let frames = match self.context.socket {
            RequesterSocket::Req => frames_of([&json[..], &delivery]),
            // The id before the empty frame comes back with the reply, and tells the broker its messages apart.
            RequesterSocket::Dealer(_) => frames_of([message.message_id.as_bytes(), b"", &json, &delivery]),
        };
        // In flight in either case: where the connection is lost, the news of it recalls the message.
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

    /// Ends a message from the worker queue that no broker would take.
    fn refuse_too_large(&self, pending: &PendingMessage, bytes: usize) {
        let limit = self.context.max_message_bytes;
        let body = format!(
            "the message has {bytes} bytes as JSON, and {limit} are allowed (requester.max_message_bytes): ask with \
             less, or raise the limit on requesters, brokers and responders"
        );
        pending.complete(pending.message.error(NO_RESPONDER, ErrorCode::TooLarge, body));
        self.worker_queue.done();
    }

    /// How messages are sent again: not at all while there is nobody to send them to. Whoever has one may still reply.
    pub(super) fn retry(&self) -> Option<RetryPolicy> {
        self.brokers.any().then_some(self.context.retry)
    }

    /// Ends what is past its deadline, puts back what has waited for too long, and makes connections anew that stay down.
    pub(super) fn on_timer(&mut self) -> Result<(), WorkError> {
        self.brokers.renew()?;
        self.worker_queue.expire();
        let now = Instant::now();
        for id in self.window.due(self.retry()) {
            let Some(InFlight { pending, broker, .. }) = self.window.get(&id) else { continue };
            if pending.deadline <= now || pending.outcome().is_some() {
                // The collector may be a moment ahead or behind; whoever is first, the outcome is the same.
                pending.complete(pending.message.timed_out(pending.timeout_detail()));
                self.window.remove(&id);
            } else {
                let reason = format!("no reply from {broker} within {:?}", self.context.retry.after);
                self.send_again(&id, &reason);
            }
        }
        Ok(())
    }

    /// Puts a message back in the worker queue, to be sent by the next broker that is connected.
    fn send_again(&mut self, message_id: &str, reason: &str) {
        let Some(InFlight { pending, .. }) = self.window.get(message_id) else { return };
        let (message, attempt) = (&pending.message, pending.attempts() + 1);
        debug!(self.log, "to be sent again"; "requestId" => &message.request_id, "messageId" => message_id,
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

    /// Takes in what a socket said; true when it ended a message.
    pub(super) fn on_socket_event(&mut self, broker: SocketAddr, news: PeerEvent) -> bool {
        match news {
            PeerEvent::Received(frames) => return self.take_reply(broker, &frames),
            PeerEvent::Connected => debug!(self.log, "connected"; "broker" => %broker),
            PeerEvent::Disconnected => {
                info!(self.log, "connection lost"; "broker" => %broker, "inHand" => self.window.len());
                self.requeue_from(broker, &format!("the connection to {broker} was lost"));
            }
        }
        false
    }

    /// Takes back what a lost broker had: to be sent again if it may be, else it ends here.
    fn requeue_from(&mut self, broker: SocketAddr, reason: &str) {
        for id in self.window.at_broker(broker) {
            let Some(InFlight { pending, .. }) = self.window.get(&id) else { continue };
            pending.lost_with_connection();
            if pending.attempts() < self.context.retry.max_attempts {
                self.send_again(&id, reason);
                continue;
            }
            let body = format!("{reason}, and it was sent {} times (requester.max_attempts)", pending.attempts());
            self.end(&id, ErrorCode::Lost, body);
        }
    }

    /// Takes in a reply; true when it ended a message.
    fn take_reply(&mut self, broker: SocketAddr, frames: &Frames) -> bool {
        // A REQ socket strips the envelope; a DEALER's reply has its id and the empty frame before the JSON.
        let (json, stamp) = match self.context.socket {
            RequesterSocket::Req => (frames.first(), frames.get(1)),
            RequesterSocket::Dealer(_) => (frames.get(2), frames.get(3)),
        };
        let reply = Reply::parse(json.map_or(&[], |frame| &frame[..]));
        // Whatever the reply says of itself, its envelope tells which message it answers.
        let asked = match self.context.socket {
            // CORRELATE lets nothing pass but the reply to what this socket sent last. That may have ended meanwhile.
            RequesterSocket::Req => match &reply {
                Ok(reply) if self.window.knows(&reply.message_id) => Some(reply.message_id.clone()),
                _ => self.window.only_at(broker).map(|held| held.pending.message.message_id.clone()),
            },
            RequesterSocket::Dealer(_) => frames.first().and_then(|frame| frame.as_str()).map(str::to_owned),
        };
        let problem = match (reply, asked.as_deref().and_then(|id| self.window.get(id))) {
            (Ok(reply), Some(InFlight { pending, .. })) if !reply.answers(&pending.message) => {
                let of = &reply.message_id;
                match reply.response_type {
                    ResponseType::Error => format!("it has other ids than were sent, and says: {}", reply.body),
                    ResponseType::Response => format!("it has other ids than were sent: its messageId is {of:?}"),
                }
            }
            (Ok(reply), _) => {
                let id = asked.unwrap_or_else(|| reply.message_id.clone());
                return self.take_parsed(broker, &id, reply, stamp.and_then(|frame| BrokerStamp::parse(frame)));
            }
            (Err(error), _) => format!("it can't be read: {error}"),
        };
        warn!(self.log, "a reply can't be used"; "broker" => %broker, "messageId" => &asked, "problem" => &problem);
        let Some(id) = asked else { return false };
        self.end(&id, ErrorCode::BadRequest, format!("the reply from {broker} is none to this message: {problem}"))
    }

    /// Ends a message with an error, if it is still in flight; true when that was its outcome.
    fn end(&mut self, id: &str, code: ErrorCode, body: String) -> bool {
        let Some(InFlight { pending, .. }) = self.window.get(id) else { return false };
        let ended = pending.complete(pending.message.error(NO_RESPONDER, code, body));
        self.window.remove(id);
        ended
    }

    fn take_parsed(&mut self, broker: SocketAddr, id: &str, mut reply: Reply, stamp: Option<BrokerStamp>) -> bool {
        if reply.code == Some(ErrorCode::Timeout) {
            let Some(held) = self.window.get(id) else { return false };
            let detail = "a responder worker had too little time left for it when its turn came";
            let ended = held.pending.complete(held.pending.message.timed_out(detail));
            self.window.remove(id);
            return ended;
        }
        let Some(held) = self.window.get(id) else {
            let late = self.window.recent_outcome(id) != Some(Outcome::Response);
            debug!(self.log, "a reply too many"; "messageId" => id, "late" => late, "broker" => %broker);
            if late {
                self.context.status.ledger.late()
            } else {
                self.context.status.ledger.duplicate()
            };
            return false;
        };
        if reply.code == Some(ErrorCode::Draining) {
            held.pending.undo_attempt();
            self.brokers.set_draining(broker);
            self.send_again(id, &format!("{broker} is shutting down"));
            return false;
        }
        let timings = timings(held, &reply, stamp);
        self.context.status.hops.record_all(timings.hops());
        reply.timings = Some(timings);
        debug!(self.log, "reply"; "requestId" => &reply.request_id, "messageId" => id,
            "responderId" => reply.responder_id, "type" => ?reply.response_type);
        let ended = held.pending.complete(reply);
        if !ended {
            // The collector's timer was first.
            self.context.status.ledger.late();
        }
        self.window.remove(id);
        ended
    }
}

/// Where the message's time went, as far as the stamps on its reply tell.
fn timings(held: &InFlight, reply: &Reply, stamp: Option<BrokerStamp>) -> Timings {
    let micros = |time: Duration| time.as_micros() as u64;
    let service_us = reply.timings.and_then(|timings| timings.service_us);
    let residence_us = stamp.map(|stamp| stamp.residence_us);
    Timings {
        queued_us: Some(micros(held.pending.queued())),
        wire_us: residence_us.map(|residence| micros(held.sent_at.elapsed()).saturating_sub(residence)),
        broker_us: residence_us.zip(service_us).map(|(residence, service)| residence.saturating_sub(service)),
        service_us,
        total_us: Some(micros(held.pending.taken_at.elapsed())),
    }
}

//! How the broker passes messages and replies on. It parses JSON only to refuse a message, because the refusal repeats its ids.

use std::io;

use slog::{debug, info, warn};
use tokio::time::Instant;

use super::{Broker, BrokerState, Delivery, Dropped, Ended, Envelope, Removed};
use crate::runtime::zeromq::{Frames, Routed, memory};
use crate::runtime::{deadline_of, delivery_frame};
use crate::wire::{BrokerStamp, DeliveryFrame, EXPIRED, ErrorCode, Hop, Message, NO_RESPONDER, Outcome, READY};

/// Maximum frames of a message, its envelope included.
const MAX_FRAMES: usize = 32;

impl Broker {
    /// Passes a message to the dispatcher, or refuses it with an error reply.
    pub(super) fn take_message(&mut self, mut frames: Frames) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            if frames.len() == 2 && &frames[1][..] == READY {
                warn!(
                    self.log,
                    "a worker has connected to the port for requesters (broker.port): set its responder.backend \
                    to the address for workers (broker.backend)"
                );
            }
            warn!(self.log, "not a message: no empty frame followed by JSON, or an envelope above 16 frames or 1024 bytes";
                "frames" => frames.len(), "bytes" => memory(&frames));
            self.state.status.ledger.sent();
            self.state.status.ledger.ended(Outcome::Error);
            return Ok(());
        };
        let delivery = take_delivery(&mut frames);
        // Without detection of worker losses, the first attempt may be lost, so the retry is passed on as well.
        if let Some(delivery) = delivery.filter(|_| self.state.detects_worker_loss)
            && self.state.in_flight.record_retry(delivery, envelope.frames(&frames))
        {
            self.state.status.ledger.retry();
            return Ok(());
        }
        if self.draining {
            return self.answer(&frames, &envelope, ErrorCode::Draining, "this broker is shutting down");
        }
        self.state.status.ledger.sent();
        if delivery.is_some_and(|delivery| delivery.deadline <= Instant::now()) {
            debug!(self.log, "dropped a message that had expired when it arrived");
            self.state.status.ledger.expired();
            return Ok(());
        }
        if let Some((code, reason)) = self.refusal(&frames, &envelope) {
            self.state.status.ledger.ended(Outcome::Error);
            return self.answer(&frames, &envelope, code, &reason);
        }
        if let Some(Delivery { delivery_id, deadline }) = delivery {
            frames.push(delivery_frame(delivery_id, deadline).encode().into());
        }
        for _ in 0..self.state.in_flight.add(envelope, delivery, memory(&frames)) {
            debug!(self.log, "retry passed on: the earlier attempt counts as lost with its worker");
            self.state.status.ledger.ended(Outcome::Timeout);
        }
        self.state.dispatcher.enqueue(frames)
    }

    /// The reason to refuse a message, if there is one.
    fn refusal(&self, frames: &Frames, envelope: &Envelope) -> Option<(ErrorCode, String)> {
        let bytes: usize = frames[envelope.json_at()..].iter().map(|frame| frame.len()).sum();
        if frames.len() > MAX_FRAMES {
            let reason = format!("the message has {} frames, and {MAX_FRAMES} are allowed", frames.len());
            return Some((ErrorCode::TooLarge, reason));
        }
        if bytes > self.state.max_message_bytes {
            let reason = format!(
                "the message's frames have {bytes} bytes, and {} are allowed (requester.max_message_bytes)",
                self.state.max_message_bytes
            );
            return Some((ErrorCode::TooLarge, reason));
        }
        let reason = if self.state.in_flight.len() >= self.state.limit {
            format!("overloaded: this broker already has {} messages (broker.queue)", self.state.limit)
        } else if self.state.in_flight.bytes() + memory(frames) > self.state.limit_bytes {
            format!(
                "overloaded: this broker already has {} bytes of messages, and {} are allowed (broker.queue_bytes)",
                self.state.in_flight.bytes(),
                self.state.limit_bytes
            )
        } else if let Some(unread) = self.state.outboxes.unread(&frames[0]) {
            format!("overloaded: this requester has not read {unread} bytes of its replies (broker.queue_bytes)")
        } else {
            return None;
        };
        Some((ErrorCode::Overloaded, reason))
    }

    /// Replies to a message with an error in place of a responder.
    fn answer(&mut self, frames: &Frames, envelope: &Envelope, code: ErrorCode, reason: &str) -> io::Result<()> {
        let reply = match Message::parse(&frames[envelope.json_at()]) {
            Ok(message) if message.attempt.is_some() => message.error(NO_RESPONDER, code, reason),
            Ok(message) => message.error(NO_RESPONDER, code, reason).into_article_format(),
            Err(error) => {
                warn!(self.log, "dropped a message that cannot be parsed"; "error" => %error, "reason" => reason);
                return Ok(());
            }
        };
        debug!(self.log, "refused"; "messageId" => &reply.message_id, "reason" => reason);
        let mut answer: Frames = envelope.frames(frames);
        let (_, json) = reply.into_json(self.state.max_message_bytes)?;
        answer.push(json.into());
        self.send_reply(answer)
    }

    /// Passes a reply on to the connection that the message came from.
    pub(super) fn take_reply(&mut self, mut frames: Frames) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            warn!(self.log, "not a reply: no empty frame followed by JSON"; "frames" => frames.len());
            return Ok(());
        };
        if let Some(message) = envelope.returned(&mut frames) {
            // The worker was removed before it began the message.
            return self.state.dispatcher.requeue(message);
        }
        let expired = frames.last().is_some_and(|last| &last[..] == EXPIRED);
        match self.state.in_flight.end(&envelope) {
            None if expired => return Ok(()),
            Some(Ended { residence, wants_stamp, reply_to }) => {
                if let Some(latest) = reply_to {
                    frames = latest.into_iter().chain(frames.drain(envelope.json_at()..)).collect();
                }
                if expired {
                    // So the requester worker can send its next message before this one's deadline.
                    self.state.status.ledger.expired();
                    return self.send_reply(frames);
                }
                self.state.status.ledger.ended(Outcome::Response);
                self.state.status.hops.record(Hop::Total, residence);
                self.life.slot.status.handled();
                if wants_stamp {
                    let stamp = BrokerStamp { residence_us: residence.as_micros() as u64 };
                    frames.push(serde_json::to_vec(&stamp)?.into());
                }
            }
            None => self.state.status.ledger.late(),
        }
        self.send_reply(frames)
    }

    /// Sends a reply, or keeps it in an outbox until the requester reads.
    fn send_reply(&mut self, frames: Frames) -> io::Result<()> {
        let reply = match self.state.outboxes.contains(&frames[0]) {
            true => frames,
            false => match self.state.router.try_route(frames)? {
                Routed::Sent => return Ok(()),
                Routed::Gone => {
                    debug!(self.log, "dropped a reply: its requester has disconnected");
                    return Ok(());
                }
                Routed::Full(reply) => reply,
            },
        };
        if let Some(Dropped { replies, bytes }) = self.state.outboxes.add(reply) {
            warn!(self.log, "dropped the replies of a requester that does not read them (broker.queue_bytes)";
                "replies" => replies, "bytes" => bytes);
        }
        Ok(())
    }

    /// Requeues the messages of lost workers that are still in flight.
    pub(super) fn requeue_lost(&mut self) -> io::Result<()> {
        for message in self.state.dispatcher.take_lost()? {
            let in_flight = self.state.in_flight.contains(&message);
            info!(self.log, "lost a worker that had a message"; "requeued" => in_flight);
            if in_flight {
                self.state.dispatcher.requeue(message)?;
            }
        }
        Ok(())
    }

    /// Removes messages whose deadline has passed, and messages without a deadline whose worker did not reply in time.
    pub(super) fn expire(&mut self) {
        let BrokerState { in_flight, dispatcher, forget_after, .. } = &mut *self.state;
        let Removed { expired, unanswered } = in_flight.expire(*forget_after);
        if expired + unanswered > 0 {
            dispatcher.drop_where(|message| !in_flight.contains(message));
        }
        (0..expired).for_each(|_| self.state.status.ledger.expired());
        if expired > 0 {
            debug!(self.log, "messages expired at the broker or its workers"; "messages" => expired);
        }
        for _ in 0..unanswered {
            warn!(self.log, "removed a message: its worker did not reply"; "after" => ?self.state.forget_after);
            self.state.status.ledger.ended(Outcome::Timeout);
        }
    }
}

/// Removes the delivery frame from a message's end, and parses it.
fn take_delivery(frames: &mut Frames) -> Option<Delivery> {
    let frame = DeliveryFrame::parse(frames.last()?)?;
    frames.pop();
    Some(Delivery { delivery_id: frame.delivery_id, deadline: deadline_of(&frame) })
}

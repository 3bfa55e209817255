//! How the broker passes messages and replies on. It reads no JSON but where it answers itself, because it can't pass a message on.

use std::io;

use slog::{debug, info, warn};
use tokio::time::Instant;

use super::{Broker, BrokerState, Delivery, Dropped, Ended, Envelope, GivenUp};
use crate::runtime::zeromq::{Frames, Routed, memory};
use crate::runtime::{deadline_of, delivery_frame};
use crate::wire::{BrokerStamp, DeliveryFrame, EXPIRED, ErrorCode, Hop, Message, NO_RESPONDER, Outcome, READY};

/// The most frames of a message, its envelope's included.
const MAX_FRAMES: usize = 32;

impl Broker {
    /// Passes a message on to a worker, or answers why not.
    pub(super) fn take_message(&mut self, mut frames: Frames) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            if frames.len() == 2 && &frames[1][..] == READY {
                warn!(
                    self.log,
                    "a worker has connected to the port for requesters (broker.port): set its responder.backend \
                    to the address for workers (broker.backend)"
                );
            }
            warn!(self.log, "not a message: no empty frame with JSON behind it, or too much before that";
                "frames" => frames.len(), "bytes" => memory(&frames));
            self.state.status.ledger.sent();
            self.state.status.ledger.ended(Outcome::Error);
            return Ok(());
        };
        let delivery = take_delivery(&mut frames);
        // Where the first sending may be lost with its worker, and nobody knows, it is dealt out once more.
        if let Some(delivery) = delivery.filter(|_| self.state.sees_losses)
            && self.state.in_flight.sent_again(delivery, envelope.frames(&frames))
        {
            self.state.status.ledger.retry();
            return Ok(());
        }
        if self.draining {
            return self.answer(&frames, &envelope, ErrorCode::Draining, "this broker is shutting down");
        }
        self.state.status.ledger.sent();
        if delivery.is_some_and(|delivery| delivery.deadline <= Instant::now()) {
            debug!(self.log, "expired on its way to the broker");
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
            debug!(self.log, "sent again: the earlier sending counts as lost with its worker");
            self.state.status.ledger.ended(Outcome::Timeout);
        }
        self.state.dispatcher.pass(frames)
    }

    /// Why a message is not passed on, where it is not.
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
            format!("overloaded: {} messages are at this broker already (broker.queue)", self.state.limit)
        } else if self.state.in_flight.bytes() + memory(frames) > self.state.limit_bytes {
            format!(
                "overloaded: {} bytes of messages are at this broker already, and {} are allowed (broker.queue_bytes)",
                self.state.in_flight.bytes(),
                self.state.limit_bytes
            )
        } else if let Some(unread) = self.state.outboxes.unread(&frames[0]) {
            format!("overloaded: {unread} bytes of replies wait to be read by this requester (broker.queue_bytes)")
        } else {
            return None;
        };
        Some((ErrorCode::Overloaded, reason))
    }

    /// Answers a message in a responder's stead.
    fn answer(&mut self, frames: &Frames, envelope: &Envelope, code: ErrorCode, reason: &str) -> io::Result<()> {
        let reply = match Message::parse(&frames[envelope.json_at()]) {
            Ok(message) if message.attempt.is_some() => message.error(NO_RESPONDER, code, reason),
            Ok(message) => message.error(NO_RESPONDER, code, reason).plain(),
            Err(error) => {
                warn!(self.log, "dropped a message that can't be read"; "error" => %error, "reason" => reason);
                return Ok(());
            }
        };
        debug!(self.log, "refused"; "messageId" => &reply.message_id, "reason" => reason);
        let mut answer: Frames = envelope.frames(frames);
        let (_, json) = reply.into_json(self.state.max_message_bytes)?;
        answer.push(json.into());
        self.pass_to_requester(answer)
    }

    /// Passes a reply on to whoever sent the message.
    pub(super) fn take_reply(&mut self, mut frames: Frames) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            warn!(self.log, "not a reply: no empty frame with JSON behind it"; "frames" => frames.len());
            return Ok(());
        };
        if let Some(message) = envelope.returned(&mut frames) {
            // Its worker left before it began: another one's turn.
            return self.state.dispatcher.pass_first(message);
        }
        let expired = frames.last().is_some_and(|last| &last[..] == EXPIRED);
        match self.state.in_flight.end(&envelope) {
            None if expired => return Ok(()),
            Some(Ended { residence, wants_stamp, reply_to }) => {
                if let Some(latest) = reply_to {
                    frames = latest.into_iter().chain(frames.drain(envelope.json_at()..)).collect();
                }
                if expired {
                    // Its requester worker is free at once, not at the deadline.
                    self.state.status.ledger.expired();
                    return self.pass_to_requester(frames);
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
        self.pass_to_requester(frames)
    }

    /// Sends a reply, or keeps it until its requester has room for it.
    fn pass_to_requester(&mut self, frames: Frames) -> io::Result<()> {
        let reply = match self.state.outboxes.has(&frames[0]) {
            true => frames,
            false => match self.state.router.try_route(frames)? {
                Routed::Sent => return Ok(()),
                Routed::Gone => {
                    debug!(self.log, "the requester that a reply is for is gone");
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

    /// Has other workers do what lost ones had. What has ended meanwhile is done by nobody.
    pub(super) fn pass_lost(&mut self) -> io::Result<()> {
        for message in self.state.dispatcher.take_lost()? {
            let waited_for = self.state.in_flight.has(&message);
            info!(self.log, "a worker was lost with a message"; "passedOn" => waited_for);
            if waited_for {
                self.state.dispatcher.pass_first(message)?;
            }
        }
        Ok(())
    }

    /// Gives up on messages that nobody waits for, and on those whose workers never answered.
    pub(super) fn give_up(&mut self) {
        let BrokerState { in_flight, dispatcher, forget_after, .. } = &mut *self.state;
        let GivenUp { expired, forgotten } = in_flight.give_up(*forget_after);
        if expired + forgotten > 0 {
            dispatcher.drop_where(|message| !in_flight.has(message));
        }
        (0..expired).for_each(|_| self.state.status.ledger.expired());
        if expired > 0 {
            debug!(self.log, "messages expired at the broker or its workers"; "messages" => expired);
        }
        for _ in 0..forgotten {
            warn!(self.log, "a message's worker never answered: forgotten"; "after" => ?self.state.forget_after);
            self.state.status.ledger.ended(Outcome::Timeout);
        }
    }
}

/// Takes off what the requester says about a message, in its last frame.
fn take_delivery(frames: &mut Frames) -> Option<Delivery> {
    let frame = DeliveryFrame::parse(frames.last()?)?;
    frames.pop();
    Some(Delivery { delivery_id: frame.delivery_id, deadline: deadline_of(&frame) })
}

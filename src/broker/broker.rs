//! The broker: a ROUTER for requesters, and a dispatcher for workers. It passes frames on without reading them, keeps count
//! of what is in flight, and answers itself only where it can't pass a message on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use slog::{debug, info, warn};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Delivery, Dispatcher, Dropped, Ended, Envelope, GivenUp, InFlightTable, Outboxes};
use crate::runtime::supervision::{Slot, WorkError, next_change};
use crate::runtime::zeromq::memory;
use crate::runtime::zeromq::{Frames, Routed, Socket};
use crate::runtime::{InstanceStatus, deadline_of, delivery_frame};
use crate::wire::{
    BrokerStamp, DeliveryFrame, EXPIRED, ErrorCode, Hop, Message, NO_RESPONDER, Outcome, READY, WorkerState,
};

/// Messages passed on in one go before others on the arbiter get their turn.
const BATCH: usize = 64;

/// After so long a requester that had no room for a reply is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// How often the broker gives up on messages that nobody waits for.
const SWEEP: Duration = Duration::from_millis(500);

/// How long a broker that is drained waits for requesters to read.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The most frames of a message, its envelope's included.
const MAX_FRAMES: usize = 32;

/// What the broker works with. The actor holds it locked for its life, so that sockets, and the messages in them,
/// survive its death.
pub struct BrokerState {
    /// Bound, with ROUTER_MANDATORY.
    pub router: Socket,
    pub dispatcher: Dispatcher,
    pub in_flight: InFlightTable,
    /// Replies that requesters have not read yet.
    pub outboxes: Outboxes,
    /// Messages at the broker and its workers at one time, and their bytes.
    pub limit: usize,
    pub limit_bytes: usize,
    /// The most bytes in the frames of one message, but for its envelope.
    pub max_message_bytes: usize,
    /// A message without a deadline whose worker never answers is forgotten after so long.
    pub forget_after: Duration,
    /// It can tell when one of its workers is lost with a message. A DEALER can't, where they are elsewhere.
    pub sees_losses: bool,
    pub status: Arc<InstanceStatus>,
    /// Messages here that were not dealt out; all in flight where libzmq does not tell which workers have begun.
    pub waiting: Arc<AtomicUsize>,
    /// Workers that have announced themselves.
    pub workers: Arc<AtomicUsize>,
    /// The memory that messages and replies take here.
    pub bytes: Arc<AtomicUsize>,
}

/// Passes messages and replies on until it is drained and nothing is on its way any more.
pub async fn run_broker(slot: Slot, state: Arc<Mutex<BrokerState>>) -> Result<(), WorkError> {
    let mut state = state.lock().await;
    state.attach()?;
    slot.status.set(WorkerState::Idle, None);
    let mut dispatch = state.dispatcher.changes();
    let mut sweep_at = Instant::now() + SWEEP;
    loop {
        state.pass_on(&slot).await?;
        let (draining, empty) = (slot.drain.is_cancelled(), state.in_flight.is_empty());
        let unsent = !state.outboxes.is_empty();
        if draining && empty {
            state.send_last(&slot).await?;
            state.dispatcher.close();
            return Ok(());
        }
        let check_at = state.dispatcher.check_at();
        tokio::select! {
            news = std::future::poll_fn(|cx| state.poll_news(cx)) => news?,
            () = next_change(Some(&mut dispatch)) => {}
            () = sleep_until(check_at.unwrap_or(sweep_at)), if check_at.is_some() => state.pass_lost(&slot)?,
            () = sleep_until(sweep_at), if !empty => {
                state.give_up(&slot);
                sweep_at = Instant::now() + SWEEP;
            }
            // An edge that said that there is room again may have been swallowed by a call for something else.
            () = sleep(RETRY), if unsent => {}
            () = slot.drain.cancelled(), if !draining => debug!(slot.log, "draining"; "onItsWay" => state.in_flight.len()),
        }
    }
}

/// Takes off what the requester says about a message, in its last frame.
fn take_delivery(frames: &mut Frames) -> Option<Delivery> {
    let frame = DeliveryFrame::parse(frames.last()?)?;
    frames.pop();
    Some(Delivery { delivery_id: frame.delivery_id, deadline: deadline_of(&frame) })
}

impl BrokerState {
    /// Moves the sockets to the arbiter that runs the broker.
    fn attach(&mut self) -> io::Result<()> {
        self.router.attach_here()?;
        self.dispatcher.attach_here()
    }

    /// Passes on what is here, both ways.
    async fn pass_on(&mut self, slot: &Slot) -> io::Result<()> {
        loop {
            let mut moved = self.dispatcher.flush()?;
            for _ in 0..BATCH {
                let Some(frames) = self.router.try_recv()? else { break };
                self.take_message(frames, slot)?;
                moved = true;
            }
            for _ in 0..BATCH {
                let Some(frames) = self.dispatcher.try_reply()? else { break };
                self.take_reply(frames, slot)?;
                moved = true;
            }
            moved |= self.outboxes.flush(|reply| self.router.try_route(reply))?;
            self.show();
            if !moved {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Writes the figures down for whoever shows them.
    fn show(&self) {
        let waiting = self.dispatcher.waiting().unwrap_or(self.in_flight.len());
        self.waiting.store(waiting, Ordering::Relaxed);
        self.workers.store(self.dispatcher.workers(), Ordering::Relaxed);
        self.bytes.store(self.in_flight.bytes() + self.outboxes.bytes(), Ordering::Relaxed);
    }

    /// Ready when there is something to pass on. Both sides are looked at each time: a call on a socket can have
    /// swallowed its edge.
    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.router.events()?.readable {
                return Poll::Ready(Ok(()));
            }
            if self.router.poll_edge(cx)?.is_pending() {
                return self.dispatcher.poll_news(cx);
            }
            if !self.outboxes.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Passes a message on to a worker, or answers why not.
    fn take_message(&mut self, mut frames: Frames, slot: &Slot) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            if frames.len() == 2 && &frames[1][..] == READY {
                warn!(
                    slot.log,
                    "a worker has connected to the port for requesters (broker.port): set its responder.backend \
                    to the address for workers (broker.backend)"
                );
            }
            warn!(slot.log, "not a message: no empty frame with JSON behind it, or too much before that";
                "frames" => frames.len(), "bytes" => memory(&frames));
            self.status.ledger.sent();
            self.status.ledger.ended(Outcome::Error);
            return Ok(());
        };
        let delivery = take_delivery(&mut frames);
        // Where the first sending may be lost with its worker, and nobody knows, it is dealt out once more.
        if let Some(delivery) = delivery.filter(|_| self.sees_losses)
            && self.in_flight.sent_again(delivery, envelope.frames(&frames))
        {
            self.status.ledger.retry();
            return Ok(());
        }
        if slot.drain.is_cancelled() {
            return self.answer(&frames, &envelope, ErrorCode::Draining, "this broker is shutting down", slot);
        }
        self.status.ledger.sent();
        if delivery.is_some_and(|delivery| delivery.deadline <= Instant::now()) {
            debug!(slot.log, "expired on its way to the broker");
            self.status.ledger.expired();
            return Ok(());
        }
        if let Some((code, reason)) = self.refusal(&frames, &envelope) {
            self.status.ledger.ended(Outcome::Error);
            return self.answer(&frames, &envelope, code, &reason, slot);
        }
        if let Some(Delivery { delivery_id, deadline }) = delivery {
            frames.push(delivery_frame(delivery_id, deadline).encode().into());
        }
        for _ in 0..self.in_flight.add(envelope, delivery, memory(&frames)) {
            debug!(slot.log, "sent again: the earlier sending counts as lost with its worker");
            self.status.ledger.ended(Outcome::Timeout);
        }
        self.dispatcher.pass(frames)
    }

    /// Why a message is not passed on, where it is not.
    fn refusal(&self, frames: &Frames, envelope: &Envelope) -> Option<(ErrorCode, String)> {
        let bytes: usize = frames[envelope.json_at()..].iter().map(|frame| frame.len()).sum();
        if frames.len() > MAX_FRAMES {
            let reason = format!("the message has {} frames, and {MAX_FRAMES} are allowed", frames.len());
            return Some((ErrorCode::TooLarge, reason));
        }
        if bytes > self.max_message_bytes {
            let reason = format!(
                "the message's frames have {bytes} bytes, and {} are allowed (requester.max_message_bytes)",
                self.max_message_bytes
            );
            return Some((ErrorCode::TooLarge, reason));
        }
        let reason = if self.in_flight.len() >= self.limit {
            format!("overloaded: {} messages are at this broker already (broker.queue)", self.limit)
        } else if self.in_flight.bytes() + memory(frames) > self.limit_bytes {
            format!(
                "overloaded: {} bytes of messages are at this broker already, and {} are allowed (broker.queue_bytes)",
                self.in_flight.bytes(),
                self.limit_bytes
            )
        } else if let Some(unread) = self.outboxes.unread(&frames[0]) {
            format!("overloaded: {unread} bytes of replies wait to be read by this requester (broker.queue_bytes)")
        } else {
            return None;
        };
        Some((ErrorCode::Overloaded, reason))
    }

    /// Answers a message in a responder's stead.
    fn answer(
        &mut self,
        frames: &Frames,
        envelope: &Envelope,
        code: ErrorCode,
        reason: &str,
        slot: &Slot,
    ) -> io::Result<()> {
        let reply = match Message::parse(&frames[envelope.json_at()]) {
            Ok(message) if message.attempt.is_some() => message.error(NO_RESPONDER, code, reason),
            Ok(message) => message.error(NO_RESPONDER, code, reason).plain(),
            Err(error) => {
                warn!(slot.log, "dropped a message that can't be read"; "error" => %error, "reason" => reason);
                return Ok(());
            }
        };
        debug!(slot.log, "refused"; "messageId" => &reply.message_id, "reason" => reason);
        let mut answer: Frames = envelope.frames(frames);
        let (_, json) = reply.into_json(self.max_message_bytes)?;
        answer.push(json.into());
        self.pass_to_requester(answer, slot)
    }

    /// Passes a reply on to whoever sent the message.
    fn take_reply(&mut self, mut frames: Frames, slot: &Slot) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            warn!(slot.log, "not a reply: no empty frame with JSON behind it"; "frames" => frames.len());
            return Ok(());
        };
        if let Some(message) = envelope.returned(&mut frames) {
            // Its worker left before it began: another one's turn.
            return self.dispatcher.pass_first(message);
        }
        let expired = frames.last().is_some_and(|last| &last[..] == EXPIRED);
        match self.in_flight.end(&envelope) {
            None if expired => return Ok(()),
            Some(Ended { residence, wants_stamp, reply_to }) => {
                if let Some(latest) = reply_to {
                    frames = latest.into_iter().chain(frames.drain(envelope.json_at()..)).collect();
                }
                if expired {
                    // Its requester worker is free at once, not at the deadline.
                    self.status.ledger.expired();
                    return self.pass_to_requester(frames, slot);
                }
                self.status.ledger.ended(Outcome::Response);
                self.status.hops.record(Hop::Total, residence);
                slot.status.handled();
                if wants_stamp {
                    let stamp = BrokerStamp { residence_us: residence.as_micros() as u64 };
                    frames.push(serde_json::to_vec(&stamp)?.into());
                }
            }
            None => self.status.ledger.late(),
        }
        self.pass_to_requester(frames, slot)
    }

    /// Sends a reply, or keeps it until its requester has room for it.
    fn pass_to_requester(&mut self, frames: Frames, slot: &Slot) -> io::Result<()> {
        let reply = match self.outboxes.has(&frames[0]) {
            true => frames,
            false => match self.router.try_route(frames)? {
                Routed::Sent => return Ok(()),
                Routed::Gone => {
                    debug!(slot.log, "the requester that a reply is for is gone");
                    return Ok(());
                }
                Routed::Full(reply) => reply,
            },
        };
        if let Some(Dropped { replies, bytes }) = self.outboxes.add(reply) {
            warn!(slot.log, "dropped the replies of a requester that does not read them (broker.queue_bytes)";
                "replies" => replies, "bytes" => bytes);
        }
        Ok(())
    }

    /// Waits a moment for requesters to read what waits for them.
    async fn send_last(&mut self, slot: &Slot) -> io::Result<()> {
        let until = Instant::now() + LAST_WAIT;
        while !self.outboxes.is_empty() && Instant::now() < until {
            if !self.outboxes.flush(|reply| self.router.try_route(reply))? {
                sleep(RETRY).await;
            }
        }
        if !self.outboxes.is_empty() {
            warn!(slot.log, "replies are left that requesters did not read"; "bytes" => self.outboxes.bytes());
        }
        Ok(())
    }

    /// Has other workers do what lost ones had. What has ended meanwhile is done by nobody.
    fn pass_lost(&mut self, slot: &Slot) -> io::Result<()> {
        for message in self.dispatcher.take_lost()? {
            let waited_for = self.in_flight.has(&message);
            info!(slot.log, "a worker was lost with a message"; "passedOn" => waited_for);
            if waited_for {
                self.dispatcher.pass_first(message)?;
            }
        }
        Ok(())
    }

    /// Gives up on messages that nobody waits for, and on those whose workers never answered.
    fn give_up(&mut self, slot: &Slot) {
        let GivenUp { expired, forgotten } = self.in_flight.give_up(self.forget_after);
        if expired + forgotten > 0 {
            self.dispatcher.drop_where(|message| !self.in_flight.has(message));
        }
        (0..expired).for_each(|_| self.status.ledger.expired());
        if expired > 0 {
            debug!(slot.log, "messages expired at the broker or its workers"; "messages" => expired);
        }
        for _ in 0..forgotten {
            warn!(slot.log, "a message's worker never answered: forgotten"; "after" => ?self.forget_after);
            self.status.ledger.ended(Outcome::Timeout);
        }
    }
}

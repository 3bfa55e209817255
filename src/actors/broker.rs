//! The broker: ROUTER in front, DEALER behind. It passes frames on without reading them, keeps count of what is on its
//! way, and answers itself only where it can't pass a message on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use slog::{debug, info, warn};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{Backends, Board, BrokerStamp, Envelope, OnItsWay, Seat, WorkError, next_change};
use crate::model::{ErrorCode, Hop, Message, NO_RESPONDER, Outcome, WorkerState};
use crate::transport::{Frames, Socket};

/// Messages passed on in one go before others on the arbiter get their turn.
const BATCH: usize = 64;

/// What the broker works with. The actor holds it locked for its life, so that sockets, and the messages in them,
/// survive its death.
pub struct BrokerDesk {
    /// Bound, with ROUTER_MANDATORY.
    pub router: Socket,
    pub backends: Backends,
    pub on_its_way: OnItsWay,
    /// Messages at the broker and its workers at one time.
    pub limit: usize,
    /// A message whose worker never answers is forgotten after so long.
    pub forget_after: Duration,
    pub board: Arc<Board>,
    /// How many messages are here that no worker has begun, as far as the broker can tell.
    pub depth: Arc<AtomicUsize>,
}

/// Passes messages and replies on until it is drained and nothing is on its way any more.
pub async fn run_broker(seat: Seat, desk: Arc<Mutex<BrokerDesk>>) -> Result<(), WorkError> {
    let mut desk = desk.lock().await;
    desk.attach()?;
    seat.cell.set(WorkerState::Idle, None);
    let (mut dispatch, mut size) = desk.backends.watches();
    let mut sweep_at = Instant::now() + desk.forget_after;
    loop {
        desk.pass_on(&seat).await?;
        let at_work = size.as_ref().map_or(0, |size| *size.borrow());
        desk.depth.store(desk.on_its_way.len().saturating_sub(at_work), Ordering::Relaxed);
        let (draining, empty) = (seat.drain.is_cancelled(), desk.on_its_way.is_empty());
        if draining && empty {
            desk.backends.release_all();
            return Ok(());
        }
        tokio::select! {
            news = std::future::poll_fn(|cx| desk.poll_news(cx)) => news?,
            () = next_change(Some(&mut dispatch)) => {}
            () = next_change(size.as_mut()) => {}
            () = sleep_until(sweep_at), if !empty => {
                desk.forget(&seat);
                sweep_at = Instant::now() + desk.forget_after / 2;
            }
            () = seat.drain.cancelled(), if !draining => info!(seat.log, "draining"; "onItsWay" => desk.on_its_way.len()),
        }
    }
}

/// True for a message's second and further sendings. A REQ takes the reply to its last sending alone: refused while
/// the first is worked on here, the message would have no reply at all.
fn is_sent_again(json: &[u8]) -> bool {
    Message::parse(json).is_ok_and(|message| message.attempt.is_some_and(|attempt| attempt > 1))
}

impl BrokerDesk {
    /// Moves the sockets to the arbiter that runs the broker.
    fn attach(&mut self) -> io::Result<()> {
        self.router.attach_here()?;
        self.backends.attach_here()
    }

    /// Passes on what is here, both ways.
    async fn pass_on(&mut self, seat: &Seat) -> io::Result<()> {
        loop {
            let mut moved = self.backends.flush()?;
            for _ in 0..BATCH {
                let Some(frames) = self.router.try_recv()? else { break };
                self.take_message(frames, seat)?;
                moved = true;
            }
            for _ in 0..BATCH {
                let Some(frames) = self.backends.try_reply()? else { break };
                self.take_reply(frames, seat)?;
                moved = true;
            }
            if !moved {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ready when there is something to pass on. Both sides are looked at each time: a call on a socket can have
    /// swallowed its edge.
    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.router.events()?.readable {
                return Poll::Ready(Ok(()));
            }
            if self.router.poll_edge(cx)?.is_pending() {
                return self.backends.poll_news(cx);
            }
        }
    }

    /// Passes a message on to a worker, or answers why not.
    fn take_message(&mut self, mut frames: Frames, seat: &Seat) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            warn!(seat.log, "not a message: no empty frame with JSON behind it"; "frames" => frames.len());
            self.board.ledger.sent();
            self.board.ledger.ended(Outcome::Error);
            return Ok(());
        };
        if seat.drain.is_cancelled() && !is_sent_again(&frames[envelope.json_at()]) {
            return self.answer(&frames, &envelope, ErrorCode::Draining, "this broker is shutting down", seat);
        }
        self.board.ledger.sent();
        if self.on_its_way.len() >= self.limit {
            self.board.ledger.ended(Outcome::Error);
            let reason = format!("overloaded: {} messages are at this broker already (broker.queue)", self.limit);
            return self.answer(&frames, &envelope, ErrorCode::Overloaded, &reason, seat);
        }
        let wants_stamp = frames.last().is_some_and(|last| &last[..] == BrokerStamp::ASKED);
        if wants_stamp {
            frames.pop();
        }
        self.on_its_way.add(envelope, wants_stamp);
        self.backends.pass(frames)
    }

    /// Answers a message in a responder's stead.
    fn answer(
        &self,
        frames: &Frames,
        envelope: &Envelope,
        code: ErrorCode,
        reason: &str,
        seat: &Seat,
    ) -> io::Result<()> {
        let reply = match Message::parse(&frames[envelope.json_at()]) {
            Ok(message) if message.attempt.is_some() => message.error(NO_RESPONDER, code, reason),
            Ok(message) => message.error(NO_RESPONDER, code, reason).plain(),
            Err(error) => {
                warn!(seat.log, "dropped a message that can't be read"; "error" => %error, "reason" => reason);
                return Ok(());
            }
        };
        debug!(seat.log, "refused"; "messageId" => &reply.message_id, "reason" => reason);
        let mut answer: Frames = envelope.frames(frames);
        answer.push(serde_json::to_vec(&reply)?.into());
        self.to_requester(answer, seat)
    }

    /// Passes a reply on to whoever sent the message.
    fn take_reply(&mut self, mut frames: Frames, seat: &Seat) -> io::Result<()> {
        let Some(envelope) = Envelope::of(&frames) else {
            warn!(seat.log, "not a reply: no empty frame with JSON behind it"; "frames" => frames.len());
            return Ok(());
        };
        if let Some(message) = envelope.returned(&mut frames) {
            // Its worker has been taken away before it began: another one's turn.
            return self.backends.pass(message);
        }
        match self.on_its_way.end(&envelope) {
            Some((residence, wants_stamp)) => {
                self.board.ledger.ended(Outcome::Response);
                self.board.hops.record(Hop::Total, residence);
                seat.cell.handled();
                if wants_stamp {
                    let stamp = BrokerStamp { residence_us: residence.as_micros() as u64 };
                    frames.push(serde_json::to_vec(&stamp)?.into());
                }
            }
            None => self.board.ledger.late(),
        }
        self.to_requester(frames, seat)
    }

    fn to_requester(&self, frames: Frames, seat: &Seat) -> io::Result<()> {
        match self.router.raw().send_multipart(frames, zmq::DONTWAIT) {
            Err(error @ (zmq::Error::EHOSTUNREACH | zmq::Error::EAGAIN)) => {
                debug!(seat.log, "the requester that a reply is for is gone"; "error" => %error);
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Gives up on messages whose workers never answered.
    fn forget(&mut self, seat: &Seat) {
        for _ in 0..self.on_its_way.forget(self.forget_after) {
            warn!(seat.log, "a message's worker never answered: forgotten"; "after" => ?self.forget_after);
            self.board.ledger.ended(Outcome::Timeout);
        }
    }
}

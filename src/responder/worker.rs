//! A responder worker: takes one message at a time from its brokers and answers it (`answering.rs`). Its actor messages are here;
//! its sockets are in `broker_connections.rs`.

use std::io;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use slog::{info, warn};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;

use super::tasks::Tasks;
use super::{
    Answer, Backend, BrokerAddress, FaultInjector, FromBroker, Job, ResponderState, ResponderStates, returned,
};
use crate::runtime::supervision::{Drain, Life, Supervised, WorkError, keep_going};
use crate::runtime::zeromq::frames_of;
use crate::runtime::{Alarm, InstanceStatus};
use crate::wire::{Delay, DeliveryFrame, EXPIRED, Hop, WorkerState};

/// Silence of its brokers after which a leaving worker stops waiting for their confirmations.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum steps before other tasks of the arbiter run; a message takes two.
const BATCH: usize = 64;

/// What all responder workers of an instance share.
pub struct ResponderContext {
    pub states: ResponderStates,
    pub tasks: Arc<Tasks>,
    pub delay: watch::Receiver<Delay>,
    /// Shared, not sent to each worker: `clear` ends the waits of all workers at once, and a stall is listed until its worker
    /// has ended it or died.
    pub faults: Arc<FaultInjector>,
    pub status: Arc<InstanceStatus>,
    /// Maximum length of a reply as JSON, in bytes.
    pub max_reply_bytes: usize,
}

/// A responder worker. It polls its sockets for messages (`advance`): they do not go through its mailbox.
pub struct ResponderWorker {
    context: Arc<ResponderContext>,
    /// The job of the current message.
    answering: Option<LocalBoxFuture<'static, io::Result<Answer>>>,
    /// When the broker of the current message gets the next heartbeat.
    beat_at: Option<Instant>,
    brokers: Vec<BrokerAddress>,
    brokers_changed: bool,
    draining: bool,
    /// It has called [`super::BrokerConnections::leave`].
    leaving: bool,
    /// Until when it waits for brokers' confirmations.
    leave_by: Option<Instant>,
    alarm: Alarm,
    /// Outlives the worker. Before `life`, so dropped first: it is unlocked for the slot's next worker when the supervisor is
    /// notified.
    state: OwnedMutexGuard<ResponderState>,
    life: Life,
}

/// The delay before each task has changed. It applies from the next message on.
struct DelayChanged(Delay);

/// The brokers to connect to have changed.
struct BrokersChanged(Vec<BrokerAddress>);

impl ResponderWorker {
    /// Locks the state of its slot.
    ///
    /// # Panics
    /// The previous worker of the slot has not been dropped.
    pub fn new(life: Life, context: Arc<ResponderContext>) -> Self {
        let state = context.states.take(life.slot.index, &context.delay.borrow());
        Self {
            context,
            answering: None,
            beat_at: None,
            brokers: vec![],
            brokers_changed: false,
            draining: false,
            leaving: false,
            leave_by: None,
            alarm: Alarm::default(),
            state,
            life,
        }
    }
}

impl Actor for ResponderWorker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.life.slot.status.name(&self.state.task.responder_id.to_string());
        // The previous worker of the slot may have run on another arbiter.
        if let Err(error) = self.state.brokers.attach_here() {
            return self.end(Err(error.into()), ctx);
        }
        if self.state.task.current.is_some() {
            self.state.task.deaths += 1;
            self.life.slot.status.set(WorkerState::Busy, None);
        }
        ctx.add_stream(WatchStream::new(self.context.delay.clone()).map(DelayChanged));
        ctx.add_stream(self.context.states.backend.brokers().map(BrokersChanged));
        keep_going(ctx);
    }
}

impl StreamHandler<DelayChanged> for ResponderWorker {
    fn handle(&mut self, DelayChanged(delay): DelayChanged, _: &mut Self::Context) {
        self.state.task.delays.replace(&delay);
    }

    /// The delay's owner has ended with the process. The default would stop the actor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<BrokersChanged> for ResponderWorker {
    fn handle(&mut self, BrokersChanged(brokers): BrokersChanged, _: &mut Self::Context) {
        // Applied when there is no current message: its connection might be left before its reply is sent.
        (self.brokers, self.brokers_changed) = (brokers, true);
    }

    /// An `ipc://` endpoint does not change; other streams end with the process. The default would stop the actor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Drain> for ResponderWorker {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.draining = true;
    }
}

impl Supervised for ResponderWorker {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        for _ in 0..BATCH {
            if self.state.task.current.is_some() {
                ready!(self.poll_answer(cx))?;
            } else if !self.draining {
                ready!(self.poll_brokers(cx))?;
            } else if ready!(self.poll_leave(cx))? {
                self.context.states.clear(self.life.slot.index);
                return Poll::Ready(Ok(()));
            }
        }
        // Let other tasks of the arbiter run.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl ResponderWorker {
    /// Answers the current message. Ready when the worker has replied, or has sent its broker a heartbeat.
    fn poll_answer(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        let answering = match (&mut self.answering, &mut *self.state) {
            (Some(answering), _) => answering,
            (none, ResponderState { brokers, task }) => {
                let slot = &self.life.slot;
                let job = Job::new(task, slot.index, self.context.clone(), slot.log.clone());
                self.beat_at = brokers.next_beat();
                none.insert(job.answer().boxed_local())
            }
        };
        if let Poll::Ready(answer) = answering.poll_unpin(cx) {
            self.answering = None;
            self.reply(answer?)?;
            return Poll::Ready(Ok(()));
        }
        self.alarm.set(self.beat_at);
        ready!(self.alarm.poll(cx));
        self.state.brokers.beat()?;
        self.beat_at = self.state.brokers.next_beat();
        Poll::Ready(Ok(()))
    }

    /// Waits for a message. Ready when there is one, or the connections have changed.
    fn poll_brokers(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        if std::mem::take(&mut self.brokers_changed) {
            self.follow_brokers()?;
        }
        self.life.slot.status.set(WorkerState::Idle, None);
        if let Poll::Ready(news) = self.state.brokers.poll_next(cx)? {
            return Poll::Ready(Ok(self.take(news)?));
        }
        self.alarm.set(self.state.brokers.next_renewal());
        ready!(self.alarm.poll(cx));
        Poll::Ready(Ok(self.follow_brokers()?))
    }

    /// Leaves every broker. Messages that arrive until then are answered or returned. Ready with true when the worker has left,
    /// with false when there may be a message. A broker of this process always confirms or disconnects; another one may not, so
    /// the wait for it is limited.
    fn poll_leave(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<bool, WorkError>> {
        let (id, log) = (self.state.task.responder_id, &self.life.slot.log);
        if !self.leaving {
            self.state.brokers.leave(|message| returned(message, id, log))?;
            self.leaving = true;
        }
        if self.state.brokers.is_empty() {
            return Poll::Ready(Ok(true));
        }
        if let Poll::Ready(news) = self.state.brokers.poll_next(cx)? {
            self.leave_by = None;
            self.take(news)?;
            return Poll::Ready(Ok(false));
        }
        let is_local = matches!(self.context.states.backend, Backend::Local(_));
        let leave_by = (!is_local).then(|| *self.leave_by.get_or_insert_with(|| Instant::now() + LEAVE_TIMEOUT));
        self.alarm.set(leave_by);
        ready!(self.alarm.poll(cx));
        warn!(log, "a broker did not confirm that this worker left"; "after" => ?LEAVE_TIMEOUT);
        Poll::Ready(Ok(true))
    }

    /// Makes a received message the current one, or updates the connections.
    fn take(&mut self, news: FromBroker) -> io::Result<()> {
        let FromBroker::Message(frames) = news else { return self.follow_brokers() };
        self.life.slot.status.set(WorkerState::Busy, None);
        self.context.status.ledger.sent();
        (self.state.task.current, self.state.task.deaths) = (Some(frames), 0);
        Ok(())
    }

    /// Connects to the current brokers and leaves others. A leaving worker connects to none.
    fn follow_brokers(&mut self) -> io::Result<()> {
        let (id, log) = (self.state.task.responder_id, &self.life.slot.log);
        let brokers = if self.leaving { &[][..] } else { &self.brokers };
        for gone in self.state.brokers.follow(brokers, |message| returned(message, id, log))? {
            info!(log, "left a broker that is gone"; "broker" => %gone);
        }
        Ok(())
    }

    /// Replies to the current message, and counts its outcome.
    fn reply(&mut self, answer: Answer) -> io::Result<()> {
        let (slot, status) = (&self.life.slot, &self.context.status);
        let mut reply = frames_of([&answer.json]);
        // Frames of the message that this program does not know are sent back unchanged.
        let others = self.state.task.current.take().into_iter().flatten().skip(1);
        reply.extend(others.filter(|frame| DeliveryFrame::parse(frame).is_none()));
        match answer.outcome {
            Some(outcome) => {
                status.ledger.ended(outcome);
                status.hops.record(Hop::Service, answer.service);
            }
            None => {
                reply.push(EXPIRED.into());
                status.ledger.expired();
            }
        }
        slot.status.handled();
        if !self.state.brokers.reply(reply)? {
            info!(slot.log, "dropped a reply: its broker has disconnected");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, Logger, o};
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::super::testing;
    use super::*;
    use crate::runtime::supervision::{Slot, WorkerHandle};
    use crate::wire::Faults;

    const MESSAGE: &[u8] = br#"{"requestId":"r","messageId":"m","requesterId":"q","requestedAt":1}"#;

    /// Sets the state that a worker leaves behind when it dies: a current message without a reply.
    fn leave_behind(context: &ResponderContext) {
        context.status.ledger.sent();
        context.states.take(0, &context.delay.borrow()).task.current = Some(frames_of([MESSAGE]));
    }

    fn start(context: &Arc<ResponderContext>) -> WorkerHandle {
        let (status, log) = (context.status.unlisted_worker(0), Logger::root(Discard, o!()));
        let slot = Slot { index: 0, drain: CancellationToken::new(), status, log };
        let context = context.clone();
        WorkerHandle::start(&Arbiter::current(), move || ResponderWorker::new(Life::unsupervised(slot), context))
    }

    async fn until(is_so: impl Fn() -> bool) {
        let reached = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), reached).await.expect("not reached within 20 s");
    }

    #[actix_rt::test]
    async fn a_message_is_tried_again_after_the_first_death_and_refused_after_the_second() {
        let (_delay, context) = testing::context(Delay::NONE);
        context.faults.set(Faults { extra_latency_ms: 600_000, ..Faults::default() });
        leave_behind(&context);
        let mut second = start(&context);
        second.crash();
        until(|| !second.drain.connected()).await;
        assert_eq!(context.status.ledger.read().in_flight, 1, "it has no outcome yet");
        let _third = start(&context);
        until(|| context.status.ledger.read().in_flight == 0).await;
        assert_eq!(context.status.ledger.read().errors, 1);
    }

    #[actix_rt::test]
    async fn a_draining_worker_answers_its_current_message_and_removes_its_state() {
        let (_delay, context) = testing::context(Delay::NONE);
        context.faults.stall(0, Duration::from_secs(600));
        leave_behind(&context);
        let worker = start(&context);
        worker.drain.send(Drain).await.unwrap();
        assert!(worker.drain.connected() && context.status.ledger.read().in_flight == 1);
        context.faults.clear();
        until(|| !worker.drain.connected()).await;
        assert_eq!(context.status.ledger.read().responses, 1);
        assert_eq!(context.states.take(0, &Delay::NONE).task.deaths, 0, "the state is a new one");
    }

    #[actix_rt::test]
    async fn a_worker_uses_the_latest_delay() {
        let (delay, context) = testing::context(Delay::fixed(Duration::from_secs(600)));
        leave_behind(&context);
        delay.send_replace(Delay::NONE);
        let _worker = start(&context);
        until(|| context.status.ledger.read().responses == 1).await;
    }
}

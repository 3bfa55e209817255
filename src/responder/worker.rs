//! A responder worker: it takes a message, answers it (`answering.rs`), and takes the next. What it can be told is here; its
//! sockets are in `broker_connections.rs`.

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
use crate::runtime::supervision::{Crash, Drain, Life, Supervised, WorkError, keep_going};
use crate::runtime::zeromq::frames_of;
use crate::runtime::{Alarm, InstanceStatus};
use crate::wire::{Delay, DeliveryFrame, EXPIRED, Hop, WorkerState};

/// How long a worker that leaves waits for a broker to confirm that it gets no more messages.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Steps made in one go before others on the arbiter get their turn; a message takes two.
const BATCH: usize = 64;

/// What all responder workers of an instance share.
pub struct ResponderContext {
    pub states: ResponderStates,
    pub tasks: Arc<Tasks>,
    pub delay: watch::Receiver<Delay>,
    /// Not messages to each worker: faults are the instance's, `clear` ends the waits of all workers at once, and a stall is
    /// listed until its worker has ended it, or died in it.
    pub faults: Arc<FaultInjector>,
    pub status: Arc<InstanceStatus>,
    /// The longest reply sent, in bytes of JSON.
    pub max_reply_bytes: usize,
}

/// A responder worker. Messages come by its sockets, which it polls (see `advance`): they cost no mailbox.
pub struct ResponderWorker {
    context: Arc<ResponderContext>,
    /// The answer to the message in hand, while it is made.
    answering: Option<LocalBoxFuture<'static, io::Result<Answer>>>,
    /// When the broker of the message in hand gets the next heartbeat.
    beat_at: Option<Instant>,
    brokers: Vec<BrokerAddress>,
    brokers_changed: bool,
    draining: bool,
    /// It has sent its `LEAVE` to every broker.
    leaving: bool,
    /// Until when it waits for a broker's confirmation.
    leave_by: Option<Instant>,
    alarm: Alarm,
    /// What survives it. Its successor gets this when it is dropped, and so before `life` tells the supervisor of the end.
    state: OwnedMutexGuard<ResponderState>,
    life: Life,
}

/// The delay before each task has changed: it applies from the next message on.
#[derive(Message)]
#[rtype("()")]
struct DelayChanged(Delay);

/// The brokers to work for have changed.
#[derive(Message)]
#[rtype("()")]
struct BrokersChanged(Vec<BrokerAddress>);

impl ResponderWorker {
    /// The worker before it in its slot must have been dropped.
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
        // The worker before it may have been on another arbiter.
        if let Err(error) = self.state.brokers.attach_here() {
            return self.end(Err(error.into()), ctx);
        }
        if self.state.task.in_hand.is_some() {
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

    /// The process ends: it is not changed any more.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<BrokersChanged> for ResponderWorker {
    fn handle(&mut self, BrokersChanged(brokers): BrokersChanged, _: &mut Self::Context) {
        // Followed when nothing is in hand: its reply goes by a connection that might be left.
        (self.brokers, self.brokers_changed) = (brokers, true);
    }

    /// What there is stays: an `ipc://` endpoint, or the process ends.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Drain> for ResponderWorker {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.draining = true;
    }
}

impl Handler<Crash> for ResponderWorker {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on request");
    }
}

impl Supervised for ResponderWorker {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        for _ in 0..BATCH {
            if self.state.task.in_hand.is_some() {
                ready!(self.poll_answer(cx))?;
            } else if !self.draining {
                ready!(self.poll_brokers(cx))?;
            } else if ready!(self.poll_leave(cx))? {
                self.context.states.clear(self.life.slot.index);
                return Poll::Ready(Ok(()));
            }
        }
        // Others on the arbiter get their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl ResponderWorker {
    /// Answers the message in hand: ready when it has replied, or has sent the broker a heartbeat.
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

    /// Waits for a message: ready when one is in hand, or the connections have changed.
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

    /// Leaves every broker: what the worker has is answered, or returned for another one. Ready with true when it has left. A
    /// broker of this process always confirms that, or closes the connection; one elsewhere may be another program by now.
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
        let is_here = matches!(self.context.states.backend, Backend::Here(_));
        let leave_by = (!is_here).then(|| *self.leave_by.get_or_insert_with(|| Instant::now() + LEAVE_TIMEOUT));
        self.alarm.set(leave_by);
        ready!(self.alarm.poll(cx));
        warn!(log, "a broker did not confirm that this worker left"; "after" => ?LEAVE_TIMEOUT);
        Poll::Ready(Ok(true))
    }

    /// Takes a message in hand, or looks after the connections.
    fn take(&mut self, news: FromBroker) -> io::Result<()> {
        let FromBroker::Message(frames) = news else { return self.follow_brokers() };
        self.life.slot.status.set(WorkerState::Busy, None);
        self.context.status.ledger.sent();
        (self.state.task.in_hand, self.state.task.deaths) = (Some(frames), 0);
        Ok(())
    }

    /// Connects to the brokers that there are, and to no others; to none when it leaves.
    fn follow_brokers(&mut self) -> io::Result<()> {
        let (id, log) = (self.state.task.responder_id, &self.life.slot.log);
        let brokers = if self.leaving { &[][..] } else { &self.brokers };
        for gone in self.state.brokers.follow(brokers, |message| returned(message, id, log))? {
            info!(log, "broker gone"; "broker" => %gone);
        }
        Ok(())
    }

    /// Ends the message in hand with its answer.
    fn reply(&mut self, answer: Answer) -> io::Result<()> {
        let (slot, status) = (&self.life.slot, &self.context.status);
        let mut reply = frames_of([&answer.json]);
        // Frames that this program does not know go back as they came.
        let others = self.state.task.in_hand.take().into_iter().flatten().skip(1);
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
            info!(slot.log, "a reply is not sent: the connection to its broker was lost");
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
    use crate::runtime::supervision::Slot;
    use crate::wire::Faults;

    const MESSAGE: &[u8] = br#"{"requestId":"r","messageId":"m","requesterId":"q","requestedAt":1}"#;

    /// What another worker of the slot left behind: a message that came, and was not answered.
    fn leave_behind(context: &ResponderContext) {
        context.status.ledger.sent();
        context.states.take(0, &context.delay.borrow()).task.in_hand = Some(frames_of([MESSAGE]));
    }

    fn start(context: &Arc<ResponderContext>) -> Addr<ResponderWorker> {
        let (status, log) = (context.status.unlisted_worker(0), Logger::root(Discard, o!()));
        let slot = Slot { index: 0, drain: CancellationToken::new(), status, log };
        ResponderWorker::new(Life::unsupervised(slot), context.clone()).start()
    }

    async fn until(is_so: impl Fn() -> bool) {
        let looking = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), looking).await.expect("never seen");
    }

    #[actix_rt::test]
    async fn a_message_that_its_worker_died_on_is_tried_again_once_and_then_refused() {
        let (_delay, context) = testing::context(Delay::NONE);
        context.faults.set(Faults { extra_latency_ms: 600_000, ..Faults::default() });
        leave_behind(&context);
        let second = start(&context);
        second.send(Crash).await.unwrap_err();
        until(|| !second.connected()).await;
        assert_eq!(context.status.ledger.read().in_flight, 1, "it has no outcome yet");
        start(&context);
        until(|| context.status.ledger.read().in_flight == 0).await;
        assert_eq!(context.status.ledger.read().errors, 1);
    }

    #[actix_rt::test]
    async fn a_worker_that_drains_answers_what_it_has_in_hand_and_leaves_nothing_behind() {
        let (_delay, context) = testing::context(Delay::NONE);
        context.faults.stall(0, Duration::from_secs(600));
        leave_behind(&context);
        let worker = start(&context);
        worker.send(Drain).await.unwrap();
        assert!(worker.connected() && context.status.ledger.read().in_flight == 1);
        context.faults.clear();
        until(|| !worker.connected()).await;
        assert_eq!(context.status.ledger.read().responses, 1);
        assert_eq!(context.states.take(0, &Delay::NONE).task.deaths, 0, "the state is a new one");
    }

    #[actix_rt::test]
    async fn a_worker_draws_from_the_delay_that_it_was_told_last() {
        let (delay, context) = testing::context(Delay::fixed(Duration::from_secs(600)));
        leave_behind(&context);
        delay.send_replace(Delay::NONE);
        start(&context);
        until(|| context.status.ledger.read().responses == 1).await;
    }
}

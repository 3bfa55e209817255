//! The broker: a ROUTER for requesters, and a dispatcher for workers. It keeps count of what is in flight; `passing.rs` has what it
//! does with each message and reply.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Poll};
use std::time::Duration;

use actix::prelude::*;
use futures_util::StreamExt;
use slog::{Logger, debug, warn};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;

use super::{Dispatcher, InFlightTable, Outboxes};
use crate::runtime::supervision::{Crash, Drain, Life, Supervised, WorkError, keep_going};
use crate::runtime::zeromq::Socket;
use crate::runtime::{Alarm, InstanceStatus};
use crate::wire::{Dispatch, WorkerState};

/// Messages, and replies, passed on in one go before others on the arbiter get their turn.
const BATCH: usize = 64;

/// After so long a requester that had no room for a reply is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// How often the broker gives up on messages that nobody waits for.
const SWEEP: Duration = Duration::from_millis(500);

/// How long a broker that is drained waits for requesters to read.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What the broker works with. The actor holds it locked for its life, so that sockets, and the messages in them,
/// survive its death.
pub struct BrokerState {
    /// Bound, with ROUTER_MANDATORY.
    pub router: Socket,
    pub dispatch: watch::Receiver<Dispatch>,
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

/// The broker's actor. Messages and replies come by its sockets, which it polls: they cost no mailbox.
pub struct Broker {
    pub(super) state: OwnedMutexGuard<BrokerState>,
    pub(super) draining: bool,
    sweep_at: Instant,
    /// When it has waited long enough for requesters to read, once all messages have ended.
    leave_at: Option<Instant>,
    alarm: Alarm,
    pub(super) log: Logger,
    /// Dropped last: the supervisor hears of the end when the state is free for a successor.
    pub(super) life: Life,
}

/// Messages go by this strategy from now on; those at a worker stay there.
#[derive(Message)]
#[rtype("()")]
pub struct SetDispatch(pub Dispatch);

impl Broker {
    /// Takes the state for its life.
    ///
    /// # Panics
    /// Where another broker has it, which no supervisor lets happen.
    pub fn new(life: Life, state: &Arc<Mutex<BrokerState>>) -> Self {
        let Ok(state) = state.clone().try_lock_owned() else { panic!("another broker has these sockets") };
        let (sweep_at, log) = (Instant::now() + SWEEP, life.slot.log.clone());
        Self { state, draining: false, sweep_at, leave_at: None, alarm: Alarm::default(), log, life }
    }
}

impl Actor for Broker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Err(error) = self.state.attach() {
            return self.end(Err(error.into()), ctx);
        }
        self.life.slot.status.set(WorkerState::Idle, None);
        ctx.add_stream(WatchStream::new(self.state.dispatch.clone()).map(SetDispatch));
        keep_going(ctx);
    }
}

impl StreamHandler<SetDispatch> for Broker {
    fn handle(&mut self, SetDispatch(dispatch): SetDispatch, _: &mut Self::Context) {
        self.state.dispatcher.set(dispatch);
    }

    /// The process ends: nobody sets it any more.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Drain> for Broker {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        debug!(self.log, "draining"; "onItsWay" => self.state.in_flight.len());
        self.draining = true;
    }
}

impl Handler<Crash> for Broker {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on request");
    }
}

impl Supervised for Broker {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        loop {
            if self.pass_on()? {
                // Others on the arbiter get their turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.draining && self.state.in_flight.is_empty() && self.has_sent_all() {
                self.state.dispatcher.close();
                return Poll::Ready(Ok(()));
            }
            self.alarm.set(self.next_timer());
            if self.state.poll_news(cx)?.is_ready() {
                continue;
            }
            match self.alarm.poll(cx) {
                Poll::Ready(()) => self.on_timer()?,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Broker {
    /// Passes on a batch of what is here, both ways; false when nothing was.
    fn pass_on(&mut self) -> io::Result<bool> {
        let mut moved = self.state.dispatcher.flush()?;
        for _ in 0..BATCH {
            let Some(frames) = self.state.router.try_recv()? else { break };
            self.take_message(frames)?;
            moved = true;
        }
        for _ in 0..BATCH {
            let Some(frames) = self.state.dispatcher.try_reply()? else { break };
            self.take_reply(frames)?;
            moved = true;
        }
        let BrokerState { outboxes, router, .. } = &mut *self.state;
        moved |= outboxes.flush(|reply| router.try_route(reply))?;
        self.state.show();
        Ok(moved)
    }

    /// Requesters have read all replies, or had the time to.
    fn has_sent_all(&mut self) -> bool {
        let leave_at = *self.leave_at.get_or_insert_with(|| Instant::now() + LAST_WAIT);
        let outboxes = &self.state.outboxes;
        if !outboxes.is_empty() && Instant::now() >= leave_at {
            warn!(self.log, "replies are left that requesters did not read"; "bytes" => outboxes.bytes());
            return true;
        }
        outboxes.is_empty()
    }

    /// When the broker has to look again though nothing happens.
    fn next_timer(&self) -> Option<Instant> {
        let sweep = (!self.state.in_flight.is_empty()).then_some(self.sweep_at);
        // An edge that said that there is room again may have been swallowed by a call for something else.
        let retry = (!self.state.outboxes.is_empty()).then(|| Instant::now() + RETRY);
        [self.state.dispatcher.check_at(), sweep, retry].into_iter().flatten().min()
    }

    fn on_timer(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.state.dispatcher.check_at().is_some_and(|at| at <= now) {
            self.pass_lost()?;
        }
        if self.sweep_at <= now {
            self.give_up();
            self.sweep_at = now + SWEEP;
        }
        Ok(())
    }
}

impl BrokerState {
    /// Moves the sockets to the arbiter that runs the broker.
    fn attach(&mut self) -> io::Result<()> {
        self.router.attach_here()?;
        self.dispatcher.attach_here()
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
    fn poll_news(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
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
}

//! The broker's actor: a ROUTER for requesters, a dispatcher for workers, and the table of messages in flight. `passing.rs` has
//! what it does with each message and reply.

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
use crate::runtime::supervision::{Drain, Life, Supervised, WorkError, keep_going};
use crate::runtime::zeromq::Socket;
use crate::runtime::{Alarm, InstanceStatus};
use crate::wire::{Dispatch, WorkerState};

/// Maximum messages, and maximum replies, passed on before other tasks of the arbiter run.
const BATCH: usize = 64;

/// Interval at which the broker tries to send replies that wait in outboxes.
const OUTBOX_RETRY: Duration = Duration::from_millis(10);

/// Interval at which the broker removes expired messages.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);

/// Maximum time that a draining broker waits for requesters to read their last replies.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The broker's state. It outlives the actor, which locks it from its start to its end, so that a restart loses neither sockets
/// nor messages.
pub struct BrokerState {
    /// Bound, with ROUTER_MANDATORY.
    pub router: Socket,
    pub dispatch: watch::Receiver<Dispatch>,
    pub dispatcher: Dispatcher,
    pub in_flight: InFlightTable,
    /// Replies that requesters have not read yet.
    pub outboxes: Outboxes,
    /// Maximum messages in flight, at the broker and its workers.
    pub limit: usize,
    /// Maximum memory of these messages, in bytes.
    pub limit_bytes: usize,
    /// Maximum bytes of one message, without its envelope.
    pub max_message_bytes: usize,
    /// Time after which a message without a deadline is removed if its worker has not replied.
    pub forget_after: Duration,
    /// The broker detects the loss of a worker that has a message. False for a DEALER with workers in other processes.
    pub detects_worker_loss: bool,
    pub status: Arc<InstanceStatus>,
    /// Gauge: messages that wait for a worker; all in flight if libzmq does not report which ones workers have begun.
    pub waiting: Arc<AtomicUsize>,
    /// Gauge: workers that have announced themselves.
    pub workers: Arc<AtomicUsize>,
    /// Gauge: memory of messages and replies at the broker, in bytes.
    pub bytes: Arc<AtomicUsize>,
}

/// The broker's actor. It polls its sockets for messages and replies: they do not go through its mailbox.
pub struct Broker {
    pub(super) state: OwnedMutexGuard<BrokerState>,
    pub(super) draining: bool,
    expire_at: Instant,
    /// When draining: the end of the wait for requesters to read; set when no message is in flight.
    flush_deadline: Option<Instant>,
    alarm: Alarm,
    pub(super) log: Logger,
    /// Last field, so dropped last: the supervisor is notified when the state is unlocked for the next actor.
    pub(super) life: Life,
}

/// Changes the dispatch strategy. Messages that are at a worker stay there.
struct SetDispatch(Dispatch);

impl Broker {
    /// Locks the state until the actor is dropped.
    ///
    /// # Panics
    /// If another broker has locked it. A supervisor starts a broker only after the previous one has ended.
    pub fn new(life: Life, state: &Arc<Mutex<BrokerState>>) -> Self {
        let Ok(state) = state.clone().try_lock_owned() else { panic!("another broker uses these sockets") };
        let (expire_at, log) = (Instant::now() + EXPIRY_INTERVAL, life.slot.log.clone());
        Self { state, draining: false, expire_at, flush_deadline: None, alarm: Alarm::default(), log, life }
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

    /// The setting's owner has ended with the process. The default would stop the actor.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Drain> for Broker {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        debug!(self.log, "draining"; "inFlight" => self.state.in_flight.len());
        self.draining = true;
    }
}

impl Supervised for Broker {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        loop {
            if self.pass_on()? {
                // Let other tasks of the arbiter run.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.draining && self.state.in_flight.is_empty() && self.is_flushed() {
                self.state.dispatcher.close();
                return Poll::Ready(Ok(()));
            }
            self.alarm.set(self.next_timer());
            if self.state.poll_ready(cx)?.is_ready() {
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
    /// Passes on a batch of messages and of replies, and what waits for room; true if anything moved.
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
        self.state.update_gauges();
        Ok(moved)
    }

    /// True when requesters have read all replies, or [`FLUSH_TIMEOUT`] has passed.
    fn is_flushed(&mut self) -> bool {
        let flush_deadline = *self.flush_deadline.get_or_insert_with(|| Instant::now() + FLUSH_TIMEOUT);
        let outboxes = &self.state.outboxes;
        if !outboxes.is_empty() && Instant::now() >= flush_deadline {
            warn!(self.log, "dropped replies that requesters did not read"; "bytes" => outboxes.bytes());
            return true;
        }
        outboxes.is_empty()
    }

    /// When the broker's next timer is due.
    fn next_timer(&self) -> Option<Instant> {
        let expiry = (!self.state.in_flight.is_empty()).then_some(self.expire_at);
        // Poll: another call on the socket may have consumed the edge that reports room for replies.
        let retry = (!self.state.outboxes.is_empty()).then(|| Instant::now() + OUTBOX_RETRY);
        [self.state.dispatcher.check_at(), expiry, retry].into_iter().flatten().min()
    }

    fn on_timer(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.state.dispatcher.check_at().is_some_and(|at| at <= now) {
            self.requeue_lost()?;
        }
        if self.expire_at <= now {
            self.expire();
            self.expire_at = now + EXPIRY_INTERVAL;
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

    /// Updates the gauges.
    fn update_gauges(&self) {
        let waiting = self.dispatcher.waiting().unwrap_or(self.in_flight.len());
        self.waiting.store(waiting, Ordering::Relaxed);
        self.workers.store(self.dispatcher.workers(), Ordering::Relaxed);
        self.bytes.store(self.in_flight.bytes() + self.outboxes.bytes(), Ordering::Relaxed);
    }

    /// Ready when there may be something to pass on. Checks both sockets each time, because another call on a socket may have
    /// consumed its edge.
    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.router.events()?.readable {
                return Poll::Ready(Ok(()));
            }
            if self.router.poll_edge(cx)?.is_pending() {
                return self.dispatcher.poll_ready(cx);
            }
            if !self.outboxes.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

//! A requester worker: takes messages from its worker queue, sends each to a broker, and completes it with the reply. Its actor
//! messages are here; sending, retries and replies are in `delivery.rs`.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use actix::prelude::*;
use futures_util::StreamExt;
use slog::{Logger, o};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::wrappers::WatchStream;

use super::{Brokers, InFlightWindow, Memory, RequesterSocket, RetryPolicy, WorkerQueue};
use crate::runtime::supervision::{Drain, Life, Supervised, WorkError, keep_going};
use crate::runtime::zeromq::Contexts;
use crate::runtime::{Alarm, InstanceStatus};
use crate::wire::WorkerState;

/// Maximum socket events handled before other tasks of the arbiter run.
const BATCH: usize = 64;

/// What all requester workers of an instance share.
pub struct RequesterContext {
    pub socket: RequesterSocket,
    pub retry: RetryPolicy,
    pub contexts: Arc<Contexts>,
    pub brokers: watch::Receiver<BTreeSet<SocketAddr>>,
    pub status: Arc<InstanceStatus>,
    /// Maximum length of a message or reply as JSON, in bytes.
    pub max_message_bytes: usize,
    pub memory: Arc<Memory>,
}

/// A requester worker. Messages wait in its worker queue, which outlives the worker; `Assigned` only reports that there are some.
/// (A mailbox in place of the queue cost 0 to 10 % of the throughput, and would lose its messages when the worker dies.)
pub struct RequesterWorker {
    life: Life,
    pub(super) context: Arc<RequesterContext>,
    pub(super) worker_queue: Arc<WorkerQueue>,
    pub(super) brokers: Brokers,
    pub(super) window: InFlightWindow,
    /// The end of its wait for memory; `None` while there is memory.
    pub(super) room_until: Option<Instant>,
    room: Option<Pin<Box<dyn Future<Output = ()>>>>,
    alarm: Alarm,
    draining: bool,
    /// Why the worker has to end.
    failure: Option<WorkError>,
    pub(super) log: Logger,
}

/// The worker's queue has messages.
#[derive(Message)]
#[rtype("()")]
pub struct Assigned;

/// The addresses of the brokers have changed.
struct BrokersChanged(BTreeSet<SocketAddr>);

impl RequesterWorker {
    pub fn new(life: Life, worker_queue: Arc<WorkerQueue>, context: Arc<RequesterContext>) -> Self {
        // The id shifts the first broker: otherwise the first messages of all instances would go to the same few brokers.
        let next = worker_queue.index + context.status.instance.id.bytes().map(usize::from).sum::<usize>();
        let (contexts, status) = (context.contexts.clone(), context.status.clone());
        Self {
            brokers: Brokers::new(context.socket, contexts, status, next, worker_queue.index == 0),
            window: InFlightWindow::new(worker_queue.clone()),
            room_until: None,
            room: None,
            alarm: Alarm::default(),
            draining: false,
            failure: None,
            log: life.slot.log.new(o!("requesterId" => worker_queue.requester_id.clone())),
            life,
            context,
            worker_queue,
        }
    }
}

impl Actor for RequesterWorker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.life.slot.status.name(&self.worker_queue.requester_id);
        self.worker_queue.attach(ctx.address().recipient());
        ctx.add_stream(WatchStream::new(self.context.brokers.clone()).map(BrokersChanged));
        keep_going(ctx);
    }
}

impl Handler<Assigned> for RequesterWorker {
    type Result = ();

    fn handle(&mut self, _: Assigned, _: &mut Self::Context) {
        self.worker_queue.clear_notification();
    }
}

impl StreamHandler<BrokersChanged> for RequesterWorker {
    fn handle(&mut self, BrokersChanged(addresses): BrokersChanged, _: &mut Self::Context) {
        self.failure = self.brokers.set(&addresses).err().map(WorkError::from).or(self.failure.take());
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.failure = Some(WorkError::Other("the discovery of brokers has stopped".to_owned()));
    }
}

impl Handler<Drain> for RequesterWorker {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.draining = true;
    }
}

impl Supervised for RequesterWorker {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        for _ in 0..BATCH {
            if let Some(failure) = self.failure.take() {
                return Poll::Ready(Err(failure));
            }
            self.brokers.close_removed(|broker| self.window.has_any_at(broker));
            let has_room = self.fill_window()?;
            if has_room {
                // A waiter that is not polled would consume the notification of free memory, and other workers would miss it.
                self.room = None;
            }
            let state = if self.window.is_empty() { WorkerState::Idle } else { WorkerState::Busy };
            self.life.slot.status.set(state, None);
            if self.draining && self.worker_queue.close_if_empty() {
                return Poll::Ready(Ok(()));
            }
            self.alarm.set(self.next_timer(has_room));
            if let Poll::Ready((broker, event)) = self.brokers.poll_next(cx)? {
                if self.on_socket_event(broker, event) {
                    self.life.slot.status.handled();
                }
            } else if self.alarm.poll(cx).is_ready() {
                self.on_timer()?;
            } else if has_room || self.poll_room(cx).is_pending() {
                return Poll::Pending;
            }
        }
        // Let other tasks of the arbiter run.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl RequesterWorker {
    /// When the worker's next timer is due.
    fn next_timer(&self, has_room: bool) -> Option<Instant> {
        let leftover = self.draining.then(|| self.worker_queue.next_deadline()).flatten();
        let room_timeout = self.room_until.filter(|_| !has_room);
        let timers = [self.window.next_timer(self.retry()), leftover, self.brokers.next_renewal(), room_timeout];
        timers.into_iter().flatten().min()
    }

    /// Ready when there is memory for replies.
    fn poll_room(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let memory = &self.context.memory;
        let room = self.room.get_or_insert_with(|| {
            let memory = memory.clone();
            Box::pin(async move { memory.wait_for_room().await })
        });
        room.as_mut().poll(cx).map(|()| self.room = None)
    }
}

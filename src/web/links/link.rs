//! One link: keeps a connection to a requester instance. What it does with requests is in `link_requests.rs`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use backon::ExponentialBackoff;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use nix::errno::Errno;
use parking_lot::Mutex;
use slog::{Logger, info, o, warn};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use tokio_stream::wrappers::WatchStream;

use super::{Came, ConnectFailure, Connection, LinkGoal, LinkQueue, LinksContext, NotOpen, Pending, Wanted};
use crate::runtime::Alarm;
use crate::runtime::supervision::{Drain, Life, Supervised, WorkError, keep_going};
use crate::wire::{Frame, LinkState};

/// Frames taken in one go before others on the arbiter get their turn.
const BATCH: usize = 64;

/// There are requests in the link's queue.
#[derive(Message)]
#[rtype("()")]
pub struct Requested;

/// A connection, and the first frame if the requester has sent one already.
type Opened = Result<(Connection, Option<Frame>), NotOpen>;

/// How far a link is.
pub enum Phase {
    Connecting(LocalBoxFuture<'static, Opened>),
    Open(Box<Connection>),
    /// Waits before it connects again.
    Waiting(Pin<Box<Sleep>>),
}

/// A link. If it dies, its supervisor starts a successor, which has its requests: those that wait and those under way.
pub struct Link {
    pub(super) address: SocketAddr,
    pub(super) context: Arc<LinksContext>,
    pub(super) queue: Arc<LinkQueue>,
    /// Nobody else uses it while the link lives.
    pub(super) pending: Arc<Mutex<Pending>>,
    /// `None` after the start.
    goals: Option<watch::Receiver<LinkGoal>>,
    goal: LinkGoal,
    pub(super) phase: Phase,
    backoff: ExponentialBackoff,
    alarm: Alarm,
    pub(super) log: Logger,
    life: Life,
}

impl Link {
    pub fn new(
        life: Life,
        context: Arc<LinksContext>,
        queue: Arc<LinkQueue>,
        pending: Arc<Mutex<Pending>>,
        goals: watch::Receiver<LinkGoal>,
    ) -> Self {
        let (address, backoff) = (queue.address, context.policy.backoff());
        let phase = Phase::Waiting(Box::pin(sleep(Duration::ZERO)));
        let (goals, goal, alarm) = (Some(goals), LinkGoal::Keep, Alarm::default());
        let log = life.slot.log.new(o!("requester" => address));
        Self { address, context, queue, pending, goals, goal, phase, backoff, alarm, log, life }
    }
}

impl Actor for Link {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.queue.attach(ctx.address().recipient());
        if let Some(goals) = self.goals.take() {
            ctx.add_stream(WatchStream::new(goals));
        }
        ctx.add_stream(WatchStream::new(self.context.table.wanted()).map(Wanted));
        self.connect();
        keep_going(ctx);
    }
}

impl Handler<Requested> for Link {
    type Result = ();

    /// `advance` is called after each message, and takes the requests.
    fn handle(&mut self, _: Requested, _: &mut Self::Context) {}
}

impl StreamHandler<LinkGoal> for Link {
    fn handle(&mut self, goal: LinkGoal, _: &mut Self::Context) {
        if self.goal != goal && self.goal != LinkGoal::Close {
            self.goal = goal;
            self.tell();
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.goal = LinkGoal::Close;
    }
}

impl StreamHandler<Wanted> for Link {
    fn handle(&mut self, Wanted(wanted): Wanted, _: &mut Self::Context) {
        if wanted && matches!(self.phase, Phase::Waiting(_)) {
            self.connect();
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.goal = LinkGoal::Close;
    }
}

impl Handler<Drain> for Link {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.goal = LinkGoal::Close;
    }
}

impl Supervised for Link {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        let mut is_pending = false;
        for _ in 0..BATCH {
            self.take_requests();
            if self.is_over() {
                self.leave();
                return Poll::Ready(Ok(()));
            }
            is_pending = self.poll_phase(cx).is_pending();
            if is_pending {
                break;
            }
        }
        if self.poll_give_up(cx).is_ready() || !is_pending {
            // Let other tasks of the arbiter run.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let reason = "a fault of this program ended the link; it is started again".to_owned();
        // Without effect after `leave`.
        self.context.table.set(self.address, LinkState::Connecting, Some(reason), None);
    }
}

impl Link {
    /// Ready when the connection has brought something, was made, or was lost.
    fn poll_phase(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        match &mut self.phase {
            Phase::Connecting(opening) => match ready!(opening.as_mut().poll(cx)) {
                Ok((connection, first)) => self.opened(connection, first),
                Err(NotOpen::Failed(failure)) => {
                    info!(self.log, "can't connect"; "reason" => &failure.code);
                    self.wait(failure.reason(), failure);
                }
                Err(NotOpen::Lost(why)) => self.lost(why, false),
            },
            Phase::Open(connection) => match ready!(connection.poll(cx)) {
                Ok(Came::Frame(frame)) => self.take(frame),
                Ok(Came::Room) => {}
                Err(why) => {
                    let was_of_use = connection.was_of_use(self.context.policy.backoff_max);
                    self.lost(why, was_of_use);
                }
            },
            Phase::Waiting(wait) => {
                ready!(wait.as_mut().poll(cx));
                self.connect();
            }
        }
        Poll::Ready(())
    }

    /// Ready when it has ended requests whose time is up. Looks at every request, and so not after each frame.
    fn poll_give_up(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let next_give_up = self.pending().next_give_up();
        self.alarm.set(next_give_up);
        self.alarm.poll(cx).map(|()| self.give_up())
    }

    fn connect(&mut self) {
        self.context.table.set(self.address, LinkState::Connecting, None, None);
        self.phase = Phase::Connecting(Box::pin(Connection::open(self.address, self.context.options)));
    }

    fn opened(&mut self, connection: Connection, first: Option<Frame>) {
        info!(self.log, "connected");
        let is_draining = matches!(first, Some(Frame::Draining));
        let state = if is_draining { LinkState::Draining } else { LinkState::Connected };
        self.phase = Phase::Open(Box::new(connection));
        self.context.table.set(self.address, state, None, None);
        if let Some(frame) = first {
            self.take(frame);
        }
        self.send_again();
    }

    /// Moves pending requests to other requesters that have had no part of them, because this one may not return. The others wait
    /// for the next connection.
    fn lost(&mut self, why: String, was_of_use: bool) {
        let failure = ConnectFailure::of(self.address, Errno::ECONNRESET, Some(why.clone()));
        self.wait(why.clone(), failure);
        self.take_requests();
        warn!(self.log, "connection lost"; "reason" => &why, "pending" => self.pending().len());
        let reason = format!("the connection to {} was lost: {why}", self.address);
        self.pending().give_away(|id| self.context.requests.call_moved(id, self.address, &reason));
        if was_of_use {
            self.backoff = self.context.policy.backoff();
        }
    }

    fn wait(&mut self, why: String, failure: ConnectFailure) {
        self.context.table.set(self.address, LinkState::Connecting, Some(why), Some(failure));
        let wait = self.backoff.next().unwrap_or(self.context.policy.backoff_max);
        self.phase = Phase::Waiting(Box::pin(sleep(wait)));
    }

    /// Updates the table after the goal has changed: the name does not resolve to the address any more, or does again.
    fn tell(&self) {
        let Phase::Open(connection) = &self.phase else { return };
        let (state, reason) = match self.goal {
            LinkGoal::Close => return,
            LinkGoal::Drain => (LinkState::Draining, "the name does not resolve to its address any more"),
            LinkGoal::Keep if connection.draining => (LinkState::Draining, "the requester is shutting down"),
            LinkGoal::Keep => (LinkState::Connected, "the name resolves to its address again"),
        };
        info!(self.log, "{}", reason; "pending" => self.pending().len());
        self.context.table.set(self.address, state, Some(reason.to_owned()), None);
    }

    fn is_over(&self) -> bool {
        match self.goal {
            LinkGoal::Keep => false,
            LinkGoal::Drain => {
                !matches!(self.phase, Phase::Open(_)) || (self.pending().is_empty() && self.queue.is_empty())
            }
            LinkGoal::Close => true,
        }
    }
}

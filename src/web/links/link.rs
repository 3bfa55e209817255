//! One link: keeps a connection to a requester instance, sends requests, takes frames in, and sends again what was
//! under way when a connection was lost.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use backon::ExponentialBackoff;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use nix::errno::Errno;
use slog::{Logger, debug, info, o, warn};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::wrappers::WatchStream;

use super::{Came, ConnectFailure, Connection, LinkGoal, LinkQueue, LinksContext, NotOpen, Pending};
use crate::runtime::Alarm;
use crate::runtime::supervision::{Crash, Drain, Life, Supervised, WorkError, keep_going};
use crate::web::requests::PartOutcome;
use crate::wire::{ErrorCode, Frame, LinkState, Problem};

/// Frames taken in one go before others on the arbiter get their turn.
const BATCH: usize = 64;

/// There are requests in the link's queue.
#[derive(Message)]
#[rtype("()")]
pub struct Requested;

/// Somebody asks for connections, or for none.
struct Wanted(bool);

/// A connection, and the first frame if the requester has sent one already.
type Opened = Result<(Connection, Option<Frame>), NotOpen>;

/// How far a link is.
enum Phase {
    Connecting(LocalBoxFuture<'static, Opened>),
    Open(Box<Connection>),
    /// Until the next try.
    Waiting(Pin<Box<Sleep>>),
}

/// A link. Its requests, those that wait and those under way, are its successor's when it dies.
pub struct Link {
    address: SocketAddr,
    context: Arc<LinksContext>,
    queue: Arc<LinkQueue>,
    /// Nobody else has it while the link lives.
    pending: Arc<Mutex<Pending>>,
    /// None when it has started.
    goals: Option<watch::Receiver<LinkGoal>>,
    goal: LinkGoal,
    phase: Phase,
    backoff: ExponentialBackoff,
    alarm: Alarm,
    log: Logger,
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

    /// `advance` comes after each message, and takes them.
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

impl Handler<Crash> for Link {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on request");
    }
}

impl Supervised for Link {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        for _ in 0..BATCH {
            self.take_requests();
            if self.is_over() {
                self.leave();
                return Poll::Ready(Ok(()));
            }
            let next_give_up = self.pending().next_give_up();
            self.alarm.set(next_give_up);
            if self.alarm.poll(cx).is_ready() {
                self.give_up();
                continue;
            }
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
        }
        // Others on the arbiter get their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Link {
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

    /// What was under way when the last connection was lost, or the link died.
    fn send_again(&mut self) {
        let Phase::Open(connection) = &mut self.phase else { return };
        for (attempt, request) in self.pending.lock().unwrap_or_else(PoisonError::into_inner).send_again() {
            let id = &request.request.request_id;
            debug!(self.log, "sending again"; "requestId" => id, "attempt" => attempt);
            self.context.requests.call_sent_again(id, self.address, attempt);
            connection.send(&request.line());
        }
    }

    /// Gives what was under way to other requesters, where there are some that have no part of it: this one may be gone
    /// for good. The rest waits for the next connection.
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

    /// Takes requests from the queue: to send them, as many as there is room for, or to send them by the next connection.
    fn take_requests(&mut self) {
        loop {
            let connection = match &mut self.phase {
                Phase::Open(connection) if !connection.has_room() => return,
                Phase::Open(connection) => Some(connection),
                Phase::Connecting(_) | Phase::Waiting(_) => None,
            };
            let Some(mut request) = self.queue.pop() else { return };
            if let Some(connection) = connection {
                connection.send(&request.line());
            }
            self.pending().hold(request);
        }
    }

    /// Tells whether the link takes requests, now that its address has left the name, or is back.
    fn tell(&self) {
        let Phase::Open(connection) = &self.phase else { return };
        let (state, reason) = match self.goal {
            LinkGoal::Close => return,
            LinkGoal::Drain => (LinkState::Draining, "its address is not behind the name any more"),
            LinkGoal::Keep if connection.draining => (LinkState::Draining, "the requester is shutting down"),
            LinkGoal::Keep => (LinkState::Connected, "its address is behind the name again"),
        };
        info!(self.log, "{}", reason; "pending" => self.pending().len());
        self.context.table.set(self.address, state, Some(reason.to_owned()), None);
    }

    fn take(&mut self, frame: Frame) {
        if let Phase::Open(connection) = &mut self.phase {
            connection.note(&frame);
        }
        let requests = &self.context.requests;
        let ended = match frame {
            Frame::Set { request_id, replies } => {
                requests.call_set(&request_id, self.address, replies);
                request_id
            }
            Frame::Accepted { request_id, accepted } => {
                return requests.call_accepted(&request_id, self.address, accepted);
            }
            Frame::Reply { reply, .. } => return requests.call_reply(self.address, *reply),
            Frame::Complete { request_id, .. } => {
                requests.call_ended(&request_id, self.address, PartOutcome::Complete);
                request_id
            }
            Frame::Refused { request_id: Some(request_id), error } => {
                warn!(self.log, "refused"; "requestId" => &request_id, "reason" => &error.message);
                let end = match error.code {
                    ErrorCode::Draining => PartOutcome::Gone(error.message),
                    _ => PartOutcome::Failed(error),
                };
                requests.call_ended(&request_id, self.address, end);
                request_id
            }
            Frame::Refused { request_id: None, error } => {
                return warn!(self.log, "the requester says"; "reason" => &error.message);
            }
            Frame::Draining => {
                info!(self.log, "the requester is shutting down");
                return self.context.table.set(self.address, LinkState::Draining, None, None);
            }
        };
        self.pending().end(&ended);
    }

    /// Ends the requests whose time is up.
    fn give_up(&mut self) {
        let (code, message) = match self.phase {
            Phase::Open(_) => (ErrorCode::Timeout, format!("{} did not complete the request in time", self.address)),
            Phase::Connecting(_) | Phase::Waiting(_) => {
                (ErrorCode::Lost, format!("the connection to {} was lost, and did not come back in time", self.address))
            }
        };
        let problem = Problem { code, message };
        let expired = self.pending().give_up(Instant::now());
        for id in expired {
            self.context.requests.call_ended(&id, self.address, PartOutcome::Failed(problem.clone()));
        }
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

    /// Takes leave of the table, and ends what is under way.
    fn leave(&mut self) {
        let reason =
            format!("the link to {} has ended: it was disconnected, or its address left the name", self.address);
        self.context.table.remove(self.address);
        let waiting = self.queue.close().into_iter().map(|request| request.request.request_id);
        let all: Vec<_> = waiting.chain(self.pending().take_all()).collect();
        for id in all {
            self.context.requests.call_ended(&id, self.address, PartOutcome::Gone(reason.clone()));
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

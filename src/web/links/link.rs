//! One link: keeps a connection to a requester instance, sends requests, takes frames in, and sends again what was
//! under way when a connection was lost.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use slog::{Logger, debug, info, o, warn};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::FramedRead;

use super::{ConnectFailure, LinkHandle, Links, QueuedRequest};
use crate::runtime::supervision::{RestartPolicy, Slot, WorkError};
use crate::runtime::tcp::{JsonStream, StreamError, keep_alive};
use crate::web::requests::{PartOutcome, Requests};
use crate::wire::{ErrorCode, Frame, LinkState, Problem, WorkerState};

/// A requester without a place for this connection says so, or hangs up, within this time. Else all is silent.
const PROBATION: Duration = Duration::from_millis(50);

/// Bytes that may wait to be written; then requests wait for their turn.
const UNSENT: usize = 64 << 10;

/// What all links share.
#[derive(Clone)]
pub struct LinkContext {
    pub links: Arc<Links>,
    pub requests: Arc<Requests>,
    pub addresses: watch::Receiver<BTreeSet<SocketAddr>>,
    pub policy: RestartPolicy,
    pub connect_timeout: Duration,
    pub heartbeat: Duration,
    pub heartbeat_timeout: Duration,
    /// The largest frame taken from a requester, in bytes.
    pub largest_frame: usize,
}

/// The desired state of a link. When its sender is dropped, the link closes immediately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkGoal {
    Keep,
    /// Its address is not behind the name any more. A swarm takes a task out of its DNS before it tells it to stop: what
    /// was sent to it may well be answered, but nothing more is sent.
    Drain,
}

/// Keeps a link to every address of the requester tier while links are wanted, until it is drained.
pub async fn run_links(slot: Slot, context: LinkContext) -> Result<(), WorkError> {
    let (mut addresses, mut wanted) = (context.addresses.clone(), context.links.wanted());
    let mut links: BTreeMap<SocketAddr, watch::Sender<LinkGoal>> = BTreeMap::new();
    slot.status.set(WorkerState::Idle, None);
    loop {
        let known = addresses.borrow_and_update().clone();
        if *wanted.borrow_and_update() {
            links.retain(|_, goal| !goal.is_closed());
            for (address, goal) in &links {
                let now = if known.contains(address) { LinkGoal::Keep } else { LinkGoal::Drain };
                goal.send_if_modified(|goal| std::mem::replace(goal, now) != now);
            }
            for address in known {
                links.entry(address).or_insert_with(|| {
                    let (goal, goals) = watch::channel(LinkGoal::Keep);
                    let log = slot.log.new(o!("requester" => address));
                    actix_rt::spawn(Link::run(address, context.clone(), goals, log));
                    goal
                });
            }
        } else {
            links.clear();
        }
        tokio::select! {
            changed = addresses.changed() => if changed.is_err() {
                return Err(WorkError::Other("the discovery of requesters has ended".to_owned()));
            },
            _ = wanted.changed() => {}
            () = slot.drain.cancelled() => return Ok(()),
        }
    }
}

struct Link {
    address: SocketAddr,
    context: LinkContext,
    handle: LinkHandle,
    /// Sent, or to be sent, and not ended; with the sending's attempt.
    pending: HashMap<String, QueuedRequest>,
    /// The requester said that it is shutting down, on this connection.
    draining: bool,
    /// Something came by this connection that only a requester at work says.
    healthy: bool,
    /// Why the requester is about to close this connection, by its own words.
    farewell: Option<String>,
    log: Logger,
}

/// How a session ended.
enum End {
    /// The connection is lost, for this reason.
    Lost(String),
    /// The link is not wanted any more, or was to end and has nothing under way.
    Closed,
}

impl Link {
    async fn run(address: SocketAddr, context: LinkContext, mut goals: watch::Receiver<LinkGoal>, log: Logger) {
        let (sender, mut sendings) = mpsc::unbounded_channel();
        let handle = LinkHandle::new(address, sender);
        context.links.add(handle.clone());
        let mut link = Self {
            address,
            context,
            handle,
            pending: HashMap::new(),
            draining: false,
            healthy: false,
            farewell: None,
            log,
        };
        let mut wanted = link.context.links.wanted();
        let mut backoff = link.context.policy.backoff();
        loop {
            link.context.links.set(address, LinkState::Connecting, None, None);
            let connected = tokio::select! {
                connected = link.connect() => connected,
                () = removed(&mut goals) => break,
            };
            match connected {
                Ok(stream) => {
                    let since = Instant::now();
                    match link.session(stream, &mut sendings, &mut goals).await {
                        End::Closed => break,
                        End::Lost(why) => {
                            warn!(link.log, "connection lost"; "reason" => &why, "pending" => link.pending.len());
                            link.reassign(&mut sendings, &why);
                            // That a connection could be made is no sign of health: a full requester accepts and closes.
                            if link.healthy || since.elapsed() >= link.context.policy.backoff_max {
                                backoff = link.context.policy.backoff();
                            }
                            let failure = link.failure(nix::errno::Errno::ECONNRESET, Some(why.clone()));
                            link.context.links.set(address, LinkState::Connecting, Some(why), Some(failure));
                        }
                    }
                }
                Err(failure) => {
                    let why = failure.reason();
                    info!(link.log, "can't connect"; "reason" => &failure.code);
                    link.context.links.set(address, LinkState::Connecting, Some(why), Some(failure));
                }
            }
            let wait = backoff.next().unwrap_or(link.context.policy.backoff_max);
            tokio::select! {
                closed = link.idle_until(Instant::now() + wait, &mut sendings, &mut goals) => if closed {
                    break;
                },
                // Somebody asks for a connection now.
                _ = wanted.changed() => {}
            }
        }
        let reason = format!("the link to {address} has ended: it was disconnected, or its address left the name");
        link.context.links.remove(address);
        sendings.close();
        while let Ok(sending) = sendings.try_recv() {
            link.pending.insert(sending.request.request_id.clone(), sending);
        }
        for (id, _) in std::mem::take(&mut link.pending) {
            link.context.requests.call_ended(&id, address, PartOutcome::Gone(reason.clone()));
        }
    }

    async fn connect(&self) -> Result<TcpStream, ConnectFailure> {
        let connecting = timeout(self.context.connect_timeout, TcpStream::connect(self.address)).await;
        let stream = connecting.unwrap_or_else(|_| Err(io::Error::from_raw_os_error(nix::libc::ETIMEDOUT)));
        let prepared = stream.and_then(|stream| {
            keep_alive(&stream, self.context.heartbeat, self.context.heartbeat_timeout)?;
            Ok(stream)
        });
        prepared
            .map_err(|error| self.failure(nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or_default()), None))
    }

    fn failure(&self, errno: nix::errno::Errno, message: Option<String>) -> ConnectFailure {
        let (address, port) = (self.address.ip().to_string(), self.address.port());
        let (errno, code) = (-(errno as i32), format!("{errno:?}"));
        ConnectFailure { errno, code, syscall: "connect", address, port, message }
    }

    /// Waits before the next try, ending what passes its deadline; true when the link is not wanted any more.
    async fn idle_until(
        &mut self,
        until: Instant,
        sendings: &mut mpsc::UnboundedReceiver<QueuedRequest>,
        goals: &mut watch::Receiver<LinkGoal>,
    ) -> bool {
        loop {
            let wake = self.next_give_up().map_or(until, |at| at.min(until));
            tokio::select! {
                () = removed(goals) => return true,
                Some(sending) = sendings.recv() => self.hold(sending),
                () = sleep_until(wake) => self.give_up(|address| {
                    let message = format!("the connection to {address} was lost, and did not come back in time");
                    Problem { code: ErrorCode::Lost, message }
                }),
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    async fn session(
        &mut self,
        stream: TcpStream,
        sendings: &mut mpsc::UnboundedReceiver<QueuedRequest>,
        goals: &mut watch::Receiver<LinkGoal>,
    ) -> End {
        let (reader, mut writer) = stream.into_split();
        let mut frames = FramedRead::new(reader, JsonStream::new(self.context.largest_frame));
        (self.draining, self.healthy, self.farewell) = (false, false, None);
        let mut first = timeout(PROBATION, next_frame(&mut frames)).await;
        if first.is_err() && !frames.read_buffer().is_empty() {
            // It has begun to say something.
            first = timeout(self.context.connect_timeout, next_frame(&mut frames)).await;
        }
        if let Ok(first) = first {
            match first {
                Ok(frame) => self.take(frame),
                Err(reason) => return End::Lost(reason),
            }
            if let Some(farewell) = self.farewell.take() {
                return End::Lost(farewell);
            }
        }
        info!(self.log, "connected");
        let state = if self.draining { LinkState::Draining } else { LinkState::Connected };
        self.context.links.set(self.address, state, None, None);
        // Written beside reading: a requester that reads no more until its replies are read would wait for ever.
        let mut unsent = self.send_again();
        loop {
            let give_up = self.next_give_up();
            let ended = *goals.borrow() == LinkGoal::Drain;
            if ended && self.pending.is_empty() && sendings.is_empty() {
                return End::Closed;
            }
            tokio::select! {
                changed = goals.changed() => match changed {
                    Ok(()) => self.tell(*goals.borrow_and_update()),
                    Err(_) => return End::Closed,
                },
                Some(mut sending) = sendings.recv(), if unsent.len() < UNSENT => {
                    unsent.extend_from_slice(sending.line().as_bytes());
                    self.hold(sending);
                }
                written = writer.write_buf(&mut unsent), if !unsent.is_empty() => if let Err(error) = written {
                    return End::Lost(error.to_string());
                },
                end = next_frame(&mut frames) => match end {
                    Ok(frame) => self.take(frame),
                    Err(reason) => return End::Lost(self.farewell.take().unwrap_or(reason)),
                },
                () = sleep_until(give_up.unwrap_or_else(Instant::now)), if give_up.is_some() => {
                    self.give_up(|address| {
                        let message = format!("{address} did not complete the request in time");
                        Problem { code: ErrorCode::Timeout, message }
                    });
                }
            }
        }
    }

    /// Gives what was under way to other requesters, where there are some that have no part of it: this one may be gone
    /// for good. The rest waits for the next connection.
    fn reassign(&mut self, sendings: &mut mpsc::UnboundedReceiver<QueuedRequest>, reason: &str) {
        while let Ok(sending) = sendings.try_recv() {
            self.hold(sending);
        }
        let (requests, address) = (&self.context.requests, self.address);
        let reason = format!("the connection to {address} was lost: {reason}");
        self.pending.retain(|id, _| !requests.call_moved(id, address, &reason));
        self.handle.set_pending(self.pending.len());
    }

    /// What was under way when the last connection was lost, to be sent again.
    fn send_again(&mut self) -> BytesMut {
        let mut lines = BytesMut::new();
        for (id, sending) in &mut self.pending {
            let attempt = sending.request.attempt.unwrap_or(1) + 1;
            sending.request.attempt = Some(attempt);
            debug!(self.log, "sending again"; "requestId" => id, "attempt" => attempt);
            self.context.requests.call_sent_again(id, self.address, attempt);
            lines.extend_from_slice(sending.line().as_bytes());
        }
        lines
    }

    /// Tells whether the link takes requests, now that its address has left the name, or is back.
    fn tell(&self, goal: LinkGoal) {
        let (state, reason) = match goal {
            LinkGoal::Drain => (LinkState::Draining, "its address is not behind the name any more"),
            LinkGoal::Keep if self.draining => (LinkState::Draining, "the requester is shutting down"),
            LinkGoal::Keep => (LinkState::Connected, "its address is behind the name again"),
        };
        info!(self.log, "{}", reason; "pending" => self.pending.len());
        self.context.links.set(self.address, state, Some(reason.to_owned()), None);
    }

    fn take(&mut self, frame: Frame) {
        self.healthy |= !matches!(frame, Frame::Refused { request_id: None, .. });
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
                warn!(self.log, "the requester says"; "reason" => &error.message);
                if error.code == ErrorCode::Overloaded {
                    self.farewell = Some(format!("the requester says: {}", error.message));
                }
                return;
            }
            Frame::Draining => {
                info!(self.log, "the requester is shutting down");
                self.draining = true;
                return self.context.links.set(self.address, LinkState::Draining, None, None);
            }
        };
        self.pending.remove(&ended);
        self.handle.set_pending(self.pending.len());
    }

    fn hold(&mut self, sending: QueuedRequest) {
        self.pending.insert(sending.request.request_id.clone(), sending);
        self.handle.set_pending(self.pending.len());
    }

    fn next_give_up(&self) -> Option<Instant> {
        self.pending.values().map(|sending| sending.give_up_at()).min()
    }

    /// Ends the requests whose time is up.
    fn give_up(&mut self, problem: impl Fn(SocketAddr) -> Problem) {
        let now = Instant::now();
        let address = self.address;
        for (id, _) in self.pending.extract_if(|_, sending| sending.give_up_at() <= now) {
            self.context.requests.call_ended(&id, address, PartOutcome::Failed(problem(address)));
        }
        self.handle.set_pending(self.pending.len());
    }
}

/// Returns when the link shall not be made or mended any more.
async fn removed(goals: &mut watch::Receiver<LinkGoal>) {
    // An error says that the goal was dropped.
    let _ = goals.wait_for(|goal| *goal != LinkGoal::Keep).await;
}

async fn next_frame(frames: &mut FramedRead<OwnedReadHalf, JsonStream>) -> Result<Frame, String> {
    match frames.next().await {
        Some(Ok(object)) => {
            Frame::parse(&object).map_err(|error| format!("the requester sent what is no frame: {error}"))
        }
        Some(Err(StreamError::NotAnObject(byte))) => {
            Err(format!("what listens there is no requester: it sent {byte:?} where a JSON object begins"))
        }
        Some(Err(StreamError::TooLarge(bytes))) => Err(format!(
            "the requester sent a frame larger than {bytes} bytes (8 times requester.max_message_bytes, at least 8 MiB)"
        )),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the requester closed the connection".to_owned()),
    }
}

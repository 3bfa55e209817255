//! Requests on their way through a requester: each is split into messages, and its replies are collected.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slog::{Logger, info, warn};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{Board, Lanes, Ticket};
use crate::model::{Accepted, Complete, ErrorCode, Frame, Problem, Promise, Reply, Request};

/// Ended streams that can still be sent again to a web tier that lost its connection.
const KEPT: usize = 256;

/// Where the frames of a connection go; closed when the connection is.
pub type Sink = mpsc::Sender<Frame>;

/// The requests of one requester instance.
pub struct Calls {
    board: Arc<Board>,
    lanes: Arc<Lanes>,
    /// For requests that have none of their own.
    timeout: Duration,
    streams: Mutex<Streams>,
    /// Calls that are not delivered yet.
    open: watch::Sender<usize>,
}

/// Streamed requests by id, so that one that is sent again goes on instead of being done twice.
#[derive(Default)]
struct Streams {
    by_id: HashMap<String, Arc<Stream>>,
    ended: VecDeque<String>,
}

/// What was said on a streamed request so far, and who listens.
#[derive(Default)]
struct Stream {
    state: Mutex<StreamState>,
}

#[derive(Default)]
struct StreamState {
    said: Vec<Frame>,
    sink: Option<Sink>,
}

/// Counts a call as open while it lives.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Calls {
    pub fn new(board: Arc<Board>, lanes: Arc<Lanes>, timeout: Duration) -> Self {
        Self { board, lanes, timeout, streams: Mutex::default(), open: watch::Sender::new(0) }
    }

    /// Returns when every call has been delivered, or given up.
    pub async fn all_delivered(&self) {
        // The sender is this struct's own, so that waiting cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Carries a request out and sends its frames to `sink`, until its last message has an outcome.
    pub async fn carry_out(&self, request: Request, sink: Sink, log: &Logger) {
        let _open = Open::new(&self.open);
        let streaming = request.stream == Some(true);
        if self.board.is_draining() {
            return refuse(&request, &sink, ErrorCode::Draining, "this requester is shutting down").await;
        }
        if !streaming {
            return self.carry_out_whole(request, sink, log).await;
        }
        match self.attach(&request, &sink) {
            Attached::New(stream) => self.carry_out_stream(request, &stream, log).await,
            Attached::Again(said) => {
                info!(log, "request goes on by a new connection"; "requestId" => &request.request_id);
                for frame in said {
                    if sink.send(frame).await.is_err() {
                        return;
                    }
                }
            }
            Attached::Twice => {
                let reason = "a request with this requestId is on its way already: give each request its own";
                refuse(&request, &sink, ErrorCode::BadRequest, reason).await;
            }
        }
    }

    /// The article's way: the whole set at once.
    async fn carry_out_whole(&self, request: Request, sink: Sink, log: &Logger) {
        let (tickets, mut replies) = self.split(&request, log);
        if tickets.is_empty() {
            return refuse(&request, &sink, ErrorCode::NotConnected, NO_WORKER).await;
        }
        let mut set = Vec::with_capacity(tickets.len());
        let plain = !request.is_extended();
        collect(&tickets, &mut replies, async |reply| set.push(if plain { reply.plain() } else { reply })).await;
        if sink.send(Frame::Set { request_id: request.request_id.clone(), replies: set }).await.is_err() {
            warn!(log, "nobody is left to take the replies"; "requestId" => request.request_id);
        }
    }

    /// Each reply as it arrives.
    async fn carry_out_stream(&self, request: Request, stream: &Arc<Stream>, log: &Logger) {
        let request_id = request.request_id.clone();
        let (tickets, mut replies) = self.split(&request, log);
        let promise = |ticket: &Arc<Ticket>| Promise {
            message_id: ticket.message.message_id.clone(),
            requester_id: ticket.message.requester_id.clone(),
        };
        let messages = tickets.iter().map(promise).collect();
        if tickets.is_empty() {
            let error = Problem { code: ErrorCode::NotConnected, message: NO_WORKER.to_owned() };
            stream.say(Frame::Refused { request_id: Some(request_id.clone()), error }).await;
        } else {
            let accepted = Accepted { instance: self.board.instance.id.clone(), messages };
            stream.say(Frame::Accepted { request_id: request_id.clone(), accepted }).await;
            collect(&tickets, &mut replies, async |reply| {
                stream.say(Frame::Reply { request_id: request_id.clone(), reply: Box::new(reply) }).await;
            })
            .await;
            let complete = Complete { replies: tickets.len() };
            stream.say(Frame::Complete { request_id: request_id.clone(), complete }).await;
        }
        let mut streams = self.streams();
        streams.ended.push_back(request_id);
        if streams.ended.len() > KEPT
            && let Some(oldest) = streams.ended.pop_front()
        {
            streams.by_id.remove(&oldest);
        }
    }

    /// Makes the request's messages and deals them out to the workers.
    fn split(&self, request: &Request, log: &Logger) -> (Vec<Arc<Ticket>>, mpsc::UnboundedReceiver<Reply>) {
        let (sender, replies) = mpsc::unbounded_channel();
        let now = Instant::now();
        let deadline = now + request.timeout_ms.map_or(self.timeout, Duration::from_millis);
        let lanes = self.lanes.choose(request.fan_out.unwrap_or_default());
        let make = |requester_id: &str| {
            let message = request.message(Uuid::new_v4().to_string(), requester_id.to_owned());
            Ticket::new(message, now, deadline, sender.clone(), self.board.clone())
        };
        let tickets: Vec<_> = lanes.iter().map(|lane| make(&lane.requester_id)).collect();
        info!(log, "request"; "requestId" => &request.request_id, "messages" => tickets.len(),
            "attempt" => request.attempt);
        lanes.iter().zip(&tickets).for_each(|(lane, ticket)| self.lanes.push(lane, ticket.clone()));
        (tickets, replies)
    }

    fn attach(&self, request: &Request, sink: &Sink) -> Attached {
        let mut streams = self.streams();
        let Some(stream) = streams.by_id.get(&request.request_id) else {
            let stream = Arc::new(Stream::default());
            stream.lock().sink = Some(sink.clone());
            streams.by_id.insert(request.request_id.clone(), stream.clone());
            return Attached::New(stream);
        };
        if request.attempt.unwrap_or(1) <= 1 {
            return Attached::Twice;
        }
        let mut state = stream.lock();
        state.sink = Some(sink.clone());
        Attached::Again(state.said.clone())
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NO_WORKER: &str = "the requester has no workers (requester.workers)";

enum Attached {
    New(Arc<Stream>),
    /// It was here before: what was said on it so far.
    Again(Vec<Frame>),
    /// Another request has this id.
    Twice,
}

impl Stream {
    /// Sends a frame to whoever listens, and keeps it for whoever comes back.
    async fn say(&self, frame: Frame) {
        let sink = {
            let mut state = self.lock();
            state.said.push(frame.clone());
            state.sink.clone()
        };
        if let Some(sink) = sink
            && sink.send(frame).await.is_err()
        {
            let mut state = self.lock();
            if state.sink.as_ref().is_some_and(|current| current.same_channel(&sink)) {
                state.sink = None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, StreamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the replies to all messages, as they come; at the deadline, those that are missing time out.
async fn collect(
    tickets: &[Arc<Ticket>],
    replies: &mut mpsc::UnboundedReceiver<Reply>,
    mut take: impl AsyncFnMut(Reply),
) {
    let deadline = tickets.iter().map(|ticket| ticket.deadline).max().unwrap_or_else(Instant::now);
    let mut missing = tickets.len();
    let mut expired = false;
    while missing > 0 {
        tokio::select! {
            Some(reply) = replies.recv() => {
                missing -= 1;
                take(reply).await;
            }
            () = sleep_until(deadline), if !expired => {
                expired = true;
                tickets.iter().for_each(|ticket| {
            ticket.settle(ticket.message.timed_out(ticket.waited_in_vain()));
        });
            }
        }
    }
}

/// Tells the sender of a request that it is not carried out, in the words its program reads.
async fn refuse(request: &Request, sink: &Sink, code: ErrorCode, reason: &str) {
    let request_id = request.request_id.clone();
    let frame = match request.is_extended() {
        true => Frame::Refused { request_id: Some(request_id), error: Problem { code, message: reason.to_owned() } },
        false => {
            let message = request.message(Uuid::new_v4().to_string(), String::new());
            let reply = message.error(crate::model::NO_RESPONDER, code, reason).plain();
            Frame::Set { request_id, replies: vec![reply] }
        }
    };
    // The connection is gone, and with it whoever asked.
    let _ = sink.send(frame).await;
}

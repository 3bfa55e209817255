//! Requests on their way through a requester: each is split into messages, and its replies are collected.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join;
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

/// What was said on a streamed request so far, for whoever listens from whenever on.
#[derive(Default)]
struct Stream {
    said: Mutex<Vec<Frame>>,
    /// How many frames that are.
    count: watch::Sender<usize>,
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
        match self.attach(&request) {
            Attached::New(stream) => {
                join(self.carry_out_stream(request, &stream, log), stream.tell(&sink)).await;
            }
            Attached::Again(stream) => {
                info!(log, "request goes on by a new connection"; "requestId" => &request.request_id);
                stream.tell(&sink).await;
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
    async fn carry_out_stream(&self, request: Request, stream: &Stream, log: &Logger) {
        let request_id = request.request_id.clone();
        let (tickets, mut replies) = self.split(&request, log);
        let promise = |ticket: &Arc<Ticket>| Promise {
            message_id: ticket.message.message_id.clone(),
            requester_id: ticket.message.requester_id.clone(),
        };
        let messages = tickets.iter().map(promise).collect();
        if tickets.is_empty() {
            let error = Problem { code: ErrorCode::NotConnected, message: NO_WORKER.to_owned() };
            stream.say(Frame::Refused { request_id: Some(request_id.clone()), error });
        } else {
            let accepted = Accepted { instance: self.board.instance.id.clone(), messages };
            stream.say(Frame::Accepted { request_id: request_id.clone(), accepted });
            collect(&tickets, &mut replies, async |reply| {
                stream.say(Frame::Reply { request_id: request_id.clone(), reply: Box::new(reply) });
            })
            .await;
            let complete = Complete { replies: tickets.len() };
            stream.say(Frame::Complete { request_id: request_id.clone(), complete });
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

    fn attach(&self, request: &Request) -> Attached {
        let mut streams = self.streams();
        let Some(stream) = streams.by_id.get(&request.request_id) else {
            let stream = Arc::new(Stream::default());
            streams.by_id.insert(request.request_id.clone(), stream.clone());
            return Attached::New(stream);
        };
        match request.attempt {
            Some(2..) => Attached::Again(stream.clone()),
            _ => Attached::Twice,
        }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const NO_WORKER: &str = "the requester has no workers (requester.workers)";

enum Attached {
    New(Arc<Stream>),
    /// It was here before.
    Again(Arc<Stream>),
    /// Another request has this id.
    Twice,
}

impl Stream {
    fn say(&self, frame: Frame) {
        self.lock().push(frame);
        self.count.send_modify(|count| *count += 1);
    }

    /// Sends all that is said, in its order, until the last word, or until nobody listens.
    async fn tell(&self, sink: &Sink) {
        let mut count = self.count.subscribe();
        for next in 0.. {
            // The sender is this struct's own, so that waiting cannot fail.
            let _ = count.wait_for(|count| *count > next).await;
            let Some(frame) = self.lock().get(next).cloned() else { return };
            let is_last = matches!(frame, Frame::Complete { .. } | Frame::Refused { .. });
            if sink.send(frame).await.is_err() || is_last {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Frame>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::board;

    fn request(attempt: u32) -> Request {
        Request { request_id: "a".into(), stream: Some(true), attempt: Some(attempt), ..Request::default() }
    }

    #[actix_rt::test]
    async fn a_request_that_goes_on_by_a_new_connection_is_told_whole_and_in_order() {
        let (board, size) = (board(), watch::Sender::new(3));
        let lanes = Arc::new(Lanes::new(size.subscribe(), 10));
        let calls = Arc::new(Calls::new(board, lanes.clone(), Duration::from_secs(60)));
        let log = Logger::root(slog::Discard, slog::o!());
        let carry_out = |attempt, sink| {
            let (calls, log) = (calls.clone(), log.clone());
            actix_rt::spawn(async move { calls.carry_out(request(attempt), sink, &log).await })
        };
        let answer = |index: usize| {
            let ticket = lanes.lane(index).pop().unwrap();
            ticket.settle(ticket.message.reply(7, index.to_string()));
        };
        let (sink, mut frames) = mpsc::channel(10);
        let first = carry_out(1, sink);
        assert!(matches!(frames.recv().await, Some(Frame::Accepted { .. })));
        answer(0);
        answer(1);
        assert!(matches!(frames.recv().await, Some(Frame::Reply { .. })));
        assert!(matches!(frames.recv().await, Some(Frame::Reply { .. })));
        drop(frames);
        // So narrow that what was said before still waits for its turn when more is said.
        let (sink, mut frames) = mpsc::channel(1);
        let second = carry_out(2, sink);
        tokio::task::yield_now().await;
        answer(2);
        let mut told = vec![];
        while let Some(frame) = frames.recv().await {
            told.push(frame);
        }
        first.await.unwrap();
        second.await.unwrap();
        assert!(matches!((&told[0], &told[4]), (Frame::Accepted { .. }, Frame::Complete { .. })), "{told:?}");
        let bodies = told[1..4].iter().map(|frame| match frame {
            Frame::Reply { reply, .. } => &reply.body[..],
            other => panic!("{other:?}"),
        });
        assert_eq!(bodies.collect::<Vec<_>>(), ["0", "1", "2"]);
        calls.all_delivered().await;
    }
}

//! Handles requests: splits each into messages for the workers, and collects the replies.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;
use slog::{Logger, debug, warn};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{
    Attached, Completed, Line, Memory, PendingMessage, ReplayLog, ReplyTo, Reservation, WorkerQueue, WorkerQueues,
};
use crate::runtime::{InstanceStatus, LogLimit};
use crate::wire::{
    Accepted, Complete, ErrorCode, Frame, MessageRef, NO_RESPONDER, Problem, Request, reply_line, set_line,
};

/// Sender of a connection's outbox; closed when the connection closes.
pub type Sink = mpsc::Sender<Arc<Line>>;

/// The requests of one requester instance.
pub struct RequestCoordinator {
    status: Arc<InstanceStatus>,
    worker_queues: Arc<WorkerQueues>,
    memory: Arc<Memory>,
    /// For requests without a `timeoutMs`.
    timeout: Duration,
    /// Number of requests that are under way.
    open: watch::Sender<usize>,
    warnings: LogLimit,
}

/// Counts a request as open until it is dropped.
struct OpenRequest(watch::Sender<usize>);

impl OpenRequest {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl RequestCoordinator {
    pub fn new(
        status: Arc<InstanceStatus>,
        worker_queues: Arc<WorkerQueues>,
        memory: Arc<Memory>,
        timeout: Duration,
    ) -> Self {
        Self { status, worker_queues, memory, timeout, open: watch::Sender::new(0), warnings: LogLimit::default() }
    }

    /// Returns when no request is under way: each has been delivered, or its connection is closed.
    pub async fn all_delivered(&self) {
        // Cannot fail: this struct owns the sender.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Handles a request in a task of its own, which outlives the connection: the web tier may resume the request on a new
    /// connection. A panic ends the request with an error.
    pub fn start(self: Arc<Self>, request: Request, permit: OwnedSemaphorePermit, sink: Sink, log: Logger) {
        actix_rt::spawn(async move {
            let _permit = permit;
            let sent =
                Request { request_id: request.request_id.clone(), attempt: request.attempt, ..Request::default() };
            if AssertUnwindSafe(self.handle(request, sink.clone(), &log)).catch_unwind().await.is_err() {
                self.memory.forget(&sent.request_id);
                refuse(&sent, &sink, ErrorCode::Internal, "the requester panicked on this request").await;
            }
        });
    }

    /// Handles a request and sends its frames to `sink`, until its last message has an outcome.
    pub async fn handle(&self, request: Request, sink: Sink, log: &Logger) {
        let _open = OpenRequest::new(&self.open);
        if self.status.is_draining() {
            return refuse(&request, &sink, ErrorCode::Draining, "this requester is shutting down").await;
        }
        let worker_queues = self.worker_queues.choose(request.fan_out.unwrap_or_default());
        if worker_queues.is_empty() {
            return refuse(&request, &sink, ErrorCode::NotConnected, NO_WORKER).await;
        }
        // Each message has a copy of the request's fields.
        let Some(_reservation) = self.memory.reserve_request(request.bytes(), 1 + worker_queues.len()) else {
            let reason = format!(
                "overloaded: no room for this request in the {} bytes for requests and replies of this requester \
                 (requester.max_memory_bytes)",
                self.memory.limit
            );
            return refuse(&request, &sink, ErrorCode::Overloaded, &reason).await;
        };
        if request.stream != Some(true) {
            return self.handle_batch(request, &worker_queues, sink, log).await;
        }
        match self.memory.attach(&request) {
            Attached::New(stream) => {
                join(self.handle_stream(request, &worker_queues, &stream, log), stream.replay_to(&sink)).await;
            }
            Attached::Resumed(stream) => {
                debug!(log, "resuming a request on a new connection"; "requestId" => &request.request_id);
                stream.replay_to(&sink).await;
            }
            Attached::Conflict => {
                let reason = "a request with this requestId is already known: give each request its own requestId, and \
                              repeat the attemptKey of the first attempt in further ones";
                refuse(&request, &sink, ErrorCode::BadRequest, reason).await;
            }
        }
    }

    /// Sends all replies as one set, as the article's program does.
    async fn handle_batch(&self, request: Request, worker_queues: &[Arc<WorkerQueue>], sink: Sink, log: &Logger) {
        let (pending_messages, mut replies) = self.split(&request, worker_queues, log);
        let (mut set, mut reservation) = (Vec::with_capacity(pending_messages.len()), None);
        let all = collect(&pending_messages, &mut replies, |reply: Completed| {
            set.push(reply.json);
            match (&mut reservation, reply.reservation) {
                (Some(all), Some(more)) => Reservation::merge(all, more),
                (all, more) => *all = all.take().or(more),
            }
        });
        tokio::select! {
            () = all => {}
            () = cancel_when_closed(&sink, &pending_messages) => {}
        }
        if sink.send(Line::new(set_line(&request.request_id, &set), reservation)).await.is_err()
            && let Some(times) = self.warnings.allow("undelivered")
        {
            warn!(log, "dropped replies: the connection of their request is closed"; "times" => times);
        }
    }

    /// Appends each reply to the stream as it arrives.
    async fn handle_stream(
        &self,
        request: Request,
        worker_queues: &[Arc<WorkerQueue>],
        stream: &ReplayLog,
        log: &Logger,
    ) {
        let request_id = request.request_id.clone();
        let (pending_messages, mut replies) = self.split(&request, worker_queues, log);
        let message_ref = |pending: &Arc<PendingMessage>| MessageRef {
            message_id: pending.message.message_id.clone(),
            requester_id: pending.message.requester_id.clone(),
        };
        let messages = pending_messages.iter().map(message_ref).collect();
        let accepted = Accepted { instance: self.status.instance.id.clone(), messages };
        stream.append(Frame::Accepted { request_id: request_id.clone(), accepted }.into(), false);
        collect(&pending_messages, &mut replies, |reply: Completed| {
            stream.append(Line::new(reply_line(&request_id, &reply.json), reply.reservation), false);
        })
        .await;
        let complete = Complete { replies: pending_messages.len() };
        stream.append(Frame::Complete { request_id: request_id.clone(), complete }.into(), true);
        self.memory.ended(request_id);
    }

    /// Makes the request's messages and puts each into its worker's queue.
    fn split(
        &self,
        request: &Request,
        worker_queues: &[Arc<WorkerQueue>],
        log: &Logger,
    ) -> (Vec<Arc<PendingMessage>>, mpsc::UnboundedReceiver<Completed>) {
        let (sender, replies) = mpsc::unbounded_channel();
        let reply_to = ReplyTo { sender, memory: self.memory.clone(), article_format: !request.is_extended() };
        let now = Instant::now();
        let deadline = now + request.timeout_ms.map_or(self.timeout, Duration::from_millis);
        let make = |requester_id: &str| {
            let message = request.message(Uuid::new_v4().to_string(), requester_id.to_owned());
            PendingMessage::new(message, now, deadline, reply_to.clone(), self.status.clone())
        };
        let pending_messages: Vec<_> =
            worker_queues.iter().map(|worker_queue| make(&worker_queue.requester_id)).collect();
        debug!(log, "request"; "requestId" => &request.request_id, "messages" => pending_messages.len(),
            "attempt" => request.attempt);
        worker_queues
            .iter()
            .zip(&pending_messages)
            .for_each(|(worker_queue, pending)| self.worker_queues.push(worker_queue, pending.clone()));
        (pending_messages, replies)
    }
}

const NO_WORKER: &str = "the requester has no workers (requester.workers)";

/// Passes each reply to `take` until every message has one; at the deadline, the messages without a reply time out.
async fn collect(
    pending_messages: &[Arc<PendingMessage>],
    replies: &mut mpsc::UnboundedReceiver<Completed>,
    mut take: impl FnMut(Completed),
) {
    let deadline = pending_messages.iter().map(|pending| pending.deadline).max().unwrap_or_else(Instant::now);
    let mut missing = pending_messages.len();
    let mut expired = false;
    while missing > 0 {
        tokio::select! {
            Some(reply) = replies.recv() => {
                missing -= 1;
                take(reply);
            }
            () = sleep_until(deadline), if !expired => {
                expired = true;
                pending_messages.iter().for_each(|pending| {
                    pending.complete(pending.message.timed_out(pending.timeout_detail()));
                });
            }
        }
    }
}

/// When the peer closes the connection, ends the messages that are not sent yet: a whole set cannot be resumed on a new
/// connection. Messages in flight end as usual. Never returns.
async fn cancel_when_closed(sink: &Sink, pending_messages: &[Arc<PendingMessage>]) {
    sink.closed().await;
    for pending in pending_messages.iter().filter(|pending| pending.attempts() == 0) {
        let reason = "the web tier closed the connection of this request";
        pending.complete(pending.message.error(NO_RESPONDER, ErrorCode::Lost, reason));
    }
    std::future::pending().await
}

/// Sends the reason for which a request is refused, in the format that the sender's program reads.
async fn refuse(request: &Request, sink: &Sink, code: ErrorCode, reason: &str) {
    let request_id = request.request_id.clone();
    let frame = match request.is_extended() {
        true => Frame::Refused { request_id: Some(request_id), error: Problem { code, message: reason.to_owned() } },
        false => {
            let message = request.message(Uuid::new_v4().to_string(), String::new());
            let reply = message.error(NO_RESPONDER, code, reason).into_article_format();
            Frame::Set { request_id, replies: vec![reply] }
        }
    };
    // An error means that the connection is closed, so that nobody waits for the frame.
    let _ = sink.send(frame.into()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::status;

    fn request(attempt: u32) -> Request {
        Request {
            request_id: "a".into(),
            stream: Some(true),
            attempt: Some(attempt),
            attempt_key: Some("k".into()),
            ..Request::default()
        }
    }

    #[actix_rt::test]
    async fn a_resumed_request_sends_all_its_frames_in_order() {
        let (status, size) = (status(), watch::Sender::new(3));
        let worker_queues = Arc::new(WorkerQueues::new(size.subscribe(), 10));
        let memory = Arc::new(Memory::new(1 << 20));
        let coordinator =
            Arc::new(RequestCoordinator::new(status, worker_queues.clone(), memory, Duration::from_secs(60)));
        let log = Logger::root(slog::Discard, slog::o!());
        let handle = |attempt, sink| {
            let (coordinator, log) = (coordinator.clone(), log.clone());
            actix_rt::spawn(async move { coordinator.handle(request(attempt), sink, &log).await })
        };
        let answer = |index: usize| {
            let pending = worker_queues.worker_queue(index).pop().unwrap();
            pending.complete(pending.message.reply(7, index.to_string()));
        };
        let frame = |line: Option<Arc<Line>>| line.map(|line| Frame::parse(line.text.as_bytes()).unwrap());
        let (sink, mut frames) = mpsc::channel(10);
        let first = handle(1, sink);
        assert!(matches!(frame(frames.recv().await), Some(Frame::Accepted { .. })));
        answer(0);
        answer(1);
        assert!(matches!(frame(frames.recv().await), Some(Frame::Reply { .. })));
        assert!(matches!(frame(frames.recv().await), Some(Frame::Reply { .. })));
        drop(frames);
        // With a capacity of one, earlier frames are still queued when the next one is appended.
        let (sink, mut frames) = mpsc::channel(1);
        let second = handle(2, sink);
        tokio::task::yield_now().await;
        answer(2);
        let mut received = vec![];
        while let Some(next) = frame(frames.recv().await) {
            received.push(next);
        }
        first.await.unwrap();
        second.await.unwrap();
        assert!(
            matches!((&received[0], &received[4]), (Frame::Accepted { .. }, Frame::Complete { .. })),
            "{received:?}"
        );
        let bodies = received[1..4].iter().map(|frame| match frame {
            Frame::Reply { reply, .. } => &reply.body[..],
            other => panic!("{other:?}"),
        });
        assert_eq!(bodies.collect::<Vec<_>>(), ["0", "1", "2"]);
        coordinator.all_delivered().await;
    }

    #[actix_rt::test]
    async fn messages_of_a_closed_connection_are_not_sent() {
        let (status, size) = (status(), watch::Sender::new(2));
        let worker_queues = Arc::new(WorkerQueues::new(size.subscribe(), 10));
        let memory = Arc::new(Memory::new(1 << 20));
        let coordinator =
            Arc::new(RequestCoordinator::new(status.clone(), worker_queues.clone(), memory, Duration::from_secs(60)));
        let (sink, connection) = mpsc::channel(10);
        let log = Logger::root(slog::Discard, slog::o!());
        let request = Request { request_id: "a".into(), ..Request::default() };
        let handled = actix_rt::spawn(async move { coordinator.handle(request, sink, &log).await });
        tokio::task::yield_now().await;
        let sent = worker_queues.worker_queue(0).pop().unwrap();
        sent.begin_attempt();
        drop(connection);
        tokio::task::yield_now().await;
        assert!(worker_queues.worker_queue(1).pop().is_none(), "it must not be sent any more");
        sent.complete(sent.message.reply(7, "done".to_owned()));
        handled.await.unwrap();
        let ledger = status.ledger.read();
        assert_eq!((ledger.sent, ledger.responses, ledger.errors), (2, 1, 1));
    }
}

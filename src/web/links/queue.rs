//! The requests of one link. They outlive it: if it dies, the next link continues with them.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix::Recipient;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Requested;
use crate::runtime::Room;
use crate::wire::Request;

/// Time after a request's deadline in which its requester may still complete it.
const GRACE: Duration = Duration::from_secs(1);

/// A request to be sent by a link.
#[derive(Debug)]
pub struct QueuedRequest {
    pub request: Request,
    /// When its messages time out at the requester.
    pub deadline: Instant,
    /// Its reserved memory.
    pub _room: Arc<Room>,
}

impl QueuedRequest {
    /// When the link ends it, if its requester has not.
    pub fn give_up_at(&self) -> Instant {
        self.deadline + GRACE
    }

    /// The request as a line of JSON, with the time left until its deadline. The article's format has no field for that time.
    pub fn line(&mut self) -> String {
        if self.request.is_extended() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            self.request.timeout_ms = Some(left.as_millis().max(1) as u64);
        }
        // A request is made of texts, numbers and JSON values, none of which can fail to be written.
        serde_json::to_string(&self.request).map_or_else(|_| String::new(), |json| json + "\n")
    }
}

/// The queue of requests for a link, at most `web.max_in_flight`. Unlike the link's mailbox, it outlives the link.
pub struct LinkQueue {
    pub address: SocketAddr,
    waiting: Mutex<Waiting>,
    pending: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<QueuedRequest>,
    /// Gets a `Requested` when the first request is in the queue.
    link: Option<Recipient<Requested>>,
    closed: bool,
}

impl LinkQueue {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, waiting: Mutex::default(), pending: AtomicUsize::new(0) }
    }

    /// Appends a request. False if the link has ended.
    pub fn push(&self, request: QueuedRequest) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return false;
        }
        waiting.requests.push_back(request);
        if let (1, Some(link)) = (waiting.requests.len(), &waiting.link) {
            link.do_send(Requested);
        }
        true
    }

    /// Notifies this link of requests from now on.
    pub fn attach(&self, link: Recipient<Requested>) {
        self.waiting.lock().link = Some(link);
    }

    pub fn pop(&self) -> Option<QueuedRequest> {
        self.waiting.lock().requests.pop_front()
    }

    /// Closes the queue. Returns the waiting requests.
    pub fn close(&self) -> VecDeque<QueuedRequest> {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        std::mem::take(&mut waiting.requests)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.lock().requests.is_empty()
    }

    /// Requests that wait in the queue, and those that the link has taken and that have not ended.
    pub fn count(&self) -> usize {
        self.waiting.lock().requests.len() + self.pending.load(Ordering::Relaxed)
    }
}

/// The requests that a link has taken from its queue and that have not ended, by id.
pub struct Pending {
    queue: Arc<LinkQueue>,
    by_id: HashMap<String, QueuedRequest>,
}

impl Pending {
    pub fn new(queue: Arc<LinkQueue>) -> Self {
        Self { queue, by_id: HashMap::new() }
    }

    pub fn hold(&mut self, request: QueuedRequest) {
        self.by_id.insert(request.request.request_id.clone(), request);
        self.count();
    }

    pub fn end(&mut self, request_id: &str) {
        self.by_id.remove(request_id);
        self.count();
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// When the next request has to be ended without its requester.
    pub fn next_give_up(&self) -> Option<Instant> {
        self.by_id.values().map(QueuedRequest::give_up_at).min()
    }

    /// The ids of the requests whose time is up.
    pub fn expired(&self, now: Instant) -> Vec<String> {
        let expired = self.by_id.iter().filter(|(_, request)| request.give_up_at() <= now);
        expired.map(|(id, _)| id.clone()).collect()
    }

    /// Removes the requests for which `goes` is true: another link sends them.
    pub fn give_away(&mut self, mut goes: impl FnMut(&str) -> bool) {
        self.by_id.retain(|id, _| !goes(id));
        self.count();
    }

    /// The requests to be sent on a new connection, each with the number of its attempt.
    pub fn send_again(&mut self) -> impl Iterator<Item = (u32, &mut QueuedRequest)> {
        self.by_id.values_mut().map(|request| {
            let attempt = request.request.attempt.unwrap_or(1) + 1;
            request.request.attempt = Some(attempt);
            (attempt, request)
        })
    }

    pub fn ids(&self) -> Vec<String> {
        self.by_id.keys().cloned().collect()
    }

    fn count(&self) {
        self.queue.pending.store(self.by_id.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use actix::{Actor, Context, Handler};

    use super::*;
    use crate::runtime::Memory;

    fn request(id: &str, millis: u64) -> QueuedRequest {
        let request = Request { request_id: id.into(), stream: Some(true), attempt: Some(1), ..Request::default() };
        let room = Arc::new(Memory::of(1).take(1).unwrap());
        QueuedRequest { request, deadline: Instant::now() + Duration::from_millis(millis), _room: room }
    }

    fn queue() -> Arc<LinkQueue> {
        Arc::new(LinkQueue::new(SocketAddr::from(([127, 0, 0, 1], 1))))
    }

    /// Counts the `Requested` messages that it gets.
    #[derive(Default)]
    struct Requests(Arc<AtomicUsize>);

    impl Actor for Requests {
        type Context = Context<Self>;
    }

    impl Handler<Requested> for Requests {
        type Result = ();

        fn handle(&mut self, _: Requested, _: &mut Self::Context) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[actix_rt::test]
    async fn a_link_gets_one_notification_until_it_has_taken_the_requests_and_so_does_the_next_link() {
        let (queue, told) = (queue(), Arc::<AtomicUsize>::default());
        assert!(queue.push(request("a", 1)), "before there is a link");
        for before in [0, 1] {
            let link = Requests(told.clone()).start();
            queue.attach(link.clone().recipient());
            while queue.pop().is_some() {}
            (0..3).for_each(|_| assert!(queue.push(request("b", 1))));
            // Handled after the notifications.
            link.send(Requested).await.unwrap();
            assert_eq!(told.load(Ordering::Relaxed), (before + 1) * 2);
        }
        assert_eq!((queue.count(), queue.close().len()), (3, 3));
        assert!(!queue.push(request("c", 1)) && queue.pop().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pending_request_expires_a_second_after_its_deadline_and_not_before() {
        let queue = queue();
        let mut pending = Pending::new(queue.clone());
        pending.hold(request("a", 500));
        pending.hold(request("b", 100));
        assert_eq!(pending.next_give_up(), Some(Instant::now() + Duration::from_millis(1_100)));
        tokio::time::advance(Duration::from_millis(1_099)).await;
        assert!(pending.expired(Instant::now()).is_empty());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(pending.expired(Instant::now()), ["b"]);
        pending.end("b");
        assert_eq!(queue.count(), 1);
        pending.end("a");
        assert_eq!((pending.next_give_up(), queue.count()), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn each_connection_is_another_attempt_with_less_time() {
        let mut pending = Pending::new(queue());
        pending.hold(request("a", 1_000));
        pending.hold(request("b", 1_000));
        pending.give_away(|id| id == "b");
        for (attempt, left) in [(2, 700), (3, 400)] {
            tokio::time::advance(Duration::from_millis(300)).await;
            let again: Vec<_> = pending.send_again().map(|(attempt, request)| (attempt, request.line())).collect();
            assert_eq!((again.len(), again[0].0), (1, attempt));
            let line: Request = serde_json::from_str(&again[0].1).unwrap();
            assert_eq!((line.attempt, line.timeout_ms), (Some(attempt), Some(left)));
        }
        assert_eq!(pending.ids(), ["a"]);
    }
}

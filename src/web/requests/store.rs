//! The requests that this web instance has accepted. Each is sent by one or more links (a call each), and ends when all its
//! calls have ended.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::mem::size_of;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::{ActiveRequest, Ended, KeptRequests, NewRequest, News, PartOutcome, RequestProgress, Shown};
use crate::runtime::{InstanceStatus, Memory, Room};
use crate::web::Feed;
use crate::web::links::LinkTable;
use crate::wire::{ErrorCode, Event, Footprint, Hop, Problem, RequestStatus, RequestView, SHOWN_BODY, now_ms};

/// One request may use at most one part in `SHARE` of the memory for all requests.
const SHARE: usize = 4;

#[derive(Default)]
pub(super) struct RequestStore {
    pub(super) running: HashMap<String, ActiveRequest>,
    pub(super) kept: KeptRequests,
    /// Number of requests accepted since the start.
    accepted: u64,
}

/// Every request of this instance.
pub struct Requests {
    pub(super) store: Mutex<RequestStore>,
    in_flight: watch::Sender<usize>,
    pub(super) links: Arc<LinkTable>,
    pub(super) status: Arc<InstanceStatus>,
    feed: Arc<Feed>,
    /// Maximum number of active requests; further ones are refused.
    max_in_flight: usize,
    /// Maximum number of ended requests that are kept.
    keep: usize,
    /// Memory of all requests, active or ended, with their replies.
    pub(super) memory: Memory,
    /// The requesters' timeout, for requests without their own.
    timeout: Duration,
}

impl Requests {
    /// `keep`: maximum number of ended requests that are kept. `keep_bytes`: memory of active and kept requests, in bytes.
    pub fn new(
        links: Arc<LinkTable>,
        status: Arc<InstanceStatus>,
        feed: Arc<Feed>,
        max_in_flight: usize,
        (keep, keep_bytes): (usize, usize),
        timeout: Duration,
    ) -> Self {
        let (store, in_flight, memory) = (Mutex::default(), watch::Sender::new(0), Memory::of(keep_bytes));
        Self { store, in_flight, links, status, feed, max_in_flight, keep, memory, timeout }
    }

    /// Accepts a request and sends it by its links; returns its id.
    ///
    /// # Errors
    /// The instance is draining, has no connection, or has `max_in_flight` requests or no memory left.
    pub fn submit(&self, new: NewRequest) -> Result<String, Problem> {
        let mut store = self.store.lock();
        let RequestStore { running, kept, accepted } = &mut *store;
        let problem = |code, message| Err(Problem { code, message });
        if self.status.is_draining() {
            return problem(
                ErrorCode::Draining,
                "this web instance is shutting down: send the request to another".to_owned(),
            );
        }
        if running.len() >= self.max_in_flight {
            let message =
                format!("overloaded: {} requests are active (web.max_in_flight): try again later", self.max_in_flight);
            return problem(ErrorCode::Overloaded, message);
        }
        let links = self.links.choose(new.fan_out, &BTreeSet::new());
        if links.is_empty() {
            return problem(ErrorCode::NotConnected, self.why_not_connected());
        }
        let entry = ActiveRequest::begin(new, links.len(), self.timeout, |bytes| self.take_memory(kept, bytes));
        let Some(mut entry) = entry else { return Err(self.out_of_memory()) };
        let request_id = entry.view.request_id.clone();
        for link in &links {
            self.call(&mut entry, link);
        }
        if entry.calls.is_empty() {
            return problem(ErrorCode::NotConnected, self.why_not_connected());
        }
        *accepted += 1;
        self.status.request();
        entry.number = *accepted;
        self.publish(entry.view.opening());
        running.insert(request_id.clone(), entry);
        self.in_flight.send_replace(running.len());
        Ok(request_id)
    }

    /// The progress of a request, from now on. `None` if there is no such request, or it is no longer kept.
    pub fn progress(&self, request_id: &str) -> Option<watch::Receiver<RequestProgress>> {
        let store = self.store.lock();
        if let Some(entry) = store.running.get(request_id) {
            return Some(entry.progress.subscribe());
        }
        let ended = store.kept.by_id.get(request_id)?.clone();
        Some(watch::Sender::new(RequestProgress { replies: ended.view.replies.len(), ended: Some(ended) }).subscribe())
    }

    /// Waits until a request has ended. `None` if there is no such request, or it is no longer kept.
    pub async fn wait(&self, request_id: &str) -> Option<Arc<Ended>> {
        let mut progress = self.progress(request_id)?;
        // An error would mean that the request was dropped before its end, which does not happen.
        progress.wait_for(|progress| progress.ended.is_some()).await.ok()?.ended.clone()
    }

    /// Waits until a request has more than `known` replies, or has ended; returns the further replies or the ended request.
    pub async fn news(
        &self,
        request_id: &str,
        progress: &mut watch::Receiver<RequestProgress>,
        known: usize,
    ) -> Option<News> {
        let now = progress.wait_for(|progress| progress.ended.is_some() || progress.replies > known).await.ok()?;
        if let Some(ended) = &now.ended {
            return Some(News::Ended(ended.clone()));
        }
        drop(now);
        let store = self.store.lock();
        // If the request has ended just now, the next call returns its end.
        let replies = store.running.get(request_id).map(|entry| entry.view.replies[known..].to_vec());
        Some(News::Replies(replies.unwrap_or_default()))
    }

    /// Calls `look` with a request's current view. `None` if there is no such request, or it is no longer kept.
    pub fn look<T>(&self, request_id: &str, look: impl FnOnce(&RequestView) -> T) -> Option<T> {
        let store = self.store.lock();
        if let Some(entry) = store.running.get(request_id) {
            return Some(look(&entry.view));
        }
        let ended = store.kept.by_id.get(request_id)?.clone();
        drop(store);
        Some(look(&ended.view))
    }

    /// Applies an event of another process to a request of this instance, and shows it. `None` if the request is not of this
    /// instance; `Some(false)` if the event is refused, because only this instance publishes such events.
    pub fn take(&self, event: &Event) -> Option<bool> {
        let id = event.request_id()?;
        let mut store = self.store.lock();
        let RequestStore { running, kept, .. } = &mut *store;
        let Some(entry) = running.get_mut(id) else { return kept.by_id.contains_key(id).then_some(true) };
        match event {
            Event::Dispatched { message_id, .. } if entry.view.is_promised(message_id) => entry.view.apply(event),
            Event::Dispatched { message_id, .. } => {
                let known = entry.early_dispatches.contains_key(message_id);
                if known || self.reserve(entry, kept, size_of::<Event>() + event.footprint()) {
                    entry.early_dispatches.insert(message_id.clone(), event.clone());
                }
            }
            Event::Retry { message_id: Some(_), .. } => {}
            _ => return Some(false),
        }
        self.feed.show(event);
        Some(true)
    }

    /// Calls `act` while the store is locked, so that no request changes. Its argument lists all requests, newest first.
    pub fn hold<T>(&self, act: impl FnOnce(&dyn Fn() -> Vec<Shown>) -> T) -> T {
        let store = self.store.lock();
        act(&|| {
            let running = store.running.values().map(|entry| (entry.number, Shown::of(&entry.view, SHOWN_BODY)));
            let ended = store.kept.by_id.values().map(|ended| (ended.number, Shown::Ended(ended.clone())));
            let mut all: Vec<_> = running.chain(ended).collect();
            all.sort_unstable_by_key(|(number, _)| Reverse(*number));
            all.into_iter().map(|(_, shown)| shown).collect()
        })
    }

    /// Memory that all requests use, in bytes.
    pub fn bytes(&self) -> usize {
        self.memory.taken()
    }

    /// Waits until no request is active.
    pub async fn all_ended(&self) {
        // Waiting cannot fail, because this struct owns the sender.
        let _ = self.in_flight.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Ends every active request with the replies it has; returns their number.
    pub fn end_all(&self, problem: &Problem) -> usize {
        let mut store = self.store.lock();
        let (ended, running) = (store.running.len(), store.running.iter());
        let calls: Vec<_> =
            running.flat_map(|(id, entry)| entry.calls.keys().map(|link| (id.clone(), *link))).collect();
        for (id, link) in calls {
            self.end_call(&mut store, &id, link, PartOutcome::Failed(problem.clone()));
        }
        ended
    }

    /// Ends a request: publishes its outcome and moves it to the kept ones.
    pub(super) fn end(&self, store: &mut RequestStore, request_id: &str) {
        let Some(mut entry) = store.running.remove(request_id) else { return };
        let total = entry.started.elapsed();
        self.status.hops.record(Hop::Total, total);
        let status = if entry.problem.is_some() { RequestStatus::Failed } else { RequestStatus::Complete };
        let event = Event::Outcome {
            request_id: request_id.to_owned(),
            at: now_ms(),
            status,
            counts: entry.view.counts,
            total_us: total.as_micros() as u64,
            reason: entry.problem.as_ref().map(|problem| problem.message.clone()),
        };
        self.apply_and_publish(&mut entry, event);
        let ActiveRequest { number, view, problem, room, progress, .. } = entry;
        let ended = Arc::new(Ended { number, view: view.into_view(), problem, _room: room });
        progress.send_modify(|progress| progress.ended = Some(ended.clone()));
        self.in_flight.send_replace(store.running.len());
        let kept = &mut store.kept;
        kept.add(ended);
        if kept.len() > self.keep {
            kept.remove_oldest();
        }
    }

    /// Applies an event to a request's view, shows it to the dashboards, and publishes it to other web instances.
    pub(super) fn apply_and_publish(&self, entry: &mut ActiveRequest, event: Event) {
        entry.apply(&event);
        self.publish(event);
    }

    fn publish(&self, mut event: Event) {
        if let Event::Reply { reply, .. } = &mut event {
            reply.cut(SHOWN_BODY);
        }
        self.feed.show(&event);
        self.status.events.emit_elsewhere(event);
    }

    /// Takes memory, and removes the oldest ended requests to free it. `None` if that is not enough, or `bytes` is more than one
    /// request may use.
    fn take_memory(&self, kept: &mut KeptRequests, bytes: usize) -> Option<Room> {
        if bytes > self.memory.bytes() / SHARE {
            return None;
        }
        loop {
            match self.memory.take(bytes) {
                Some(room) => return Some(room),
                None => drop(kept.remove_oldest()?),
            }
        }
    }

    /// Takes more memory for a request. False if the memory is used up, or the request would exceed its share.
    pub(super) fn reserve(&self, entry: &mut ActiveRequest, kept: &mut KeptRequests, bytes: usize) -> bool {
        let room = if Memory::of_room(&entry.room) + bytes > self.memory.bytes() / SHARE {
            None
        } else {
            self.take_memory(kept, bytes)
        };
        room.map(|room| entry.room.merge(room)).is_some()
    }

    pub(super) fn out_of_memory(&self) -> Problem {
        let message = format!(
            "overloaded: active requests, and ended ones that clients still read, use all of web.keep_bytes = {}, or this \
             request would use more than a fourth of it: try again later, or raise it",
            self.memory.bytes()
        );
        Problem { code: ErrorCode::Overloaded, message }
    }

    fn why_not_connected(&self) -> String {
        let upstream = &self.links.upstream;
        match *self.links.wanted().borrow() {
            true => {
                format!("no requester is connected at {upstream}: start one; the web tier connects to it by itself")
            }
            false => "please connect the socket before making a request: GET /api/v1/dispatcher/connect".to_owned(),
        }
    }
}

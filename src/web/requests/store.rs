//! The requests this web instance has taken on: each is sent by one or more links, and ends when all of those calls
//! have ended.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::mem::size_of;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{ActiveRequest, Ended, Kept, NewRequest, News, PartOutcome, RequestProgress, Shown};
use crate::runtime::{InstanceStatus, Memory, Room};
use crate::web::Feed;
use crate::web::links::{LinkHandle, Links, QueuedRequest};
use crate::wire::{
    Accepted, ErrorCode, Event, FanOut, Footprint, Hop, Outcome, Problem, Reply, RequestStatus, RequestView,
    SHOWN_BODY, now_ms,
};

/// A request may take this part of the memory for all.
const SHARE: usize = 4;

#[derive(Default)]
struct RequestStore {
    running: HashMap<String, ActiveRequest>,
    kept: Kept,
    /// Requests taken on since the start.
    taken_on: u64,
}

/// Every request of this instance.
pub struct Requests {
    store: Mutex<RequestStore>,
    in_flight: watch::Sender<usize>,
    links: Arc<Links>,
    status: Arc<InstanceStatus>,
    feed: Arc<Feed>,
    /// Requests at one time; more are refused.
    max_in_flight: usize,
    /// Ended requests that are remembered.
    keep: usize,
    /// What all requests, ended or under way, take with their replies.
    memory: Memory,
    /// The requesters' timeout, for requests that bring none.
    timeout: Duration,
}

impl Requests {
    /// `keep` ended requests are remembered, within `keep_bytes` for these and those under way.
    pub fn new(
        links: Arc<Links>,
        status: Arc<InstanceStatus>,
        feed: Arc<Feed>,
        max_in_flight: usize,
        (keep, keep_bytes): (usize, usize),
        timeout: Duration,
    ) -> Self {
        let (store, in_flight, memory) = (Mutex::default(), watch::Sender::new(0), Memory::of(keep_bytes));
        Self { store, in_flight, links, status, feed, max_in_flight, keep, memory, timeout }
    }

    /// Takes a request on and sends it. The problem says why that can't be.
    pub fn submit(&self, new: NewRequest) -> Result<String, Problem> {
        let mut store = self.lock();
        let RequestStore { running, kept, taken_on } = &mut *store;
        let problem = |code, message| Err(Problem { code, message });
        if self.status.is_draining() {
            return problem(ErrorCode::Draining, "this web instance is shutting down: ask another".to_owned());
        }
        if running.len() >= self.max_in_flight {
            let message = format!("overloaded: {} requests are under way (web.max_in_flight)", self.max_in_flight);
            return problem(ErrorCode::Overloaded, message);
        }
        let links = self.links.choose(new.fan_out, &BTreeSet::new());
        if links.is_empty() {
            return problem(ErrorCode::NotConnected, self.why_not_connected());
        }
        let entry = ActiveRequest::begin(new, links.len(), self.timeout, |bytes| self.take_memory(kept, bytes));
        let Some(mut entry) = entry else { return Err(self.no_room()) };
        let request_id = entry.view.request_id.clone();
        for link in &links {
            self.call(&mut entry, link);
        }
        if entry.calls.is_empty() {
            return problem(ErrorCode::NotConnected, self.why_not_connected());
        }
        *taken_on += 1;
        entry.number = *taken_on;
        self.publish(entry.view.opening());
        running.insert(request_id.clone(), entry);
        self.in_flight.send_replace(running.len());
        Ok(request_id)
    }

    /// How far a request is, from now on. None for one that is not known (any more).
    pub fn progress(&self, request_id: &str) -> Option<watch::Receiver<RequestProgress>> {
        let store = self.lock();
        if let Some(entry) = store.running.get(request_id) {
            return Some(entry.progress.subscribe());
        }
        let ended = store.kept.by_id.get(request_id)?.clone();
        Some(watch::Sender::new(RequestProgress { replies: ended.view.replies.len(), ended: Some(ended) }).subscribe())
    }

    /// Waits until a request has ended. None for one that is not known (any more).
    pub async fn wait(&self, request_id: &str) -> Option<Arc<Ended>> {
        let mut progress = self.progress(request_id)?;
        // Fails when the request is gone before its end, which cannot be.
        progress.wait_for(|progress| progress.ended.is_some()).await.ok()?.ended.clone()
    }

    /// Waits until a request has more than `known` replies, or has ended.
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
        let store = self.lock();
        // One that has ended in this moment is told as that the next time.
        let replies = store.running.get(request_id).map(|entry| entry.view.replies[known..].to_vec());
        Some(News::Replies(replies.unwrap_or_default()))
    }

    /// Looks at a request as it is now. None for one that is not known (any more).
    pub fn look<T>(&self, request_id: &str, look: impl FnOnce(&RequestView) -> T) -> Option<T> {
        let store = self.lock();
        if let Some(entry) = store.running.get(request_id) {
            return Some(look(&entry.view));
        }
        let ended = store.kept.by_id.get(request_id)?.clone();
        drop(store);
        Some(look(&ended.view))
    }

    /// Takes in what a requester published of one of this instance's requests, and shows it. None where the request is not
    /// of this instance; false for what only this instance knows.
    pub fn take(&self, event: &Event) -> Option<bool> {
        let id = event.request_id()?;
        let mut store = self.lock();
        let RequestStore { running, kept, .. } = &mut *store;
        let Some(entry) = running.get_mut(id) else { return kept.by_id.contains_key(id).then_some(true) };
        match event {
            Event::Dispatched { message_id, .. } if entry.view.is_promised(message_id) => entry.view.apply(event),
            Event::Dispatched { message_id, .. } => {
                let before = entry.early.contains_key(message_id);
                if before || self.grow(entry, kept, size_of::<Event>() + event.footprint()) {
                    entry.early.insert(message_id.clone(), event.clone());
                }
            }
            Event::Retry { message_id: Some(_), .. } => {}
            _ => return Some(false),
        }
        self.feed.show(event);
        Some(true)
    }

    /// Does something while no request changes. It is given what lists the requests, newest first.
    pub fn hold<T>(&self, act: impl FnOnce(&dyn Fn() -> Vec<Shown>) -> T) -> T {
        let store = self.lock();
        act(&|| {
            let running = store.running.values().map(|entry| (entry.number, Shown::of(&entry.view, SHOWN_BODY)));
            let ended = store.kept.by_id.values().map(|ended| (ended.number, Shown::Ended(ended.clone())));
            let mut all: Vec<_> = running.chain(ended).collect();
            all.sort_unstable_by_key(|(number, _)| Reverse(*number));
            all.into_iter().map(|(_, shown)| shown).collect()
        })
    }

    /// What all requests take, in bytes.
    pub fn bytes(&self) -> usize {
        self.memory.taken()
    }

    /// Returns when no request is under way.
    pub async fn all_ended(&self) {
        // The sender is this struct's own, so that waiting cannot fail.
        let _ = self.in_flight.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Ends every request that is under way, each with the replies it has; how many these were.
    pub fn end_all(&self, problem: &Problem) -> usize {
        let mut store = self.lock();
        let (ended, running) = (store.running.len(), store.running.iter());
        let calls: Vec<_> =
            running.flat_map(|(id, entry)| entry.calls.keys().map(|link| (id.clone(), *link))).collect();
        for (id, link) in calls {
            self.end_call(&mut store, &id, link, PartOutcome::Failed(problem.clone()));
        }
        ended
    }

    /// The requester has taken its part on. The call fails where there is no room for its messages' replies.
    pub fn call_accepted(&self, request_id: &str, link: SocketAddr, accepted: Accepted) {
        self.with_call(request_id, link, |entry, kept| {
            let before = entry.calls.insert(link, Some(accepted.instance.clone())).flatten();
            if before.as_ref() == Some(&accepted.instance) {
                return Ok(()); // The same instance goes on by a new connection.
            }
            if let Some(before) = before {
                self.lose(entry, &before, "its requester ended; the request was sent again");
            }
            if !self.grow(entry, kept, ActiveRequest::bytes_of_promise(&accepted)) {
                return Err(self.no_room());
            }
            self.tell(entry, Event::Accepted { request_id: request_id.to_owned(), at: now_ms(), accepted });
            Ok(())
        });
    }

    pub fn call_reply(&self, link: SocketAddr, reply: Reply) {
        let request_id = reply.request_id.clone();
        self.with_call(&request_id, link, |entry, kept| self.take_reply(entry, kept, reply));
    }

    /// The whole set at once, as the article's requester sends it.
    pub fn call_set(&self, request_id: &str, link: SocketAddr, replies: Vec<Reply>) {
        self.with_call(request_id, link, |entry, kept| {
            replies.into_iter().try_for_each(|reply| self.take_reply(entry, kept, reply))
        });
        self.call_ended(request_id, link, PartOutcome::Complete);
    }

    /// Takes a reply in; a second one for the same message is a duplicate. Without room for it, its body is left out; where
    /// that is not enough, which only a reply that was not promised can be, the call fails.
    fn take_reply(&self, entry: &mut ActiveRequest, kept: &mut Kept, mut reply: Reply) -> Result<(), Problem> {
        if entry.view.has_reply(&reply.message_id) {
            self.status.ledger.duplicate();
            return Ok(());
        }
        let bytes = entry.bytes_of(&reply);
        if !self.grow(entry, kept, bytes) {
            reply.leave_out(&format!(
                "its body was left out: a request may have a fourth of web.keep_bytes = {}, and all together the whole",
                self.memory.bytes()
            ));
            let bytes = entry.bytes_of(&reply);
            if !self.grow(entry, kept, bytes) {
                return Err(self.no_room());
            }
        }
        self.tell(entry, Event::Reply { at: now_ms(), reply: Box::new(reply) });
        entry.progress.send_modify(|progress| progress.replies += 1);
        Ok(())
    }

    pub fn call_sent_again(&self, request_id: &str, link: SocketAddr, attempt: u32) {
        self.with_call(request_id, link, |entry, _| {
            self.status.ledger.retry();
            let (request_id, reason) = (request_id.to_owned(), format!("the connection to {link} was lost"));
            self.tell(entry, Event::Retry { request_id, message_id: None, at: now_ms(), attempt, reason });
            Ok(())
        });
    }

    /// A call has ended; the request has, when it was the last.
    pub fn call_ended(&self, request_id: &str, link: SocketAddr, end: PartOutcome) {
        self.end_call(&mut self.lock(), request_id, link, end);
    }

    fn end_call(&self, store: &mut RequestStore, request_id: &str, link: SocketAddr, end: PartOutcome) {
        let Some(entry) = store.running.get_mut(request_id) else { return };
        let Some(instance) = entry.calls.remove(&link) else { return };
        let outcome = match &end {
            PartOutcome::Complete => Outcome::Response,
            PartOutcome::Failed(Problem { code: ErrorCode::Timeout, .. }) => Outcome::Timeout,
            PartOutcome::Failed(_) | PartOutcome::Gone(_) => Outcome::Error,
        };
        self.status.ledger.ended(outcome);
        match end {
            PartOutcome::Complete => {}
            PartOutcome::Gone(reason) => {
                instance.iter().for_each(|instance| self.lose(entry, instance, &reason));
                self.replace_call(entry, reason);
            }
            PartOutcome::Failed(problem) => {
                instance.iter().for_each(|instance| self.lose(entry, instance, &problem.message));
                entry.problem = Some(problem);
            }
        }
        if entry.calls.is_empty() {
            self.end(store, request_id);
        }
    }

    /// Takes a call off a link whose connection is lost, if an instance is there that can take it on. False: it stays.
    pub fn call_moved(&self, request_id: &str, link: SocketAddr, reason: &str) -> bool {
        let movable = match self.lock().running.get(request_id) {
            Some(entry) => self.links.any(&entry.tried),
            None => true,
        };
        if movable {
            self.call_ended(request_id, link, PartOutcome::Gone(reason.to_owned()));
        }
        movable
    }

    /// Gives the part of an instance that is gone to one that has no part yet, if there is one.
    fn replace_call(&self, entry: &mut ActiveRequest, reason: String) {
        while Instant::now() < entry.deadline
            && let [link] = &self.links.choose(FanOut::One, &entry.tried)[..]
        {
            self.status.ledger.retry();
            if self.call(entry, link) {
                return;
            }
        }
        if entry.calls.is_empty() && entry.view.counts.responses == 0 {
            let message = format!("{reason}, and no other requester is connected");
            entry.problem = Some(Problem { code: ErrorCode::Lost, message });
        }
    }

    /// Sends a request by a link. False when that has ended a moment ago.
    fn call(&self, entry: &mut ActiveRequest, link: &LinkHandle) -> bool {
        entry.calls.insert(link.address, None);
        entry.tried.insert(link.address);
        self.status.ledger.sent();
        let (request, room) = (entry.request.clone(), entry.request_room.clone());
        let sending = QueuedRequest { request, deadline: entry.deadline, _room: room };
        let sent = link.sendings.send(sending).is_ok();
        if !sent {
            self.status.ledger.ended(Outcome::Error);
            entry.calls.remove(&link.address);
        }
        sent
    }

    fn end(&self, store: &mut RequestStore, request_id: &str) {
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
        self.tell(&mut entry, event);
        let ActiveRequest { number, view, problem, room, progress, .. } = entry;
        let ended = Arc::new(Ended { number, view: view.into_view(), problem, _room: room });
        progress.send_modify(|progress| progress.ended = Some(ended.clone()));
        self.in_flight.send_replace(store.running.len());
        let kept = &mut store.kept;
        kept.add(ended);
        if kept.len() > self.keep {
            kept.forget();
        }
    }

    /// Takes an event into a request's view, shows it to the dashboards, and publishes it to other web instances.
    fn tell(&self, entry: &mut ActiveRequest, event: Event) {
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

    /// Ends the messages of an instance that no reply will come for.
    fn lose(&self, entry: &mut ActiveRequest, instance: &str, reason: &str) {
        let lost: Vec<String> = entry.view.unanswered(instance).map(|message| message.message_id.clone()).collect();
        for message_id in lost {
            let (request_id, reason) = (entry.view.request_id.clone(), reason.to_owned());
            self.tell(entry, Event::Lost { request_id, message_id, at: now_ms(), reason });
        }
    }

    /// Does something to a request for a call that is under way; a problem ends the call.
    fn with_call(
        &self,
        request_id: &str,
        link: SocketAddr,
        act: impl FnOnce(&mut ActiveRequest, &mut Kept) -> Result<(), Problem>,
    ) {
        let mut store = self.lock();
        let RequestStore { running, kept, .. } = &mut *store;
        match running.get_mut(request_id) {
            Some(entry) if entry.calls.contains_key(&link) => {
                if let Err(problem) = act(entry, kept) {
                    self.end_call(&mut store, request_id, link, PartOutcome::Failed(problem));
                }
            }
            // The call had ended before, or never was.
            _ => self.status.ledger.late(),
        }
    }

    /// Takes memory, for which the oldest of the ended requests are forgotten. None where that is not enough.
    fn take_memory(&self, kept: &mut Kept, bytes: usize) -> Option<Room> {
        if bytes > self.memory.bytes() / SHARE {
            return None;
        }
        loop {
            match self.memory.take(bytes) {
                Some(room) => return Some(room),
                None => drop(kept.forget()?),
            }
        }
    }

    /// Takes memory for a request. False where there is none, or it has its share.
    fn grow(&self, entry: &mut ActiveRequest, kept: &mut Kept, bytes: usize) -> bool {
        let room = if Memory::of_room(&entry.room) + bytes > self.memory.bytes() / SHARE {
            None
        } else {
            self.take_memory(kept, bytes)
        };
        room.map(|room| entry.room.merge(room)).is_some()
    }

    fn no_room(&self) -> Problem {
        let message = format!(
            "overloaded: requests under way, and answers that clients are reading, take all of web.keep_bytes = {}, or this \
             one a fourth of it",
            self.memory.bytes()
        );
        Problem { code: ErrorCode::Overloaded, message }
    }

    fn why_not_connected(&self) -> String {
        let upstream = &self.links.upstream;
        match *self.links.wanted().borrow() {
            true => format!("no requester is connected at {upstream}: is one running? It will be connected by itself"),
            false => "please connect the socket before making a request: GET /api/v1/dispatcher/connect".to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RequestStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

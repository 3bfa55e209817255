//! The requests this web instance has taken on: each is sent by one or more links, and ends when all of those calls
//! have ended.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Entry, LinkHandle, Links, NewRequest, Sending};
use crate::actors::Board;
use crate::model::{
    Accepted, ErrorCode, Event, FanOut, Hop, Outcome, Problem, Reply, RequestStatus, RequestView, now_ms,
};

/// How a request's way by one link ended.
#[derive(Debug)]
pub enum CallEnd {
    /// Every message has its outcome.
    Complete,
    /// The instance is not there any more: another may take its part.
    Gone(String),
    /// It can't be carried out.
    Failed(Problem),
}

/// How a request ended, for those who wait for it.
#[derive(Clone, Debug)]
pub struct Ended {
    pub view: RequestView,
    /// Why it failed, if it did.
    pub problem: Option<Problem>,
}

/// What has come since someone last looked.
#[derive(Clone, Debug)]
pub struct News {
    pub replies: Vec<Reply>,
    /// The whole request, once it has ended.
    pub ended: Option<RequestView>,
}

#[derive(Default)]
struct Book {
    by_id: HashMap<String, Entry>,
    /// Requests that have ended, oldest first.
    ended: VecDeque<String>,
    in_flight: usize,
}

/// Every request of this instance.
pub struct Requests {
    book: Mutex<Book>,
    in_flight: watch::Sender<usize>,
    links: Arc<Links>,
    board: Arc<Board>,
    /// Requests at one time; more are refused.
    max_in_flight: usize,
    /// Ended requests that are remembered.
    keep: usize,
    /// The requesters' timeout, for requests that bring none.
    timeout: Duration,
}

impl Requests {
    pub fn new(links: Arc<Links>, board: Arc<Board>, max_in_flight: usize, keep: usize, timeout: Duration) -> Self {
        let (book, in_flight) = (Mutex::default(), watch::Sender::new(0));
        Self { book, in_flight, links, board, max_in_flight, keep, timeout }
    }

    /// Takes a request on and sends it. The problem says why that can't be.
    pub fn submit(&self, new: NewRequest) -> Result<String, Problem> {
        let mut book = self.lock();
        let problem = |code, message| Err(Problem { code, message });
        if self.board.is_draining() {
            return problem(ErrorCode::Draining, "this web instance is shutting down: ask another".to_owned());
        }
        if book.in_flight >= self.max_in_flight {
            let message = format!("overloaded: {} requests are under way (web.max_in_flight)", self.max_in_flight);
            return problem(ErrorCode::Overloaded, message);
        }
        let links = self.links.choose(new.fan_out, &BTreeSet::new());
        if links.is_empty() {
            return problem(ErrorCode::NotConnected, self.why_not_connected());
        }
        let mut entry = Entry::begin(new, links.len(), self.timeout);
        let request_id = entry.view.request_id.clone();
        for link in &links {
            self.call(&mut entry, link);
        }
        if entry.calls.is_empty() {
            return problem(ErrorCode::NotConnected, self.why_not_connected());
        }
        entry.told = self.board.teller.message_event(|| entry.view.opening());
        book.by_id.insert(request_id.clone(), entry);
        book.in_flight += 1;
        self.in_flight.send_replace(book.in_flight);
        Ok(request_id)
    }

    /// Waits until a request has ended. None for one that is not known (any more).
    pub async fn wait(&self, request_id: &str) -> Option<Ended> {
        let mut progress = self.lock().by_id.get(request_id)?.progress.subscribe();
        // An error means that it ended and was forgotten.
        let _ = progress.wait_for(|progress| progress.ended).await;
        let book = self.lock();
        let entry = book.by_id.get(request_id)?;
        Some(Ended { view: entry.view.clone(), problem: entry.problem.clone() })
    }

    /// Waits until a request has more than `known` replies, or has ended. None for one that is not known (any more).
    pub async fn news(&self, request_id: &str, known: usize) -> Option<News> {
        let mut progress = self.lock().by_id.get(request_id)?.progress.subscribe();
        // An error means that it ended and was forgotten.
        let _ = progress.wait_for(|progress| progress.ended || progress.replies > known).await;
        let book = self.lock();
        let entry = book.by_id.get(request_id)?;
        let ended = entry.progress.borrow().ended.then(|| entry.view.clone());
        Some(News { replies: entry.view.replies.iter().skip(known).cloned().collect(), ended })
    }

    pub fn get(&self, request_id: &str) -> Option<RequestView> {
        self.lock().by_id.get(request_id).map(|entry| entry.view.clone())
    }

    /// Returns when no request is under way.
    pub async fn all_ended(&self) {
        // The sender is this struct's own, so that waiting cannot fail.
        let _ = self.in_flight.subscribe().wait_for(|count| *count == 0).await;
    }

    /// The requester has taken its part on.
    pub fn call_accepted(&self, request_id: &str, link: SocketAddr, accepted: Accepted) {
        self.with_call(request_id, link, |entry, board| {
            let before = entry.calls.insert(link, Some(accepted.instance.clone())).flatten();
            if before.as_ref() == Some(&accepted.instance) {
                return; // The same instance goes on by a new connection.
            }
            if let Some(before) = before {
                entry.lose(&before, "its requester ended; the request was sent again", board);
            }
            entry.tell(Event::Accepted { request_id: request_id.to_owned(), at: now_ms(), accepted }, board);
        });
    }

    pub fn call_reply(&self, link: SocketAddr, reply: Reply) {
        let request_id = reply.request_id.clone();
        self.with_call(&request_id, link, |entry, board| entry.take_reply(reply, board));
    }

    /// The whole set at once, as the article's requester sends it.
    pub fn call_set(&self, request_id: &str, link: SocketAddr, replies: Vec<Reply>) {
        self.with_call(request_id, link, |entry, board| {
            replies.into_iter().for_each(|reply| entry.take_reply(reply, board));
        });
        self.call_ended(request_id, link, CallEnd::Complete);
    }

    pub fn call_sent_again(&self, request_id: &str, link: SocketAddr, attempt: u32) {
        self.with_call(request_id, link, |entry, board| {
            board.ledger.retry();
            let (request_id, reason) = (request_id.to_owned(), format!("the connection to {link} was lost"));
            entry.tell(Event::Retry { request_id, message_id: None, at: now_ms(), attempt, reason }, board);
        });
    }

    /// A call has ended; the request has, when it was the last.
    pub fn call_ended(&self, request_id: &str, link: SocketAddr, end: CallEnd) {
        let mut book = self.lock();
        let Some(entry) = book.by_id.get_mut(request_id) else { return };
        let Some(instance) = entry.calls.remove(&link) else { return };
        let outcome = match &end {
            CallEnd::Complete => Outcome::Response,
            CallEnd::Failed(Problem { code: ErrorCode::Timeout, .. }) => Outcome::Timeout,
            CallEnd::Failed(_) | CallEnd::Gone(_) => Outcome::Error,
        };
        self.board.ledger.ended(outcome);
        match end {
            CallEnd::Complete => {}
            CallEnd::Gone(reason) => {
                instance.iter().for_each(|instance| entry.lose(instance, &reason, &self.board));
                self.replace_call(entry, reason);
            }
            CallEnd::Failed(problem) => {
                instance.iter().for_each(|instance| entry.lose(instance, &problem.message, &self.board));
                entry.problem = Some(problem);
            }
        }
        if entry.calls.is_empty() {
            self.end(&mut book, request_id);
        }
    }

    /// Takes a call off a link whose connection is lost, if an instance is there that can take it on. False: it stays.
    pub fn call_moved(&self, request_id: &str, link: SocketAddr, reason: &str) -> bool {
        let movable = match self.lock().by_id.get(request_id) {
            Some(entry) => self.links.any(&entry.tried),
            None => true,
        };
        if movable {
            self.call_ended(request_id, link, CallEnd::Gone(reason.to_owned()));
        }
        movable
    }

    /// Gives the part of an instance that is gone to one that has no part yet, if there is one.
    fn replace_call(&self, entry: &mut Entry, reason: String) {
        while Instant::now() < entry.give_up_at
            && let [link] = &self.links.choose(FanOut::One, &entry.tried)[..]
        {
            self.board.ledger.retry();
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
    fn call(&self, entry: &mut Entry, link: &LinkHandle) -> bool {
        entry.calls.insert(link.address, None);
        entry.tried.insert(link.address);
        self.board.ledger.sent();
        let sending = Sending { request: entry.request.clone(), give_up_at: entry.give_up_at };
        let sent = link.sendings.send(sending).is_ok();
        if !sent {
            self.board.ledger.ended(Outcome::Error);
            entry.calls.remove(&link.address);
        }
        sent
    }

    fn end(&self, book: &mut Book, request_id: &str) {
        let Some(entry) = book.by_id.get_mut(request_id) else { return };
        let total = entry.started.elapsed();
        self.board.hops.record(Hop::Total, total);
        let status = if entry.problem.is_some() { RequestStatus::Failed } else { RequestStatus::Complete };
        let event = Event::Outcome {
            request_id: request_id.to_owned(),
            at: now_ms(),
            status,
            counts: entry.view.counts,
            total_us: total.as_micros() as u64,
            reason: entry.problem.as_ref().map(|problem| problem.message.clone()),
        };
        entry.tell(event, &self.board);
        entry.progress.send_modify(|progress| progress.ended = true);
        book.in_flight -= 1;
        self.in_flight.send_replace(book.in_flight);
        book.ended.push_back(request_id.to_owned());
        if book.ended.len() > self.keep
            && let Some(oldest) = book.ended.pop_front()
        {
            book.by_id.remove(&oldest);
        }
    }

    fn with_call(&self, request_id: &str, link: SocketAddr, act: impl FnOnce(&mut Entry, &Board)) {
        let mut book = self.lock();
        match book.by_id.get_mut(request_id) {
            Some(entry) if entry.calls.contains_key(&link) => act(entry, &self.board),
            // The call had ended before, or never was.
            _ => self.board.ledger.late(),
        }
    }

    fn why_not_connected(&self) -> String {
        let upstream = &self.links.upstream;
        match *self.links.wanted().borrow() {
            true => format!("no requester is connected at {upstream}: is one running? It will be connected by itself"),
            false => "please connect the socket before making a request: GET /api/v1/dispatcher/connect".to_owned(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The parts of a request that links have: a call for each, with what its requester says until it ends.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::{ActiveRequest, Kept, PartOutcome, RequestStore, Requests};
use crate::web::links::{LinkHandle, QueuedRequest};
use crate::wire::{Accepted, ErrorCode, Event, FanOut, Outcome, Problem, Reply, now_ms};

impl Requests {
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

    pub(super) fn end_call(&self, store: &mut RequestStore, request_id: &str, link: SocketAddr, end: PartOutcome) {
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
    pub(super) fn call(&self, entry: &mut ActiveRequest, link: &LinkHandle) -> bool {
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
}

//! The calls of a request: one for each link that sends it. A call ends when the link's requester completes or refuses it, or is
//! lost.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::{ActiveRequest, KeptRequests, PartOutcome, RequestStore, Requests};
use crate::web::links::{LinkQueue, QueuedRequest};
use crate::wire::{Accepted, ErrorCode, Event, FanOut, Outcome, Problem, Reply, now_ms};

impl Requests {
    /// The requester has accepted the request. The call fails if there is no memory for the replies to its messages.
    pub fn call_accepted(&self, request_id: &str, link: SocketAddr, accepted: Accepted) {
        self.with_call(request_id, link, |entry, kept| {
            let before = entry.calls.insert(link, Some(accepted.instance.clone())).flatten();
            if before.as_ref() == Some(&accepted.instance) {
                return Ok(()); // The same instance resumes the request on a new connection.
            }
            if let Some(before) = before {
                self.end_messages_of(entry, &before, "its requester ended; the request was sent again");
            }
            if !self.reserve(entry, kept, ActiveRequest::bytes_of_accepted(&accepted)) {
                return Err(self.out_of_memory());
            }
            self.apply_and_publish(
                entry,
                Event::Accepted { request_id: request_id.to_owned(), at: now_ms(), accepted },
            );
            Ok(())
        });
    }

    /// The requester has sent a reply.
    pub fn call_reply(&self, link: SocketAddr, reply: Reply) {
        let request_id = reply.request_id.clone();
        self.with_call(&request_id, link, |entry, kept| self.take_reply(entry, kept, reply));
    }

    /// The requester has sent all replies at once, as the article's does, and so completed the call.
    pub fn call_set(&self, request_id: &str, link: SocketAddr, replies: Vec<Reply>) {
        self.with_call(request_id, link, |entry, kept| {
            replies.into_iter().try_for_each(|reply| self.take_reply(entry, kept, reply))
        });
        self.call_ended(request_id, link, PartOutcome::Complete);
    }

    /// Adds a reply to the view; a second one to the same message counts as a duplicate. If there is no memory for its body, the
    /// body is left out. If there is no memory for the rest either, the call fails; replies to accepted messages have memory
    /// reserved for that.
    fn take_reply(&self, entry: &mut ActiveRequest, kept: &mut KeptRequests, mut reply: Reply) -> Result<(), Problem> {
        if entry.view.has_reply(&reply.message_id) {
            self.status.ledger.duplicate();
            return Ok(());
        }
        let bytes = entry.bytes_of(&reply);
        if !self.reserve(entry, kept, bytes) {
            reply.leave_out(&format!(
                "its body was left out: this request has used a fourth of web.keep_bytes = {}, or all requests the whole",
                self.memory.bytes()
            ));
            let bytes = entry.bytes_of(&reply);
            if !self.reserve(entry, kept, bytes) {
                return Err(self.out_of_memory());
            }
        }
        self.apply_and_publish(entry, Event::Reply { at: now_ms(), reply: Box::new(reply) });
        entry.progress.send_modify(|progress| progress.replies += 1);
        Ok(())
    }

    /// The link has sent the request again, on a new connection.
    pub fn call_sent_again(&self, request_id: &str, link: SocketAddr, attempt: u32) {
        self.with_call(request_id, link, |entry, _| {
            self.status.ledger.retry();
            let (request_id, reason) = (request_id.to_owned(), format!("the connection to {link} was lost"));
            self.apply_and_publish(entry, Event::Retry { request_id, message_id: None, at: now_ms(), attempt, reason });
            Ok(())
        });
    }

    /// Ends a call, and the request with its last call.
    pub fn call_ended(&self, request_id: &str, link: SocketAddr, end: PartOutcome) {
        self.end_call(&mut self.store.lock(), request_id, link, end);
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
                instance.iter().for_each(|instance| self.end_messages_of(entry, instance, &reason));
                self.replace_call(entry, reason);
            }
            PartOutcome::Failed(problem) => {
                instance.iter().for_each(|instance| self.end_messages_of(entry, instance, &problem.message));
                entry.problem = Some(problem);
            }
        }
        if entry.calls.is_empty() {
            self.end(store, request_id);
        }
    }

    /// Moves the call of a link whose connection is lost to another link. False if no other link can take it: then it stays.
    pub fn call_moved(&self, request_id: &str, link: SocketAddr, reason: &str) -> bool {
        let movable = match self.store.lock().running.get(request_id) {
            Some(entry) => self.links.any(&entry.tried),
            None => true,
        };
        if movable {
            self.call_ended(request_id, link, PartOutcome::Gone(reason.to_owned()));
        }
        movable
    }

    /// Calls another link, which has had no call of this request, in place of one that is gone. If no link takes it, a request
    /// without calls and responses fails.
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

    /// Starts a call: passes the request to a link. False if the link has ended meanwhile.
    pub(super) fn call(&self, entry: &mut ActiveRequest, link: &LinkQueue) -> bool {
        entry.calls.insert(link.address, None);
        entry.tried.insert(link.address);
        self.status.ledger.sent();
        let (request, room) = (entry.request.clone(), entry.request_room.clone());
        let sending = QueuedRequest { request, deadline: entry.deadline, _room: room };
        let sent = link.push(sending);
        if !sent {
            self.status.ledger.ended(Outcome::Error);
            entry.calls.remove(&link.address);
        }
        sent
    }

    /// Marks the unanswered messages of an instance as lost: their replies will not come.
    fn end_messages_of(&self, entry: &mut ActiveRequest, instance: &str, reason: &str) {
        let lost: Vec<String> = entry.view.unanswered(instance).map(|message| message.message_id.clone()).collect();
        for message_id in lost {
            let (request_id, reason) = (entry.view.request_id.clone(), reason.to_owned());
            self.apply_and_publish(entry, Event::Lost { request_id, message_id, at: now_ms(), reason });
        }
    }

    /// Runs `act` on the request of an active call; an error ends the call.
    fn with_call(
        &self,
        request_id: &str,
        link: SocketAddr,
        act: impl FnOnce(&mut ActiveRequest, &mut KeptRequests) -> Result<(), Problem>,
    ) {
        let mut store = self.store.lock();
        let RequestStore { running, kept, .. } = &mut *store;
        match running.get_mut(request_id) {
            Some(entry) if entry.calls.contains_key(&link) => {
                if let Err(problem) = act(entry, kept) {
                    self.end_call(&mut store, request_id, link, PartOutcome::Failed(problem));
                }
            }
            // The call has ended already, or never existed.
            _ => self.status.ledger.late(),
        }
    }
}

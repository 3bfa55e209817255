//! The requests of a link: sending them, handling frames, ending them.

use parking_lot::MutexGuard;
use slog::{debug, info, warn};
use tokio::time::Instant;

use super::{LINK_ENDED, Link, Pending, Phase};
use crate::web::requests::PartOutcome;
use crate::wire::{ErrorCode, Frame, LinkState, Problem};

impl Link {
    /// Takes requests from the queue: to send them, as many as there is room for, or to send them by the next connection.
    pub(super) fn take_requests(&mut self) {
        loop {
            let connection = match &mut self.phase {
                Phase::Open(connection) if !connection.has_room() => return,
                Phase::Open(connection) => Some(connection),
                Phase::Connecting(_) | Phase::Waiting(_) => None,
            };
            let Some(mut request) = self.queue.pop() else { return };
            if let Some(connection) = connection {
                connection.send(&request.line());
            }
            self.pending().hold(request);
        }
    }

    /// What was under way when the last connection was lost, or the link died.
    pub(super) fn send_again(&mut self) {
        let Phase::Open(connection) = &mut self.phase else { return };
        for (attempt, request) in self.pending.lock().send_again() {
            let id = &request.request.request_id;
            debug!(self.log, "sending again"; "requestId" => id, "attempt" => attempt);
            self.context.requests.call_sent_again(id, self.address, attempt);
            connection.send(&request.line());
        }
    }

    pub(super) fn take(&mut self, frame: Frame) {
        if let Phase::Open(connection) = &mut self.phase {
            connection.note(&frame);
        }
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
                return warn!(self.log, "the requester reports an error"; "reason" => &error.message);
            }
            Frame::Draining => {
                info!(self.log, "the requester is shutting down");
                return self.context.table.set(self.address, LinkState::Draining, None, None);
            }
        };
        self.pending().end(&ended);
    }

    /// Ends the requests whose time is up.
    pub(super) fn give_up(&mut self) {
        let (code, message) = match self.phase {
            Phase::Open(_) => (ErrorCode::Timeout, format!("{} did not complete the request in time", self.address)),
            Phase::Connecting(_) | Phase::Waiting(_) => {
                (ErrorCode::Lost, format!("the connection to {} was lost, and did not come back in time", self.address))
            }
        };
        let expired = self.pending().expired(Instant::now());
        self.end(expired, &PartOutcome::Failed(Problem { code, message }));
    }

    /// Ends the requests that wait or are under way, and leaves the table at last: a link in the table that dies has a
    /// successor.
    pub(super) fn leave(&mut self) {
        self.context.table.set(self.address, LinkState::Disconnected, Some(LINK_ENDED.to_owned()), None);
        let mut pending = self.pending();
        self.queue.close().into_iter().for_each(|request| pending.hold(request));
        let ids = pending.ids();
        drop(pending);
        let reason = format!("the link to {} has ended: {LINK_ENDED}", self.address);
        self.end(ids, &PartOutcome::Gone(reason));
        self.context.table.remove(self.address);
    }

    /// Ends requests. Each is pending until it has ended: if this panics, the link's successor ends the rest.
    fn end(&self, ids: Vec<String>, end: &PartOutcome) {
        for id in ids {
            debug!(self.log, "ends a request"; "requestId" => &id);
            self.context.requests.call_ended(&id, self.address, end.clone());
            self.pending().end(&id);
        }
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock()
    }
}

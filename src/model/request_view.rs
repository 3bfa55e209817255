//! A request as it is shown: a fold of its events, the same where it was taken on and wherever its events arrive.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Event, FanOut, Outcome, OutcomeCounts, Reply, RequestStatus};

/// One message of a request, from its promise on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    pub message_id: String,
    pub requester_id: String,
    /// The requester instance's id.
    pub instance: String,
    /// Why it ended without a reply, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// When it last left its requester, in milliseconds since the epoch; known where that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<u64>,
}

/// A request, what became of it so far, and its replies in the order they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestView {
    pub request_id: String,
    /// When it was taken on, in milliseconds since the epoch.
    pub at: u64,
    pub task: Option<String>,
    pub fan_out: FanOut,
    /// None: the requester's configured timeout.
    pub timeout_ms: Option<u64>,
    /// Requester instances it was sent to.
    pub links: usize,
    pub status: RequestStatus,
    /// Why it failed, or what went wrong on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub messages: Vec<MessageView>,
    pub replies: Vec<Reply>,
    pub counts: OutcomeCounts,
    /// From acceptance to the end, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_us: Option<u64>,
}

impl RequestView {
    /// The view that a `request` event begins; none for other events.
    pub fn begin(event: &Event) -> Option<Self> {
        let Event::Request { request_id, at, task, fan_out, timeout_ms, links } = event else { return None };
        Some(Self {
            request_id: request_id.clone(),
            at: *at,
            task: task.clone(),
            fan_out: *fan_out,
            timeout_ms: *timeout_ms,
            links: *links,
            ..Self::default()
        })
    }

    /// The event by which others begin this view.
    pub fn opening(&self) -> Event {
        Event::Request {
            request_id: self.request_id.clone(),
            at: self.at,
            task: self.task.clone(),
            fan_out: self.fan_out,
            timeout_ms: self.timeout_ms,
            links: self.links,
        }
    }

    /// Takes in an event of this request.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Accepted { accepted, .. } => {
                for promise in &accepted.messages {
                    self.message(&promise.message_id, &promise.requester_id, &accepted.instance);
                }
            }
            // Told by the requester, so that it often comes before the promise, which the web tier tells.
            Event::Dispatched { message_id, requester_id, instance, at, .. } => {
                self.message(message_id, requester_id, instance).dispatched_at = Some(*at);
            }
            Event::Reply { reply, .. } => {
                self.counts.add(reply.outcome());
                self.replies.push((**reply).clone());
            }
            Event::Lost { message_id, reason, .. } => {
                self.counts.add(Outcome::Error);
                let lost = self.messages.iter_mut().filter(|message| message.message_id == *message_id);
                lost.for_each(|message| message.lost = Some(reason.clone()));
            }
            Event::Retry { message_id: None, reason, .. } => self.reason = Some(reason.clone()),
            Event::Outcome { status, counts, total_us, reason, .. } => {
                self.status = *status;
                self.counts = *counts;
                self.total_us = Some(*total_us);
                if reason.is_some() {
                    self.reason.clone_from(reason);
                }
            }
            _ => {}
        }
    }

    /// The view of a message, new or known.
    fn message(&mut self, message_id: &str, requester_id: &str, instance: &str) -> &mut MessageView {
        let known = self.messages.iter().position(|message| message.message_id == message_id);
        let place = known.unwrap_or_else(|| {
            let (message_id, requester_id, instance) = (message_id.into(), requester_id.into(), instance.into());
            self.messages.push(MessageView { message_id, requester_id, instance, lost: None, dispatched_at: None });
            self.messages.len() - 1
        });
        &mut self.messages[place]
    }

    /// The same with no body longer than `bytes`, see [`Reply::cut`].
    pub fn cut(&self, bytes: usize) -> Cow<'_, Self> {
        if self.replies.iter().all(|reply| reply.body.len() <= bytes) {
            return Cow::Borrowed(self);
        }
        let mut view = self.clone();
        view.replies.iter_mut().for_each(|reply| reply.cut(bytes));
        Cow::Owned(view)
    }

    /// The messages of an instance that neither a reply nor a loss has ended.
    pub fn unanswered<'a>(&'a self, instance: &'a str) -> impl Iterator<Item = &'a MessageView> {
        self.messages.iter().filter(move |message| {
            message.instance == instance
                && message.lost.is_none()
                && !self.replies.iter().any(|reply| reply.message_id == message.message_id)
        })
    }
}

/// The latest requests, by their events.
#[derive(Debug)]
pub struct RequestLog {
    limit: usize,
    by_id: HashMap<String, RequestView>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl RequestLog {
    /// Keeps `limit` requests.
    pub fn new(limit: usize) -> Self {
        Self { limit, by_id: HashMap::new(), order: VecDeque::new() }
    }

    /// Takes an event in; events of requests that are not known (any more) change nothing.
    pub fn apply(&mut self, event: &Event) {
        if let Some(view) = RequestView::begin(event) {
            self.order.push_back(view.request_id.clone());
            self.by_id.insert(view.request_id.clone(), view);
            if self.order.len() > self.limit
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_id.remove(&oldest);
            }
        } else if let Some(view) = event.request_id().and_then(|id| self.by_id.get_mut(id)) {
            view.apply(event);
        }
    }

    pub fn get(&self, request_id: &str) -> Option<&RequestView> {
        self.by_id.get(request_id)
    }

    /// Newest first.
    pub fn views(&self) -> impl Iterator<Item = &RequestView> {
        self.order.iter().rev().filter_map(|id| self.by_id.get(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Accepted, Promise, Request};

    fn request(id: &str) -> Event {
        let (request_id, fan_out) = (id.to_owned(), FanOut::All);
        Event::Request { request_id, at: 1, task: None, fan_out, timeout_ms: None, links: 1 }
    }

    #[test]
    fn a_request_gathers_its_messages_replies_and_outcome() {
        let mut log = RequestLog::new(10);
        log.apply(&request("a"));
        let messages = ["m1", "m2"].map(|id| Promise { message_id: id.into(), requester_id: "r".into() }).to_vec();
        let accepted = Accepted { instance: "i".into(), messages };
        log.apply(&Event::Accepted { request_id: "a".into(), at: 2, accepted });
        let wire = Request { request_id: "a".into(), ..Request::default() };
        let reply = wire.message("m1".into(), "r".into()).reply(7, "Hello".into());
        log.apply(&Event::Reply { at: 3, reply: Box::new(reply) });
        let view = log.get("a").unwrap();
        assert_eq!(view.unanswered("i").map(|message| &message.message_id[..]).collect::<Vec<_>>(), ["m2"]);
        let (request_id, message_id, reason) = ("a".into(), "m2".into(), "gone".into());
        log.apply(&Event::Lost { request_id, message_id, at: 4, reason });
        let view = log.get("a").unwrap();
        assert_eq!(view.unanswered("i").count(), 0);
        assert_eq!(view.counts, OutcomeCounts { responses: 1, errors: 1, timeouts: 0 });
    }

    #[test]
    fn a_long_body_is_cut_between_characters_and_its_length_kept() {
        let wire = Request { request_id: "a".into(), ..Request::default() };
        let mut log = RequestLog::new(1);
        log.apply(&request("a"));
        for body in ["abcdé", "abcd"] {
            let reply = Box::new(wire.message(body.into(), "r".into()).reply(7, body.into()));
            log.apply(&Event::Reply { at: 3, reply });
        }
        let view = log.get("a").unwrap();
        assert!(matches!(view.cut(6), Cow::Borrowed(_)));
        let cut = view.cut(5);
        assert_eq!((&cut.replies[0].body[..], cut.replies[0].body_bytes), ("abcd", Some(6)));
        assert_eq!(cut.replies[1], view.replies[1]);
    }

    /// The dashboard's fold runs the same log.
    #[test]
    fn the_event_log_folds_into_the_requests_it_says() {
        #[derive(Deserialize)]
        struct Log {
            events: Vec<Step>,
            requests: Vec<RequestView>,
        }
        #[derive(Deserialize)]
        struct Step {
            event: Event,
        }
        let told: Log = serde_json::from_str(include_str!("../../tests/fixtures/events.json")).unwrap();
        let mut log = RequestLog::new(10);
        told.events.iter().for_each(|step| log.apply(&step.event));
        assert_eq!(log.views().cloned().collect::<Vec<_>>(), told.requests);
        assert!(!told.requests.is_empty());
    }

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let mut log = RequestLog::new(2);
        ["a", "b", "c"].iter().for_each(|id| log.apply(&request(id)));
        assert_eq!(log.views().map(|view| &view.request_id[..]).collect::<Vec<_>>(), ["c", "b"]);
        assert!(log.get("a").is_none());
    }
}

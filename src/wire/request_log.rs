//! The latest requests of the whole deployment, built from their events, limited in number and memory.

use std::collections::{HashMap, VecDeque};
use std::mem::size_of;

use super::{Event, Footprint, RequestFold, RequestView};

/// Maximum length of a reply's body for dashboards, in bytes. The web instance that accepted the request returns the whole body
/// by its API.
pub const SHOWN_BODY: usize = 16 << 10;

/// A request may take one part in `SHARE` of the log's memory.
const SHARE: usize = 4;

/// The latest requests.
#[derive(Debug)]
pub struct RequestLog {
    /// Maximum number of requests.
    max_requests: usize,
    /// Maximum memory of all requests together, in bytes.
    max_bytes: usize,
    bytes: usize,
    by_id: HashMap<String, Logged>,
    /// Oldest first.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Logged {
    request: RequestFold,
    bytes: usize,
}

impl RequestLog {
    /// Keeps up to `max_requests` requests in up to `max_bytes` bytes of memory.
    pub fn new(max_requests: usize, max_bytes: usize) -> Self {
        Self { max_requests, max_bytes, bytes: 0, by_id: HashMap::new(), order: VecDeque::new() }
    }

    /// Applies an event, and removes the oldest requests if the limits are exceeded. Ignores events of unknown requests. Returns
    /// false, and ignores the event, if its request would exceed a fourth of the memory.
    pub fn apply(&mut self, event: &Event) -> bool {
        let Some(id) = event.request_id() else { return true };
        let known = self.by_id.get(id).map(|logged| logged.bytes);
        let begun = RequestView::begin(event).filter(|_| known.is_none());
        let base = if begun.is_some() { size_of::<Logged>() + id.len() } else { 0 };
        let adds = base + event.footprint();
        if known.unwrap_or_default() + adds > self.max_bytes / SHARE {
            return false;
        }
        if let Some(view) = begun {
            self.order.push_back(id.to_owned());
            self.by_id.insert(id.to_owned(), Logged { request: view.into(), bytes: adds });
        } else if let Some(logged) = self.by_id.get_mut(id) {
            logged.request.apply(event);
            logged.bytes += adds;
        } else {
            return true;
        }
        self.bytes += adds;
        while (self.order.len() > self.max_requests || self.bytes > self.max_bytes)
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.by_id.remove(&oldest).map_or(0, |logged| logged.bytes);
        }
        true
    }

    pub fn get(&self, request_id: &str) -> Option<&RequestView> {
        self.by_id.get(request_id).map(|logged| &*logged.request)
    }

    /// The requests, newest first.
    pub fn views(&self) -> impl ExactSizeIterator<Item = &RequestView> {
        self.order.iter().rev().map(|id| &*self.by_id[id].request)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::wire::{Accepted, FanOut, MessageRef, OutcomeCounts, Reply, Request};

    const LARGE: usize = 1 << 30;

    fn request(id: &str) -> Event {
        let (request_id, fan_out) = (id.to_owned(), FanOut::All);
        Event::Request { request_id, at: 1, task: None, fan_out, timeout_ms: None, links: 1 }
    }

    #[test]
    fn a_request_gathers_its_messages_replies_and_outcome() {
        let mut log = RequestLog::new(10, LARGE);
        assert!(log.apply(&request("a")));
        let messages = ["m1", "m2"].map(|id| MessageRef { message_id: id.into(), requester_id: "r".into() }).to_vec();
        let accepted = Accepted { instance: "i".into(), messages };
        log.apply(&Event::Accepted { request_id: "a".into(), at: 2, accepted });
        let wire = Request { request_id: "a".into(), ..Request::default() };
        let reply = wire.message("m1".into(), "r".into()).reply(7, "Hello".into());
        log.apply(&Event::Reply { at: 3, reply: Box::new(reply) });
        let view = &log.by_id["a"].request;
        assert_eq!(view.unanswered("i").map(|message| &message.message_id[..]).collect::<Vec<_>>(), ["m2"]);
        let (request_id, message_id, reason) = ("a".into(), "m2".into(), "gone".into());
        log.apply(&Event::Lost { request_id, message_id, at: 4, reason });
        let view = &log.by_id["a"].request;
        assert_eq!(view.unanswered("i").count(), 0);
        assert_eq!(view.counts, OutcomeCounts { responses: 1, errors: 1, timeouts: 0 });
    }

    /// A test of the dashboard applies the same events.
    #[test]
    fn the_events_of_the_fixture_make_its_requests() {
        #[derive(Deserialize)]
        struct Log {
            events: Vec<Step>,
            requests: Vec<RequestView>,
        }
        #[derive(Deserialize)]
        struct Step {
            event: Event,
        }
        let fixture: Log = serde_json::from_str(include_str!("../../tests/fixtures/events.json")).unwrap();
        let mut log = RequestLog::new(10, LARGE);
        assert!(fixture.events.iter().all(|step| log.apply(&step.event)));
        assert_eq!(log.views().cloned().collect::<Vec<_>>(), fixture.requests);
        assert!(!fixture.requests.is_empty());
    }

    #[test]
    fn the_oldest_request_is_removed_for_a_new_one() {
        let mut log = RequestLog::new(2, LARGE);
        assert!(["a", "b", "c"].iter().all(|id| log.apply(&request(id))));
        assert_eq!(log.views().map(|view| &view.request_id[..]).collect::<Vec<_>>(), ["c", "b"]);
        assert!(log.get("a").is_none());
    }

    fn reply(request: &str, message: String, body: usize) -> Event {
        let wire = Request { request_id: request.into(), ..Request::default() };
        let reply: Reply = wire.message(message, "r".into()).reply(7, "x".repeat(body));
        Event::Reply { at: 3, reply: Box::new(reply) }
    }

    #[test]
    fn no_events_make_the_log_exceed_its_memory() {
        let max_bytes = 1 << 20;
        let mut log = RequestLog::new(1_000, max_bytes);
        let mut refused = 0;
        for number in 0..200 {
            let id = number.to_string();
            assert!(log.apply(&request(&id)));
            for message in 0..100 {
                refused += usize::from(!log.apply(&reply(&id, message.to_string(), 5_000)));
                assert!(log.bytes <= max_bytes);
            }
        }
        assert!(refused > 200 * 40, "a request has a fourth of it: {refused} replies were refused");
        assert!((2..=5).contains(&log.views().len()) && log.get("199").is_some() && log.get("0").is_none());
        assert_eq!(log.bytes, log.by_id.values().map(|logged| logged.bytes).sum::<usize>());
        assert!(!log.apply(&request(&"i".repeat(max_bytes))), "an id counts too");
    }

    #[test]
    fn a_second_event_of_the_same_request_adds_none() {
        let mut log = RequestLog::new(2, LARGE);
        ["a", "a", "a", "b"].iter().for_each(|id| assert!(log.apply(&request(id))));
        assert_eq!(log.views().len(), 2);
    }

    #[test]
    fn ten_thousand_messages_and_replies_are_found_by_their_ids() {
        let mut log = RequestLog::new(1, LARGE);
        log.apply(&request("a"));
        let messages =
            (0..10_000).map(|id| MessageRef { message_id: id.to_string(), requester_id: "r".into() }).collect();
        let accepted = Accepted { instance: "i".into(), messages };
        log.apply(&Event::Accepted { request_id: "a".into(), at: 2, accepted });
        assert!((1..10_000).all(|id| log.apply(&reply("a", id.to_string(), 1))));
        let view = &log.by_id["a"].request;
        assert_eq!(view.unanswered("i").map(|message| &message.message_id[..]).collect::<Vec<_>>(), ["0"]);
        assert!(view.has_reply("9999") && !view.has_reply("0"));
    }
}

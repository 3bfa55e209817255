//! The requests in a snapshot: the newest of this web tier and of others, as far as they fit.

use serde_json::value::RawValue;

use crate::web::json_of;
use crate::web::requests::Shown;
use crate::wire::{RequestLog, RequestView, SHOWN_BODY};

/// Most bytes of the requests in a snapshot.
const MAX_BYTES: usize = 4 << 20;

/// What a snapshot shows of the requests.
pub struct Shortlist {
    /// Each as JSON, newest first.
    pub requests: Vec<Box<RawValue>>,
    /// Of all requests together.
    bytes: usize,
    /// Older ones, for which there was no room.
    pub left_out: usize,
}

impl Shortlist {
    /// Of this web tier's own and of the others', both newest first. One that does not fit comes without bodies; where it
    /// does not fit then, it and the older ones are left out.
    pub fn of(own: &[Shown], others: &RequestLog) -> Self {
        let mut own = own.iter().map(|shown| &**shown).peekable();
        let mut others = others.views().peekable();
        let newest = std::iter::from_fn(|| match (own.peek(), others.peek()) {
            (Some(one), Some(other)) if one.at < other.at => others.next(),
            (None, _) => others.next(),
            (Some(_), _) => own.next(),
        });
        let mut list = Self { requests: vec![], bytes: 0, left_out: 0 };
        for view in newest {
            if list.left_out > 0 || !(list.add(view, SHOWN_BODY) || list.add(view, 0)) {
                list.left_out += 1;
            }
        }
        list
    }

    /// Adds a request with bodies of up to so many bytes; false where it does not fit.
    fn add(&mut self, view: &RequestView, body: usize) -> bool {
        let view = json_of(&*Shown::of(view, body));
        // With the comma after it.
        let bytes = view.get().len() + 1;
        let fits = self.bytes + bytes <= MAX_BYTES;
        if fits {
            self.bytes += bytes;
            self.requests.push(view);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Event, FanOut, Request};

    fn view(id: &str, at: u64, replies: usize) -> RequestView {
        let request = Request { request_id: id.into(), ..Request::default() };
        let reply = |index: usize| request.message(index.to_string(), "r".into()).reply(7, "x".repeat(SHOWN_BODY + 1));
        let replies = (0..replies).map(reply).collect();
        RequestView { request_id: id.into(), at, replies, ..RequestView::default() }
    }

    #[test]
    fn the_newest_come_first_without_bodies_where_these_do_not_fit() {
        let mut others = RequestLog::new(10, 1 << 20);
        for (id, at) in [("old", 1), ("other", 3)] {
            let (request_id, fan_out) = (id.to_owned(), FanOut::All);
            others.apply(&Event::Request { request_id, at, task: None, fan_out, timeout_ms: None, links: 1 });
        }
        let own = [view("new", 4, 100), view("wide", 2, 300)].map(|view| Shown::of(&view, usize::MAX));
        let list = Shortlist::of(&own, &others);
        let views = list.requests.iter().map(|view| serde_json::from_str(view.get()).unwrap());
        let views: Vec<RequestView> = views.collect();
        assert_eq!(views.iter().map(|view| &*view.request_id).collect::<Vec<_>>(), ["new", "other", "wide", "old"]);
        let lengths = [0, 2].map(|index| (views[index].replies.len(), views[index].replies[0].body.len()));
        assert_eq!((lengths, list.left_out), ([(100, SHOWN_BODY), (300, 0)], 0));
        assert!(views[2].replies.iter().all(|reply| reply.body_bytes == Some(SHOWN_BODY + 1)));
    }

    #[test]
    fn the_oldest_are_left_out_where_even_that_does_not_fit() {
        let own: Vec<_> = (0..8).map(|index| Shown::of(&view("own", 9 - index, 5_000), 0)).collect();
        let list = Shortlist::of(&own, &RequestLog::new(10, 1 << 20));
        assert!(list.bytes <= MAX_BYTES && (1..8).contains(&list.left_out), "{} left out", list.left_out);
    }
}

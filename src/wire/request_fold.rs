//! Builds a request's view from its events, with the same result on the web instance that accepted it and on all others.

use std::collections::HashMap;
use std::ops::Deref;

use super::{Event, MessageView, Outcome, RequestView};

/// The view of an active request, with an index of its messages by id.
#[derive(Clone, Debug)]
pub struct RequestFold {
    view: RequestView,
    known: HashMap<String, Known>,
}

/// The state of a message. Its reply may arrive before its `accepted` event.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Index in the view's messages.
    place: Option<usize>,
    replied: bool,
}

impl From<RequestView> for RequestFold {
    /// For a view without messages and replies.
    fn from(view: RequestView) -> Self {
        Self { view, known: HashMap::new() }
    }
}

impl Deref for RequestFold {
    type Target = RequestView;

    fn deref(&self) -> &RequestView {
        &self.view
    }
}

impl RequestFold {
    pub fn into_view(self) -> RequestView {
        self.view
    }

    /// Applies an event of this request.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Accepted { accepted, .. } => {
                for message in &accepted.messages {
                    self.message(&message.message_id, &message.requester_id, &accepted.instance);
                }
            }
            // Sent by the requester, so it often arrives before the web tier's `accepted` event.
            Event::Dispatched { message_id, requester_id, instance, at, .. } => {
                self.message(message_id, requester_id, instance).dispatched_at = Some(*at);
            }
            Event::Reply { reply, .. } => {
                self.known.entry(reply.message_id.clone()).or_default().replied = true;
                self.view.counts.add(reply.outcome());
                self.view.replies.push((**reply).clone());
            }
            Event::Lost { message_id, reason, .. } => {
                self.view.counts.add(Outcome::Error);
                if let Some(place) = self.known.get(message_id).and_then(|known| known.place) {
                    self.view.messages[place].lost = Some(reason.clone());
                }
            }
            Event::Retry { message_id: None, reason, .. } => self.view.reason = Some(reason.clone()),
            Event::Outcome { status, counts, total_us, reason, .. } => {
                self.view.status = *status;
                self.view.counts = *counts;
                self.view.total_us = Some(*total_us);
                if reason.is_some() {
                    self.view.reason.clone_from(reason);
                }
            }
            _ => {}
        }
    }

    /// True if the message is known from an `accepted` or `dispatched` event.
    pub fn is_promised(&self, message_id: &str) -> bool {
        self.known.get(message_id).is_some_and(|known| known.place.is_some())
    }

    /// True if a message has its reply.
    pub fn has_reply(&self, message_id: &str) -> bool {
        self.known.get(message_id).is_some_and(|known| known.replied)
    }

    /// The messages of an instance that have neither a reply nor a loss.
    pub fn unanswered<'a>(&'a self, instance: &'a str) -> impl Iterator<Item = &'a MessageView> {
        self.view.messages.iter().filter(move |message| {
            message.instance == instance && message.lost.is_none() && !self.has_reply(&message.message_id)
        })
    }

    /// The view of a message, added if it is new.
    fn message(&mut self, message_id: &str, requester_id: &str, instance: &str) -> &mut MessageView {
        let messages = &mut self.view.messages;
        let place = *self.known.entry(message_id.to_owned()).or_default().place.get_or_insert_with(|| {
            let (message_id, requester_id, instance) = (message_id.into(), requester_id.into(), instance.into());
            messages.push(MessageView { message_id, requester_id, instance, lost: None, dispatched_at: None });
            messages.len() - 1
        });
        &mut messages[place]
    }
}

//! Requests in the form that dashboards receive.

use std::ops::Deref;
use std::sync::Arc;

use super::Ended;
use crate::wire::{Reply, RequestView};

/// A request for the snapshot of a dashboard.
pub enum Shown {
    /// A copy with shortened bodies.
    Cut(RequestView),
    /// An ended request, shared with the store.
    Ended(Arc<Ended>),
}

impl Shown {
    /// A copy with bodies of at most `body` bytes.
    pub fn of(view: &RequestView, body: usize) -> Self {
        let cut = |reply: &Reply| {
            let mut reply = reply.clone();
            reply.cut(body);
            reply
        };
        Self::Cut(view.with_replies(view.replies.iter().map(cut).collect()))
    }
}

impl Deref for Shown {
    type Target = RequestView;

    fn deref(&self) -> &RequestView {
        match self {
            Self::Cut(view) => view,
            Self::Ended(ended) => &ended.view,
        }
    }
}

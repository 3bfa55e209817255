//! A request as it is shown to a dashboard.

use std::ops::Deref;
use std::sync::Arc;

use super::Ended;
use crate::wire::{Reply, RequestView};

/// A request as a dashboard is shown it.
pub enum Shown {
    /// With its bodies cut.
    Cut(RequestView),
    Ended(Arc<Ended>),
}

impl Shown {
    /// With bodies of up to so many bytes.
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

//! Ended requests: how a call ends, what is kept of a request, and what waiting clients receive.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::runtime::Room;
use crate::wire::{Problem, Reply, RequestView};

/// How a call ended: the part of a request that one link sends.
#[derive(Clone, Debug)]
pub enum PartOutcome {
    /// Every message has its outcome.
    Complete,
    /// The connection or the instance is gone: another link may take the call over.
    Gone(String),
    /// It failed, and no other link takes it over.
    Failed(Problem),
}

/// A request that has ended. Its memory is returned when the last reference to it is dropped.
#[derive(Debug)]
pub struct Ended {
    /// Sequence number among the requests that this instance accepted.
    pub number: u64,
    pub view: RequestView,
    /// Why it failed, if it failed.
    pub problem: Option<Problem>,
    pub _room: Room,
}

/// News for a client since its last call: further replies, or the whole request once it has ended.
#[derive(Debug)]
pub enum News {
    Replies(Vec<Reply>),
    Ended(Arc<Ended>),
}

/// The ended requests that clients can still read.
#[derive(Default)]
pub struct KeptRequests {
    pub by_id: HashMap<String, Arc<Ended>>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl KeptRequests {
    pub fn add(&mut self, ended: Arc<Ended>) {
        self.order.push_back(ended.view.request_id.clone());
        self.by_id.insert(ended.view.request_id.clone(), ended);
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Removes the oldest; `None` if there are none.
    pub fn remove_oldest(&mut self) -> Option<Arc<Ended>> {
        self.by_id.remove(&self.order.pop_front()?)
    }
}

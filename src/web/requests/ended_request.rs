//! The ends of requests: how a call ended, what is kept of a request that has, and what those who wait are given.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::runtime::Room;
use crate::wire::{Problem, Reply, RequestView};

/// How a request's way by one link ended.
#[derive(Debug)]
pub enum PartOutcome {
    /// Every message has its outcome.
    Complete,
    /// The instance is not there any more: another may take its part.
    Gone(String),
    /// It can't be carried out.
    Failed(Problem),
}

/// A request that has ended. Its memory is given back when nobody has it any more.
#[derive(Debug)]
pub struct Ended {
    /// Place among all requests of this instance, in the order in which they were taken on.
    pub number: u64,
    pub view: RequestView,
    /// Why it failed, if it did.
    pub problem: Option<Problem>,
    pub _room: Room,
}

/// What has come since someone last looked: replies, or the whole request, once it has ended.
#[derive(Debug)]
pub enum News {
    Replies(Vec<Reply>),
    Ended(Arc<Ended>),
}

/// Requests that have ended.
#[derive(Default)]
pub struct Kept {
    pub by_id: HashMap<String, Arc<Ended>>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Kept {
    pub fn add(&mut self, ended: Arc<Ended>) {
        self.order.push_back(ended.view.request_id.clone());
        self.by_id.insert(ended.view.request_id.clone(), ended);
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Forgets the oldest; none where there is none.
    pub fn forget(&mut self) -> Option<Arc<Ended>> {
        self.by_id.remove(&self.order.pop_front()?)
    }
}

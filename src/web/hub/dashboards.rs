//! The dashboards that watch: each is sent a snapshot first, then batches. One text is shared by all; a dashboard that is
//! slow misses batches, and gets a new snapshot when it has read what it was sent before.

use std::sync::Arc;

use actix::Recipient;
use actix::dev::SendError;
use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Push;
use crate::runtime::Memory;

/// What may wait for a slow dashboard, in bytes: some batches, or one text of any length.
const WAITING: usize = 256 << 10;

/// What texts that some dashboard has not read yet take, all together, in bytes.
const TEXTS: usize = 24 << 20;

struct Session {
    to: Recipient<Push>,
    /// For the texts that it has not read.
    waiting: Memory,
    /// It missed a batch, or is new, and so gets a snapshot next.
    behind: bool,
}

impl Session {
    /// Whether a snapshot would be read soon: making one for a browser that has not read what it was sent would cost and not
    /// arrive.
    fn takes_snapshot(&self) -> bool {
        self.behind && self.waiting.taken() == 0
    }

    /// False when the dashboard is gone.
    fn send(&mut self, text: &Bytes) -> bool {
        let Some(room) = self.waiting.take(text.len().min(WAITING)) else {
            self.behind = true;
            return self.to.connected();
        };
        let sent = self.to.try_send(Push::Text(text.clone(), room));
        self.behind = matches!(sent, Err(SendError::Full(_)));
        !matches!(sent, Err(SendError::Closed(_)))
    }
}

/// A place among the dashboards, free again when dropped.
pub type DashboardPermit = OwnedSemaphorePermit;

/// Every dashboard of this web instance.
pub struct Dashboards {
    sessions: Vec<Session>,
    texts: Memory,
    slots: Arc<Semaphore>,
}

impl Dashboards {
    /// None yet; `most` may watch at one time.
    pub fn new(most: usize) -> Self {
        Self { sessions: vec![], texts: Memory::of(TEXTS), slots: Arc::new(Semaphore::new(most)) }
    }

    /// A place for one more, if there is one.
    pub fn permit(&self) -> Option<DashboardPermit> {
        self.slots.clone().try_acquire_owned().ok()
    }

    pub fn join(&mut self, to: Recipient<Push>) {
        self.sessions.push(Session { to, waiting: Memory::of(WAITING), behind: true });
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Every dashboard gets a snapshot next.
    pub fn refresh(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.behind = true);
    }

    /// Whether a dashboard is to get a snapshot now.
    pub fn want_snapshot(&self) -> bool {
        self.sessions.iter().any(Session::takes_snapshot)
    }

    /// Sends a batch, if there is one, to those that have all before it, and the snapshot to those that missed some. Where the
    /// memory for texts is full, all miss the batch. Those that only now miss one get a snapshot the next time.
    pub fn send(&mut self, batch: Option<String>, snapshot: Option<String>) {
        if let Some(batch) = batch {
            match self.texts.hold(batch) {
                Some(batch) => self.sessions.retain_mut(|session| match session.behind {
                    true => session.to.connected(),
                    false => session.send(&batch),
                }),
                None => self.refresh(),
            }
        }
        if let Some(snapshot) = snapshot.and_then(|snapshot| self.texts.hold(snapshot)) {
            self.sessions.retain_mut(|session| !session.takes_snapshot() || session.send(&snapshot));
        }
    }

    /// Asks every dashboard to leave.
    pub fn close(&mut self) {
        self.sessions.drain(..).for_each(|session| session.to.do_send(Push::Close));
    }
}

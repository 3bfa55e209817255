//! The event log as the web tier's parts share it: the hub, the load, the links and the calls write to it, dashboards and the
//! API read it.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::{By, EventKind, EventLog, LoggedEvent, Pending};
use crate::web::Feed;
use crate::wire::now_ms;

/// The log, and the events that will be added to it.
pub struct History {
    state: Mutex<State>,
    /// Told of news for dashboards.
    feed: Arc<Feed>,
}

struct State {
    log: EventLog,
    pending: Pending,
}

impl History {
    /// Keeps up to `most` events.
    pub fn new(most: usize, feed: Arc<Feed>) -> Self {
        Self { state: Mutex::new(State { log: EventLog::new(most, now_ms()), pending: Pending::default() }), feed }
    }

    /// What soon happens to `subject` (an instance, a link, ...) is caused by somebody.
    pub fn expect(&self, subject: &str, kind: EventKind, by: By) {
        self.state.lock().pending.expect(subject, kind, by, Instant::now());
    }

    /// Takes in what has happened.
    pub fn take(&self, events: impl IntoIterator<Item = LoggedEvent>) {
        for event in events {
            let (mut state, now) = (self.state.lock(), Instant::now());
            let complete = state.pending.take(event, now);
            self.add(&mut state, complete, now);
        }
    }

    /// Adds what has waited long enough, and forgets what is older than an hour.
    pub fn look(&self) {
        let (mut state, now) = (self.state.lock(), Instant::now());
        let due = state.pending.due(now);
        self.add(&mut state, due, now);
        state.log.forget(now);
    }

    /// Reads the log, which does not change meanwhile.
    pub fn read<T>(&self, read: impl FnOnce(&EventLog) -> T) -> T {
        read(&self.state.lock().log)
    }

    fn add(&self, state: &mut State, events: Vec<LoggedEvent>, now: Instant) {
        if !events.is_empty() {
            events.into_iter().for_each(|event| state.log.push(now, event));
            self.feed.wake();
        }
    }
}

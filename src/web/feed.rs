//! What the dashboards are shown next. Requests and the hub write to it under their own locks, so that a snapshot that is
//! made under both fits the batches before and after it.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Notify;

use crate::wire::Event;

/// Most bytes of a batch's events. Where there are more, all dashboards get a snapshot instead.
const BATCH: usize = 1 << 20;

/// The events of the next batch.
#[derive(Default)]
pub struct Feed {
    next: Mutex<Batch>,
    /// Nobody watches: nothing need be written.
    watched: AtomicBool,
    news: Notify,
}

/// Events for the dashboards.
#[derive(Debug, Default)]
pub struct Batch {
    /// Each as JSON.
    pub events: Vec<Box<RawValue>>,
    /// Of all events together.
    bytes: usize,
    /// There were more than a batch holds, and they are left to a snapshot.
    pub overflowed: bool,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.overflowed
    }
}

impl Feed {
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Sets whether there is a dashboard.
    pub fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// Shows an event with the next batch.
    pub fn show(&self, event: &Event) {
        if !self.is_watched() {
            return;
        }
        let event = json_of(event);
        let bytes = event.get().len();
        let mut next = self.next.lock();
        if next.bytes + bytes > BATCH {
            *next = Batch { overflowed: true, ..Batch::default() };
        } else if !next.overflowed {
            next.bytes += bytes;
            next.events.push(event);
        }
        drop(next);
        self.news.notify_one();
    }

    /// Something other than an event is to be looked at.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Returns when something was shown since the last call.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// The events since the last call.
    pub fn take(&self) -> Batch {
        std::mem::take(&mut *self.next.lock())
    }

    pub fn is_empty(&self) -> bool {
        self.next.lock().is_empty()
    }
}

/// A value as JSON.
pub fn json_of(value: &impl Serialize) -> Box<RawValue> {
    // What is shown is made of texts, numbers and maps by text, none of which can fail to be written.
    to_raw_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(reason: usize) -> Event {
        Event::InstanceGone { id: "a".into(), at: 1, reason: "x".repeat(reason) }
    }

    #[test]
    fn what_is_too_much_for_a_batch_is_left_to_a_snapshot_and_the_next_batch_begins_anew() {
        let feed = Feed::default();
        feed.show(&gone(1));
        assert!(feed.is_empty(), "nobody watches");
        feed.watch(true);
        (0..2).for_each(|_| feed.show(&gone(1)));
        let events = feed.take().events;
        let events = events.iter().map(|event| serde_json::from_str::<Event>(event.get()).unwrap());
        assert_eq!(events.collect::<Vec<_>>(), [gone(1), gone(1)]);
        feed.show(&gone(1));
        feed.show(&gone(BATCH));
        feed.show(&gone(1));
        let batch = feed.take();
        assert!(batch.overflowed && batch.events.is_empty());
        feed.show(&gone(1));
        assert!(!feed.take().overflowed && feed.is_empty());
    }
}

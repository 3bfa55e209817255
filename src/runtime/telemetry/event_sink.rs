//! Where the components of a process leave their events: those for its own web instance, and those for other processes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::wire::Event;

/// Events that may wait to be sent. More are left out: telemetry may lose, and must not grow.
const OUTBOX: usize = 8_192;

/// Takes events. Cheap to clone, never waits.
#[derive(Clone)]
pub struct EventSink(Arc<Sink>);

struct Sink {
    outbox: mpsc::Sender<Event>,
    /// Whether there is a web instance in another process.
    elsewhere: AtomicBool,
    /// The web instance of this process.
    here: OnceLock<mpsc::Sender<Event>>,
    /// How many per-message events each second may have.
    per_second: u64,
    second: Mutex<(Instant, u64)>,
    dropped: AtomicU64,
}

impl EventSink {
    /// An event sink and the end that the publisher reads. `per_second` bounds the per-message events.
    pub fn new(per_second: u64) -> (Self, mpsc::Receiver<Event>) {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let sink = Sink {
            outbox,
            elsewhere: AtomicBool::new(false),
            here: OnceLock::new(),
            per_second,
            second: Mutex::new((Instant::now(), 0)),
            dropped: AtomicU64::new(0),
        };
        (Self(Arc::new(sink)), inbox)
    }

    /// The end that the web instance of this process reads.
    pub fn attach(&self) -> mpsc::Receiver<Event> {
        let (here, inbox) = mpsc::channel(OUTBOX);
        // A process has one web instance.
        let _ = self.0.here.set(here);
        inbox
    }

    /// Publishes an event of an instance's or a worker's life.
    pub fn emit(&self, event: Event) {
        if self.is_heard_elsewhere() {
            self.post(&self.0.outbox, event.clone());
        }
        self.emit_here(event);
    }

    /// Publishes an event for the web instance of this process alone.
    pub fn emit_here(&self, event: Event) {
        if let Some(here) = self.0.here.get() {
            self.post(here, event);
        }
    }

    /// Publishes an event of a single message, if this second's budget has room; it is made only then.
    pub fn emit_for_message(&self, event: impl FnOnce() -> Event) {
        if (self.is_heard_elsewhere() || self.0.here.get().is_some()) && self.has_budget() {
            self.emit(event());
        }
    }

    /// Publishes an event of a request to other web instances, without bodies: the one in this process shows its requests
    /// itself. How a request ended is always published, the rest if this second's budget has room.
    pub fn emit_elsewhere(&self, mut event: Event) {
        if self.is_heard_elsewhere() && (matches!(event, Event::Outcome { .. }) || self.has_budget()) {
            if let Event::Reply { reply, .. } = &mut event {
                reply.cut(0);
                reply.extra.clear();
            }
            self.post(&self.0.outbox, event);
        }
    }

    /// Events left out since the start.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Whether there is a web instance in another process.
    pub fn is_heard_elsewhere(&self) -> bool {
        self.0.elsewhere.load(Ordering::Relaxed)
    }

    fn post(&self, to: &mpsc::Sender<Event>, event: Event) {
        if to.try_send(event).is_err() {
            self.left_out(1);
        }
    }

    /// Takes one event from this second's budget; where it is used up, the event counts as left out.
    fn has_budget(&self) -> bool {
        let room = {
            let mut second = self.0.second.lock().unwrap_or_else(PoisonError::into_inner);
            if second.0.elapsed() >= Duration::from_secs(1) {
                *second = (Instant::now(), 0);
            }
            second.1 += 1;
            second.1 <= self.0.per_second
        };
        if !room {
            self.left_out(1);
        }
        room
    }

    /// Says whether there is one.
    pub fn hear_elsewhere(&self, heard: bool) {
        self.0.elsewhere.store(heard, Ordering::Relaxed);
    }

    /// Counts events that were left out.
    pub fn left_out(&self, events: usize) {
        self.0.dropped.fetch_add(events as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{OutcomeCounts, Request, RequestStatus};

    fn reply() -> Event {
        let reply = Request::default().message("m".into(), "r".into()).reply(7, "Hello".into());
        Event::Reply { at: 1, reply: Box::new(reply) }
    }

    fn outcome() -> Event {
        let (request_id, counts) = ("a".to_owned(), OutcomeCounts::default());
        Event::Outcome { request_id, at: 1, status: RequestStatus::Complete, counts, total_us: 1, reason: None }
    }

    #[test]
    fn events_are_made_only_where_somebody_listens() {
        let (sink, mut outbox) = EventSink::new(100);
        sink.emit_for_message(|| panic!("nobody listens"));
        sink.emit_elsewhere(reply());
        assert!(outbox.try_recv().is_err());
        let mut here = sink.attach();
        sink.emit_for_message(outcome);
        sink.emit_elsewhere(reply());
        assert_eq!((here.try_recv().ok(), here.try_recv().ok(), outbox.try_recv().ok()), (Some(outcome()), None, None));
        assert_eq!(sink.dropped(), 0);
    }

    #[test]
    fn other_web_instances_get_requests_without_bodies_and_always_their_ends() {
        let (sink, mut outbox) = EventSink::new(1);
        sink.hear_elsewhere(true);
        (0..3).for_each(|_| sink.emit_elsewhere(reply()));
        sink.emit_elsewhere(outcome());
        let Ok(Event::Reply { reply, .. }) = outbox.try_recv() else { panic!() };
        assert_eq!((&*reply.body, reply.body_bytes), ("", Some(5)));
        assert_eq!((outbox.try_recv().ok(), outbox.try_recv().ok()), (Some(outcome()), None));
        assert_eq!(sink.dropped(), 2);
    }
}

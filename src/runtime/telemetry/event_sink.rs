//! The queues of a process's events: one for the web instance in the process, one for web instances in other processes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::wire::Event;

/// Maximum events in each queue. More are dropped: telemetry may lose events, and its memory is bounded.
const OUTBOX: usize = 8_192;

/// Queues events without waiting. Clones share the queues.
#[derive(Clone)]
pub struct EventSink(Arc<Sink>);

struct Sink {
    outbox: mpsc::Sender<Event>,
    /// True if a web instance is in another process.
    elsewhere: AtomicBool,
    /// The queue of the web instance in this process.
    here: OnceLock<mpsc::Sender<Event>>,
    /// Maximum per-message events per second.
    per_second: u64,
    /// The start of the current second, and its per-message events.
    second: Mutex<(Instant, u64)>,
    dropped: AtomicU64,
}

impl EventSink {
    /// An event sink, and the queue that the publisher reads. `per_second`: maximum per-message events per second.
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

    /// The queue that the web instance in this process reads. Call once.
    pub fn attach(&self) -> mpsc::Receiver<Event> {
        let (here, inbox) = mpsc::channel(OUTBOX);
        // A process has one web instance.
        let _ = self.0.here.set(here);
        inbox
    }

    /// Publishes an event to all web instances.
    pub fn emit(&self, event: Event) {
        if self.is_heard_elsewhere() {
            self.post(&self.0.outbox, event.clone());
        }
        self.emit_here(event);
    }

    /// Publishes an event to the web instance in this process only.
    pub fn emit_here(&self, event: Event) {
        if let Some(here) = self.0.here.get() {
            self.post(here, event);
        }
    }

    /// Publishes a per-message event to all web instances if this second's budget allows it. Calls `event` only then.
    pub fn emit_for_message(&self, event: impl FnOnce() -> Event) {
        if (self.is_heard_elsewhere() || self.0.here.get().is_some()) && self.has_budget() {
            self.emit(event());
        }
    }

    /// Publishes a request's event, without the reply's body, to web instances in other processes: the one in this process sends
    /// its own requests to its dashboards. Outcomes are always published, other events if this second's budget allows it.
    pub fn emit_elsewhere(&self, mut event: Event) {
        if self.is_heard_elsewhere() && (matches!(event, Event::Outcome { .. }) || self.has_budget()) {
            if let Event::Reply { reply, .. } = &mut event {
                reply.cut(0);
                reply.extra.clear();
            }
            self.post(&self.0.outbox, event);
        }
    }

    /// Events dropped since the start.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// True if a web instance is in another process.
    pub fn is_heard_elsewhere(&self) -> bool {
        self.0.elsewhere.load(Ordering::Relaxed)
    }

    fn post(&self, to: &mpsc::Sender<Event>, event: Event) {
        if to.try_send(event).is_err() {
            self.left_out(1);
        }
    }

    /// Takes one event from this second's budget. If it is used up, counts the event as dropped and returns false.
    fn has_budget(&self) -> bool {
        let room = {
            let mut second = self.0.second.lock();
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

    /// Sets whether there is a web instance in another process.
    pub fn hear_elsewhere(&self, heard: bool) {
        self.0.elsewhere.store(heard, Ordering::Relaxed);
    }

    /// Counts dropped events.
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
    fn events_are_made_only_if_a_web_instance_gets_them() {
        let (sink, mut outbox) = EventSink::new(100);
        sink.emit_for_message(|| panic!("no web instance gets it"));
        sink.emit_elsewhere(reply());
        assert!(outbox.try_recv().is_err());
        let mut here = sink.attach();
        sink.emit_for_message(outcome);
        sink.emit_elsewhere(reply());
        assert_eq!((here.try_recv().ok(), here.try_recv().ok(), outbox.try_recv().ok()), (Some(outcome()), None, None));
        assert_eq!(sink.dropped(), 0);
    }

    #[test]
    fn other_web_instances_get_replies_without_bodies_and_every_outcome() {
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

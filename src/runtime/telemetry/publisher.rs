//! Publishes this process's telemetry: events at once, the instances' snapshots every `telemetry.interval`. Web instances in
//! other processes get it over ZeroMQ, the one in this process by a channel.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use slog::debug;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::{Proof, Publisher};
use crate::runtime::InstanceStatus;
use crate::runtime::supervision::{Slot, WorkError};
use crate::runtime::zeromq::Contexts;
use crate::wire::{Event, WorkerState};

/// Events that may wait to be sent. More are left out: telemetry may lose, and must not grow.
const OUTBOX: usize = 8_192;

/// Most events in one report.
const BATCH: usize = 512;

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

    fn emit_here(&self, event: Event) {
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

    fn is_heard_elsewhere(&self) -> bool {
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

    fn left_out(&self, events: usize) {
        self.0.dropped.fetch_add(events as u64, Ordering::Relaxed);
    }
}

/// What the publisher of a process works with.
#[derive(Clone)]
pub struct TelemetryContext {
    pub instances: Vec<Arc<InstanceStatus>>,
    pub event_sink: EventSink,
    pub interval: Duration,
    pub contexts: Arc<Contexts>,
    /// What every report comes with.
    pub proof: Option<Proof>,
    /// The web instances of other processes.
    pub web: watch::Receiver<BTreeSet<SocketAddr>>,
}

/// Publishes until the process ends.
pub async fn run_telemetry_publisher(
    slot: Slot,
    mut context: TelemetryContext,
    inbox: Arc<AsyncMutex<mpsc::Receiver<Event>>>,
) -> Result<(), WorkError> {
    let mut inbox = inbox.lock().await;
    let event_sink = context.event_sink.clone();
    let mut publisher = Publisher::new(&context.contexts, context.proof.clone())?;
    let set_peers = |publisher: &mut Publisher, web: &BTreeSet<SocketAddr>| {
        event_sink.0.elsewhere.store(!web.is_empty(), Ordering::Relaxed);
        publisher.set_peers(web)
    };
    set_peers(&mut publisher, &context.web.borrow_and_update().clone())?;
    let mut beat = interval(context.interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut events = Vec::with_capacity(BATCH);
    slot.status.set(WorkerState::Idle, None);
    loop {
        tokio::select! {
            count = inbox.recv_many(&mut events, BATCH) => {
                if count == 0 {
                    return Ok(());
                }
            }
            _ = beat.tick() => snapshots(&context, &mut events),
            () = slot.drain.cancelled() => {
                // The last figures come before the goodbye.
                snapshots(&context, &mut events);
                while let Ok(event) = inbox.try_recv() {
                    events.push(event);
                }
                event_sink.left_out(publisher.publish(&events)?);
                return Ok(());
            }
            () = publisher.news() => set_peers(&mut publisher, &context.web.borrow().clone())?,
            changed = context.web.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let web = context.web.borrow_and_update().clone();
                set_peers(&mut publisher, &web)?;
                debug!(slot.log, "telemetry goes to"; "web" => ?web);
            }
        }
        event_sink.left_out(publisher.publish(&events)?);
        events.clear();
    }
}

/// The state of every instance: for the web instance of this process, and for others.
fn snapshots(context: &TelemetryContext, events: &mut Vec<Event>) {
    for status in &context.instances {
        let event = Event::Instance { snapshot: Box::new(status.snapshot()) };
        if context.event_sink.is_heard_elsewhere() {
            events.push(event.clone());
        }
        context.event_sink.emit_here(event);
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
        sink.0.elsewhere.store(true, Ordering::Relaxed);
        (0..3).for_each(|_| sink.emit_elsewhere(reply()));
        sink.emit_elsewhere(outcome());
        let Ok(Event::Reply { reply, .. }) = outbox.try_recv() else { panic!() };
        assert_eq!((&*reply.body, reply.body_bytes), ("", Some(5)));
        assert_eq!((outbox.try_recv().ok(), outbox.try_recv().ok()), (Some(outcome()), None));
        assert_eq!(sink.dropped(), 2);
    }
}

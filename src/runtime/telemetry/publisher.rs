//! Publishes the instance's telemetry: events at once, the instances' snapshots on the beat, to every web instance.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Tells events. Cheap to clone, never waits.
#[derive(Clone)]
pub struct EventSink {
    outbox: mpsc::Sender<Event>,
    budget: Arc<Budget>,
}

/// How many per-message events each second may have.
struct Budget {
    per_second: u64,
    second: Mutex<(Instant, u64)>,
    dropped: AtomicU64,
}

impl EventSink {
    /// An event sink and the end that the publisher reads. `per_second` bounds the per-message events.
    pub fn new(per_second: u64) -> (Self, mpsc::Receiver<Event>) {
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let second = Mutex::new((Instant::now(), 0));
        (Self { outbox, budget: Arc::new(Budget { per_second, second, dropped: AtomicU64::new(0) }) }, inbox)
    }

    /// Tells an event of an instance's or a worker's life.
    pub fn emit(&self, event: Event) {
        if self.outbox.try_send(event).is_err() {
            self.budget.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells an event of a single message, if this second's budget has room; it is made only then. False: it was left out.
    pub fn emit_for_message(&self, event: impl FnOnce() -> Event) -> bool {
        let room = {
            let mut second = self.budget.second.lock().unwrap_or_else(PoisonError::into_inner);
            if second.0.elapsed() >= Duration::from_secs(1) {
                *second = (Instant::now(), 0);
            }
            second.1 += 1;
            second.1 <= self.budget.per_second
        };
        match room {
            true => self.emit(event()),
            false => drop(self.budget.dropped.fetch_add(1, Ordering::Relaxed)),
        }
        room
    }

    /// Counts events that could not be told.
    fn left_out(&self, events: usize) {
        self.budget.dropped.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Events left out since the start.
    pub fn dropped(&self) -> u64 {
        self.budget.dropped.load(Ordering::Relaxed)
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
    publisher.set_peers(&context.web.borrow_and_update().clone())?;
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
            _ = beat.tick() => events.extend(snapshots(&context.instances)),
            () = slot.drain.cancelled() => {
                // The last figures come before the goodbye.
                events.extend(snapshots(&context.instances));
                while let Ok(event) = inbox.try_recv() {
                    events.push(event);
                }
                event_sink.left_out(publisher.publish(&events)?);
                return Ok(());
            }
            () = publisher.news() => publisher.set_peers(&context.web.borrow().clone())?,
            changed = context.web.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let web = context.web.borrow_and_update().clone();
                publisher.set_peers(&web)?;
                debug!(slot.log, "telemetry goes to"; "web" => ?web);
            }
        }
        event_sink.left_out(publisher.publish(&events)?);
        events.clear();
    }
}

fn snapshots(instances: &[Arc<InstanceStatus>]) -> impl Iterator<Item = Event> {
    instances.iter().map(|status| Event::Instance { snapshot: Box::new(status.snapshot()) })
}

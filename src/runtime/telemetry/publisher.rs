//! Publishes this process's telemetry: events immediately, its instances' snapshots every `telemetry.interval`. Web instances in
//! other processes get it over ZeroMQ, the one in this process through a queue.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use futures_util::StreamExt;
use futures_util::stream::{Stream, poll_fn};
use parking_lot::Mutex;
use slog::debug;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::WatchStream;

use super::{EventSink, Proof, Publisher};
use crate::runtime::supervision::{Drain, Life, Supervised, WorkError, keep_going};
use crate::runtime::zeromq::Contexts;
use crate::runtime::{Alarm, InstanceStatus};
use crate::wire::{Event, WorkerState};

/// Maximum events taken from the queue at once.
const BATCH: usize = 512;

/// What the publisher of a process works with. Outlives the actor.
pub struct TelemetryContext {
    pub instances: Vec<Arc<InstanceStatus>>,
    pub event_sink: EventSink,
    /// The event sink's queue for other processes.
    pub outbox: Mutex<mpsc::Receiver<Event>>,
    pub interval: Duration,
    pub contexts: Arc<Contexts>,
    /// Signs every report. `None` without a token.
    pub proof: Option<Proof>,
    /// The web instances of other processes.
    pub web: watch::Receiver<BTreeSet<SocketAddr>>,
}

/// The actor that publishes. All threads put events into the queue in its context, which is bounded and outlives the actor;
/// events do not go through its mailbox.
pub struct TelemetryPublisher {
    context: Arc<TelemetryContext>,
    /// `None` if its socket could not be created.
    publisher: Option<Publisher>,
    renewal: Alarm,
    failure: Option<WorkError>,
    life: Life,
}

/// Events for other processes.
struct Emitted(Vec<Event>);

/// The addresses of web instances in other processes have changed.
struct WebChanged(BTreeSet<SocketAddr>);

/// The connections that are up have changed.
struct PeersChanged;

impl TelemetryPublisher {
    pub fn new(life: Life, context: Arc<TelemetryContext>) -> Self {
        Self { context, publisher: None, renewal: Alarm::default(), failure: None, life }
    }

    fn open(&mut self, ctx: &mut Context<Self>) -> Result<(), WorkError> {
        let publisher = Publisher::new(&self.context.contexts, self.context.proof.clone())?;
        ctx.add_stream(WatchStream::new(self.context.web.clone()).map(WebChanged));
        ctx.add_stream(WatchStream::new(publisher.up()).map(|_| PeersChanged));
        ctx.add_stream(emitted(self.context.clone()));
        ctx.run_interval(self.context.interval, |actor, _| actor.publish_snapshots(vec![]));
        self.publisher = Some(publisher);
        keep_going(ctx);
        self.life.slot.status.set(WorkerState::Idle, None);
        Ok(())
    }

    fn set_peers(&mut self) {
        let web = self.context.web.borrow().clone();
        self.context.event_sink.hear_elsewhere(!web.is_empty());
        if let Some(publisher) = &mut self.publisher {
            let set = publisher.set_peers(&web);
            self.note(set);
        }
    }

    fn publish(&mut self, events: &[Event]) {
        if let Some(publisher) = &self.publisher {
            let published = publisher.publish(events).map(|left_out| self.context.event_sink.left_out(left_out));
            self.note(published);
        }
    }

    /// Publishes a snapshot of each instance to all web instances, then the events in `then` to those in other processes.
    fn publish_snapshots(&mut self, then: Vec<Event>) {
        let mut events = vec![];
        for status in &self.context.instances {
            let event = Event::Instance { snapshot: Box::new(status.snapshot()) };
            if self.context.event_sink.is_heard_elsewhere() {
                events.push(event.clone());
            }
            self.context.event_sink.emit_here(event);
        }
        events.extend(then);
        self.publish(&events);
    }

    fn note(&mut self, result: std::io::Result<()>) {
        self.failure = result.err().map(WorkError::from).or(self.failure.take());
    }
}

impl Actor for TelemetryPublisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match self.open(ctx) {
            Ok(()) => self.publish_snapshots(vec![]),
            Err(error) => self.end(Err(error), ctx),
        }
    }
}

impl StreamHandler<Emitted> for TelemetryPublisher {
    fn handle(&mut self, Emitted(events): Emitted, _: &mut Self::Context) {
        self.publish(&events);
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.failure = Some(WorkError::Other("the queue of this process's events was closed".to_owned()));
    }
}

impl StreamHandler<WebChanged> for TelemetryPublisher {
    fn handle(&mut self, WebChanged(web): WebChanged, _: &mut Self::Context) {
        debug!(self.life.slot.log, "sends telemetry to these web instances"; "web" => ?web);
        self.set_peers();
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.failure = Some(WorkError::Other("the discovery of web instances has ended".to_owned()));
    }
}

impl StreamHandler<PeersChanged> for TelemetryPublisher {
    fn handle(&mut self, _: PeersChanged, _: &mut Self::Context) {
        self.set_peers();
    }

    fn finished(&mut self, _: &mut Self::Context) {
        self.failure = Some(WorkError::Other("the monitor of the telemetry's connections has ended".to_owned()));
    }
}

impl Handler<Drain> for TelemetryPublisher {
    type Result = ();

    /// Sends the last snapshots before the queued events, because `instance-gone` is the last of these.
    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        let left = {
            let mut outbox = self.context.outbox.lock();
            std::iter::from_fn(|| outbox.try_recv().ok()).collect()
        };
        self.publish_snapshots(left);
        let result = self.failure.take().map_or(Ok(()), Err);
        self.end(result, ctx);
    }
}

impl Supervised for TelemetryPublisher {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }

    /// Renews connections that stay down.
    fn advance(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), WorkError>> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Poll::Ready(Err(failure));
            }
            self.renewal.set(self.publisher.as_ref().and_then(Publisher::next_renewal));
            ready!(self.renewal.poll(cx));
            self.set_peers();
        }
    }
}

/// The events for other processes, in batches of up to [`BATCH`].
fn emitted(context: Arc<TelemetryContext>) -> impl Stream<Item = Emitted> {
    poll_fn(move |cx| {
        let mut events = Vec::new();
        let mut outbox = context.outbox.lock();
        let count = ready!(outbox.poll_recv_many(cx, &mut events, BATCH));
        Poll::Ready((count > 0).then_some(Emitted(events)))
    })
}

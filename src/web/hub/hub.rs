//! The hub: takes in the events of this process and the telemetry of others, and feeds the dashboards.

use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use actix::prelude::*;
use actix_rt::task::spawn_blocking;
use futures_util::StreamExt;
use futures_util::stream::{Stream, poll_fn, unfold};
use parking_lot::Mutex;
use slog::debug;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::yield_now;
use tokio_stream::wrappers::WatchStream;

use super::{Deployment, Said};
use crate::runtime::supervision::{Drain, Life, Supervised, WorkError, guarded};
use crate::runtime::telemetry::{Report, Subscriber, TelemetryError};
use crate::wire::{Event, WorkerState};

/// Between looks at who has fallen silent.
const LOOK: Duration = Duration::from_millis(100);

/// Between two samples.
const SAMPLE: Duration = Duration::from_secs(1);

/// Between two looks at the figures.
const FIGURES: Duration = Duration::from_millis(500);

/// Most events of this process that are taken in at one time.
const AT_ONCE: usize = 256;

/// What the hub works with; it outlives the actor.
pub struct HubContext {
    pub deployment: Arc<Deployment>,
    /// The telemetry of other processes.
    pub subscriber: AsyncMutex<Subscriber>,
    pub own_events: Mutex<mpsc::Receiver<Event>>,
}

/// The hub's actor. What everybody asks it for is in the [`Deployment`], so that nobody waits for its mailbox.
pub struct Hub {
    context: Arc<HubContext>,
    /// A push is scheduled.
    push_is_due: bool,
    said: Said,
    life: Life,
}

/// A report of another process, or why one is none.
struct Reported(io::Result<Result<Report, TelemetryError>>);

/// Events of this process.
struct OwnEvents(Vec<Event>);

/// This instance's links have changed.
struct LinksChanged;

/// Something is to be shown to the dashboards.
struct News;

impl Hub {
    pub fn new(life: Life, context: Arc<HubContext>) -> Self {
        Self { context, push_is_due: false, said: Said::default(), life }
    }

    /// Sends the next batch in a while, if there is something to send.
    fn push_later(&mut self, ctx: &mut Context<Self>) {
        if !self.push_is_due && self.context.deployment.has_news() {
            self.push_is_due = true;
            ctx.run_later(self.context.deployment.batch(), |hub, _| {
                hub.push_is_due = false;
                hub.context.deployment.push();
            });
        }
    }

    /// Takes the figures of the last second, and works out anew what the deployment should give. That takes a simulation, so
    /// that a thread of its own does it.
    fn sample(&mut self, ctx: &mut Context<Self>) {
        let deployment = self.context.deployment.clone();
        deployment.sample();
        self.said.say(deployment.refused(), &self.life.slot.log);
        if let Some(input) = deployment.stale_input() {
            let log = self.life.slot.log.clone();
            // Not a future of the actor: if that dies meanwhile, the answer still comes.
            spawn_blocking(move || {
                deployment.learn(input, guarded("the expectation", &log, || input.answer()).flatten());
            });
        }
        self.push_later(ctx);
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.add_stream(reports(self.context.clone()));
        ctx.add_stream(own_events(self.context.clone()));
        ctx.add_stream(WatchStream::new(self.context.deployment.link_changes()).map(|_| LinksChanged));
        ctx.add_stream(news(self.context.deployment.clone()));
        ctx.run_interval(LOOK, |hub, ctx| {
            hub.context.deployment.look();
            hub.push_later(ctx);
        });
        ctx.run_interval(SAMPLE, Self::sample);
        ctx.run_interval(FIGURES, |hub, ctx| {
            hub.context.deployment.show_figures();
            hub.push_later(ctx);
        });
        self.life.slot.status.set(WorkerState::Idle, None);
    }
}

impl StreamHandler<Reported> for Hub {
    fn handle(&mut self, Reported(report): Reported, ctx: &mut Self::Context) {
        match report {
            Ok(Ok(report)) => self.context.deployment.take(report),
            Ok(Err(error)) => {
                debug!(self.life.slot.log, "telemetry is left out: {}", error);
                self.context.deployment.refuse(&error);
            }
            Err(error) => return self.end(Err(error.into()), ctx),
        }
        self.push_later(ctx);
    }
}

impl StreamHandler<OwnEvents> for Hub {
    fn handle(&mut self, OwnEvents(events): OwnEvents, ctx: &mut Self::Context) {
        self.context.deployment.take_own(events);
        self.push_later(ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.end(Err(WorkError::Other("the events of this process have no source".to_owned())), ctx);
    }
}

impl StreamHandler<LinksChanged> for Hub {
    fn handle(&mut self, _: LinksChanged, ctx: &mut Self::Context) {
        self.context.deployment.take_links();
        self.push_later(ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.end(Err(WorkError::Other("the links are gone".to_owned())), ctx);
    }
}

impl StreamHandler<News> for Hub {
    fn handle(&mut self, _: News, ctx: &mut Self::Context) {
        self.push_later(ctx);
    }
}

impl Handler<Drain> for Hub {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.end(Ok(()), ctx);
    }
}

impl Supervised for Hub {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }
}

/// What other processes report.
fn reports(context: Arc<HubContext>) -> impl Stream<Item = Reported> {
    unfold(context, async |context| {
        let report = context.subscriber.lock().await.next().await;
        // Where there is always another report, timers would never be looked at.
        yield_now().await;
        Some((Reported(report), context))
    })
}

/// The events of this process, as many at once as there are.
fn own_events(context: Arc<HubContext>) -> impl Stream<Item = OwnEvents> {
    poll_fn(move |cx| {
        let mut events = Vec::new();
        let mut source = context.own_events.lock();
        let count = ready!(source.poll_recv_many(cx, &mut events, AT_ONCE));
        Poll::Ready((count > 0).then_some(OwnEvents(events)))
    })
}

fn news(deployment: Arc<Deployment>) -> impl Stream<Item = News> {
    unfold(deployment, async |deployment| {
        deployment.news().await;
        Some((News, deployment))
    })
}

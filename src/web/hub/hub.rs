//! The hub: takes every instance's telemetry in, keeps the deployment's state, and tells the dashboards: each a
//! snapshot first, then batches of events. A dashboard that is slow gets a new snapshot when it is back.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Recipient;
use serde::Serialize;
use serde_json::json;
use slog::debug;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{DashboardPermit, Dashboards, Instances, LatencyModel, OwnSettings, Owners, Push, Refused, Said, Sampler};
use crate::runtime::supervision::{Slot, WorkError};
use crate::runtime::telemetry::{Report, Subscriber, TelemetryError};
use crate::web::links::Links;
use crate::web::{Load, LoadView};
use crate::wire::{
    Event, ExperimentView, InstanceState, LinkState, LinkView, RequestLog, RequestView, SHOWN_BODY, Sample, Tier,
    Topology, WorkerState, now_ms,
};

/// Samples kept, in seconds.
const SAMPLES: usize = 300;

/// Between looks at who has fallen silent.
const LOOK: Duration = Duration::from_millis(100);

/// Most bytes of a batch's events. Where there are more, all dashboards get a snapshot instead.
const BATCH: usize = 1 << 20;

/// Most bytes of the requests in a snapshot: those that do not fit, the oldest, are left out.
const SHOWN_REQUESTS: usize = 4 << 20;

struct State {
    known: Instances,
    owners: Owners,
    requests: RequestLog,
    samples: VecDeque<Sample>,
    /// The one of this web tier that runs, or ran last.
    experiment: Option<Box<ExperimentView>>,
    sampler: Sampler,
    oracle: LatencyModel,
    /// Of the last batch.
    seq: u64,
    /// The events of the next batch, as JSON with commas between.
    pending: String,
    dashboards: Dashboards,
    refused: Refused,
}

/// What this web instance knows of the deployment, and who watches.
pub struct Hub {
    state: Mutex<State>,
    /// Something was told from within this process.
    told: Notify,
    /// Silence after which an instance counts as gone.
    silence: Duration,
    /// Between two batches.
    batch: Duration,
    /// What the page shows of the configuration.
    own: OwnSettings,
    /// This instance's own: their first news comes before telemetry is up.
    links: Arc<Links>,
    load: Arc<Load>,
}

impl Hub {
    /// Nothing known yet. Up to `keep_requests` are shown, within `keep_bytes` of memory, to up to `max_dashboards`.
    /// `telemetry_interval` is how often instances send snapshots.
    pub fn new(
        (keep_requests, keep_bytes): (usize, usize),
        max_dashboards: usize,
        telemetry_interval: Duration,
        own: OwnSettings,
        links: Arc<Links>,
        load: Arc<Load>,
    ) -> Self {
        let state = State {
            known: Instances::default(),
            owners: Owners::default(),
            requests: RequestLog::new(keep_requests, keep_bytes),
            samples: VecDeque::new(),
            experiment: None,
            sampler: Sampler::default(),
            seq: 0,
            oracle: LatencyModel::default(),
            pending: String::new(),
            dashboards: Dashboards::new(max_dashboards),
            refused: Refused::default(),
        };
        let silence = telemetry_interval * 2;
        Self { state: Mutex::new(state), told: Notify::new(), silence, batch: own.batch, own, links, load }
    }

    pub fn topology(&self) -> Topology {
        self.take_links();
        self.lock().known.topology.clone()
    }

    /// A request that any web instance took on.
    pub fn request(&self, request_id: &str) -> Option<RequestView> {
        self.lock().requests.get(request_id).cloned()
    }

    /// A place for one more dashboard, if there is one.
    pub fn permit(&self) -> Option<DashboardPermit> {
        self.lock().dashboards.permit()
    }

    /// A dashboard is here; it gets a snapshot with the next batch.
    pub fn join(&self, to: Recipient<Push>) {
        self.lock().dashboards.join(to);
        self.told.notify_one();
    }

    /// Where an instance's admin server is.
    pub fn admin_of(&self, id: &str) -> Option<SocketAddr> {
        let state = self.lock();
        state.known.topology.instances.get(id)?.snapshot.instance.admin
    }

    /// The living instances of a tier, with their admin servers.
    pub fn admins(&self, tier: Tier) -> Vec<(String, SocketAddr)> {
        let state = self.lock();
        let instances = state.known.topology.living(tier).map(|view| &view.snapshot.instance);
        instances.filter_map(|instance| Some((instance.id.clone(), instance.admin?))).collect()
    }

    /// The nodes of the living instances.
    pub fn nodes(&self) -> BTreeSet<String> {
        let state = self.lock();
        let snapshots = state.known.topology.instances.values().map(|view| &view.snapshot);
        let living = snapshots.filter(|snapshot| snapshot.state != InstanceState::Gone);
        living.map(|snapshot| snapshot.instance.node.clone()).collect()
    }

    /// Tells the dashboards of this web tier something that no telemetry tells.
    pub fn tell(&self, event: Event) {
        if let Event::Experiment { experiment } = &event {
            self.lock().experiment = Some(experiment.clone());
        }
        self.lock().show(&event);
        self.told.notify_one();
    }

    /// The settings have changed: every dashboard gets a snapshot with the next batch.
    pub fn refresh(&self) {
        self.lock().dashboards.refresh();
    }

    /// Asks every dashboard to leave.
    pub fn close_sessions(&self) {
        self.lock().dashboards.close();
    }

    /// Takes telemetry in.
    fn take(&self, report: Report) {
        let now = Instant::now();
        for mut event in report.events {
            if let Event::Reply { reply, .. } = &mut event {
                reply.cut(SHOWN_BODY);
            }
            // For each event anew: whoever answers a client waits for one, not for a report of thousands.
            let mut guard = self.lock();
            let state = &mut *guard;
            // Others have links and experiments of their own, and what they tell may come from anybody.
            if matches!(event, Event::Link { .. } | Event::Sample { .. } | Event::Experiment { .. })
                || !state.owners.admit(&event, report.peer, &state.known.topology)
            {
                state.refused.not_theirs += 1;
            } else if state.known.apply(&event, now.into_std()) && state.requests.apply(&event) {
                state.show(&event);
            } else {
                state.refused.too_much += 1;
            }
        }
    }

    /// Takes in what has become of this instance's own links.
    fn take_links(&self) {
        let now = self.links.views();
        let mut state = self.lock();
        let links = &mut state.known.topology.links;
        // The last that is told of one that is gone.
        links.retain(|address, view| now.contains_key(address) || view.state != LinkState::Disconnected);
        let gone = links.keys().filter(|address| !now.contains_key(*address)).map(|address| {
            let reason = "it was disconnected, or its address left the name".to_owned();
            (address.clone(), LinkView { state: LinkState::Disconnected, reason: Some(reason) })
        });
        let gone: Vec<_> = gone.collect();
        let news = now.into_iter().filter(|(address, view)| links.get(address) != Some(view));
        for (address, LinkView { state: link, reason }) in news.chain(gone).collect::<Vec<_>>() {
            let event = Event::Link { instance: self.own.id.clone(), address, at: now_ms(), state: link, reason };
            state.known.topology.apply(&event, now_ms());
            state.show(&event);
        }
    }

    /// Declares those that have fallen silent gone, and forgets those that have been for long.
    fn look(&self) {
        let mut state = self.lock();
        let now = Instant::now().into_std();
        state.known.forget(now);
        for event in state.known.silent(now, self.silence) {
            state.known.apply(&event, now);
            state.show(&event);
        }
    }

    /// The figures of the last second.
    fn sample(&self) {
        let mut state = self.lock();
        let State { sampler, known, samples, .. } = &mut *state;
        let sample = sampler.take(&known.topology, now_ms());
        samples.push_back(sample);
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
        state.show(&Event::Sample { sample });
    }

    /// Works out what the deployment should give, where it is not what that was worked out for. It takes a simulation, so
    /// that a thread of its own does it; then every dashboard gets a snapshot.
    fn expect_idle(self: &Arc<Self>) {
        let mut state = self.lock();
        let State { oracle, known, .. } = &mut *state;
        let Some(question) = oracle.asks_anew(&known.topology) else { return };
        let hub = self.clone();
        actix_rt::task::spawn_blocking(move || {
            let answer = question.answer();
            let mut state = hub.lock();
            state.oracle.learn(question, answer);
            state.dashboards.refresh();
        });
    }

    /// Sends what is pending.
    fn push(&self) {
        self.lock().push(&self.own, self.load.view());
    }

    /// Whether there is something to send.
    fn has_news(&self) -> bool {
        let state = self.lock();
        !state.pending.is_empty() || state.dashboards.want_snapshot()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Shows the dashboards an event with the next batch.
    fn show(&mut self, event: &Event) {
        // Nobody watches: the state is enough.
        if self.dashboards.is_empty() {
            return;
        }
        if !self.pending.is_empty() {
            self.pending.push(',');
        }
        self.pending += &text_of(event);
        if self.pending.len() > BATCH {
            self.pending = String::new();
            self.dashboards.refresh();
        }
    }

    /// Sends what is pending to the dashboards, or a snapshot to those that missed something.
    fn push(&mut self, own: &OwnSettings, load: LoadView) {
        let batch = (!self.pending.is_empty()).then(|| {
            let events = std::mem::take(&mut self.pending);
            self.seq += 1;
            let (seq, now, load) = (self.seq, now_ms(), json!(load));
            format!(r#"{{"type":"events","seq":{seq},"now":{now},"load":{load},"events":[{events}]}}"#)
        });
        let mut dashboards = std::mem::replace(&mut self.dashboards, Dashboards::new(0));
        dashboards.send(batch, || self.snapshot(own, load));
        self.dashboards = dashboards;
    }

    fn snapshot(&self, own: &OwnSettings, load: LoadView) -> String {
        let mut requests = String::new();
        let mut shown = 0;
        for view in self.requests.views() {
            let view = text_of(view);
            if requests.len() + view.len() > SHOWN_REQUESTS {
                break;
            }
            requests.extend([if shown > 0 { "," } else { "" }, &view]);
            shown += 1;
        }
        let rest = json!({
            "seq": self.seq,
            "now": now_ms(),
            "requestsLeftOut": self.requests.views().len() - shown,
            "samples": self.samples,
            "experiment": self.experiment,
            "settings": self.oracle.settings(own, &self.known.topology),
            "load": load,
            "version": env!("CARGO_PKG_VERSION"),
        });
        // What may be large goes into the text directly: as a tree of values it would take many times its memory.
        let (topology, rest) = (text_of(&self.known.topology), &rest.to_string()[1..]);
        format!(r#"{{"type":"snapshot","topology":{topology},"requests":[{requests}],{rest}"#)
    }
}

/// A value as JSON.
fn text_of(value: &impl Serialize) -> String {
    // What is shown is made of texts, numbers and maps by text, none of which can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

/// Runs the hub until it is drained.
pub async fn run_hub(
    slot: Slot,
    hub: Arc<Hub>,
    subscriber: Arc<tokio::sync::Mutex<Subscriber>>,
) -> Result<(), WorkError> {
    let mut subscriber = subscriber.lock().await;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples = interval(Duration::from_secs(1));
    samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut links = hub.links.changes();
    let mut push_at: Option<Instant> = None;
    let mut said = Said::default();
    hub.take_links();
    slot.status.set(WorkerState::Idle, None);
    loop {
        tokio::select! {
            received = subscriber.next() => {
                match received? {
                    Ok(report) => hub.take(report),
                    Err(error) => {
                        let refused = &mut hub.lock().refused;
                        match error {
                            TelemetryError::Unproved => refused.without_token += 1,
                            TelemetryError::TooFast => refused.too_fast += 1,
                            TelemetryError::Unreadable(_) | TelemetryError::FromNowhere => refused.unreadable += 1,
                        }
                        debug!(slot.log, "telemetry is left out: {}", error);
                    }
                }
                // Where there is always another report, timers would never be looked at.
                yield_now().await;
            }
            _ = looks.tick() => hub.look(),
            changed = links.changed() => {
                changed.map_err(|_| WorkError::Other("the links are gone".to_owned()))?;
                hub.take_links();
            }
            () = hub.told.notified() => {}
            _ = samples.tick() => {
                hub.sample();
                hub.expect_idle();
                said.say(hub.lock().refused, &slot.log);
            }
            () = sleep_until(push_at.unwrap_or_else(Instant::now)), if push_at.is_some() => {
                push_at = None;
                hub.push();
                continue;
            }
            () = slot.drain.cancelled() => break,
        }
        if push_at.is_none() && hub.has_news() {
            push_at = Some(Instant::now() + hub.batch);
        }
    }
    debug!(slot.log, "the hub is closed");
    Ok(())
}

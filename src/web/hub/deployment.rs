//! What is known of the deployment, from the events of this process and the telemetry of others, and who watches. Each
//! dashboard gets a snapshot first, then batches of events; one that is slow gets a new snapshot when it is back. This web
//! tier's own requests come from its store, so that nothing of them is ever left out.

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{
    DashboardMessage, DashboardPermit, Dashboards, Instances, LatencyModel, ModelInput, OwnSettings, Owners, Push,
    Refused, Sampler, Shortlist,
};
use crate::experiment::expected::IdleExpectation;
use crate::runtime::telemetry::{Report, TelemetryError, place};
use crate::web::figures::FiguresLog;
use crate::web::links::{LINK_ENDED, LinkTable};
use crate::web::requests::{Requests, Shown};
use crate::web::{Feed, Load, LoadView};
use crate::wire::{
    Event, ExperimentView, Figures, InstanceState, LinkState, LinkView, RequestLog, RequestView, SHOWN_BODY, Sample,
    Tier, Topology, now_ms,
};

/// Samples kept, in seconds.
const SAMPLES: usize = 300;

struct State {
    known: Instances,
    owners: Owners,
    /// Of other web instances.
    requests: RequestLog,
    samples: VecDeque<Sample>,
    /// The one of this web tier that runs, or ran last.
    experiment: Option<Box<ExperimentView>>,
    sampler: Sampler,
    figures: FiguresLog,
    model: LatencyModel,
    /// Of the last batch.
    seq: u64,
    dashboards: Dashboards,
    refused: Refused,
}

/// What this web instance knows of the deployment, and who watches: the part that everybody asks and that outlives the hub.
pub struct Deployment {
    state: Mutex<State>,
    feed: Arc<Feed>,
    /// This instance's own.
    own_requests: Arc<Requests>,
    /// Silence after which an instance counts as gone.
    silence: Duration,
    /// What the page shows of the configuration.
    own: OwnSettings,
    /// This instance's own: their first news comes before telemetry is up.
    links: Arc<LinkTable>,
    load: Arc<Load>,
}

impl Deployment {
    /// Nothing known yet. Up to `keep_requests` are shown, within `keep_bytes` of memory, to up to `max_dashboards`.
    /// `telemetry_interval` is how often instances send snapshots.
    pub fn new(
        (keep_requests, keep_bytes): (usize, usize),
        max_dashboards: usize,
        telemetry_interval: Duration,
        own: OwnSettings,
        (feed, own_requests): (Arc<Feed>, Arc<Requests>),
        links: Arc<LinkTable>,
        load: Arc<Load>,
    ) -> Self {
        let state = State {
            known: Instances::default(),
            owners: Owners::default(),
            requests: RequestLog::new(keep_requests, keep_bytes),
            samples: VecDeque::new(),
            experiment: None,
            sampler: Sampler::default(),
            figures: FiguresLog::new(Instant::now().into_std(), now_ms()),
            seq: 0,
            model: LatencyModel::default(),
            dashboards: Dashboards::new(max_dashboards),
            refused: Refused::default(),
        };
        let silence = telemetry_interval * 2;
        Self { state: Mutex::new(state), feed, own_requests, silence, own, links, load }
    }

    pub fn topology(&self) -> Topology {
        self.take_links();
        self.lock().known.topology.clone()
    }

    /// A request that another web instance took on.
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
        self.feed.watch(true);
        self.feed.wake();
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

    /// Shows the dashboards how far this web tier's experiment is.
    pub fn show_experiment(&self, view: ExperimentView) {
        let mut state = self.lock();
        let experiment = Box::new(view);
        state.experiment = Some(experiment.clone());
        self.feed.show(&Event::Experiment { experiment });
    }

    /// The settings have changed: every dashboard gets a snapshot with the next batch.
    pub fn refresh(&self) {
        self.lock().dashboards.refresh();
    }

    /// Asks every dashboard to leave.
    pub fn close_sessions(&self) {
        self.lock().dashboards.close();
    }

    /// Takes in what other processes published.
    pub fn take(&self, report: Report) {
        for mut event in report.events {
            if let Event::Reply { reply, .. } = &mut event {
                reply.cut(SHOWN_BODY);
            }
            // For each event anew: whoever answers a client waits for one, not for a report of thousands.
            let mut guard = self.lock();
            let state = &mut *guard;
            if !state.owners.admit(&event, report.peer, &state.known.topology) {
                state.refused.not_theirs += 1;
            } else {
                self.apply(state, &event);
            }
        }
    }

    /// Takes in what the instances of this process published.
    pub fn take_own(&self, events: Vec<Event>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        for mut event in events {
            place(&mut event, Ipv4Addr::LOCALHOST.into());
            if let Event::Instance { snapshot } = &event {
                state.owners.claim(&snapshot.instance.id);
            }
            self.apply(state, &event);
        }
    }

    fn apply(&self, state: &mut State, event: &Event) {
        // Others have links and experiments of their own, and what they tell may come from anybody.
        let is_theirs = !matches!(
            event,
            Event::Link { .. } | Event::Sample { .. } | Event::Figures { .. } | Event::Experiment { .. }
        );
        match self.own_requests.take(event) {
            Some(true) => {}
            None if is_theirs => match state.take(event) && state.requests.apply(event) {
                true => self.feed.show(event),
                false => state.refused.too_much += 1,
            },
            _ => state.refused.not_theirs += 1,
        }
    }

    /// Takes in what has become of this instance's own links.
    pub fn take_links(&self) {
        let now = self.links.views();
        let mut state = self.lock();
        let links = &mut state.known.topology.links;
        // A link that was removed is shown once more, as disconnected.
        links.retain(|address, view| now.contains_key(address) || view.state != LinkState::Disconnected);
        let gone = links.keys().filter(|address| !now.contains_key(*address)).map(|address| {
            let reason = LINK_ENDED.to_owned();
            (address.clone(), LinkView { state: LinkState::Disconnected, reason: Some(reason) })
        });
        let gone: Vec<_> = gone.collect();
        let news = now.into_iter().filter(|(address, view)| links.get(address) != Some(view));
        for (address, LinkView { state: link, reason }) in news.chain(gone).collect::<Vec<_>>() {
            let event = Event::Link { instance: self.own.id.clone(), address, at: now_ms(), state: link, reason };
            state.known.topology.apply(&event, now_ms());
            self.feed.show(&event);
        }
    }

    /// Declares those that have fallen silent gone, and forgets those that have been for long.
    pub fn look(&self) {
        let mut guard = self.lock();
        let (state, now) = (&mut *guard, Instant::now().into_std());
        state.known.forget(now);
        state.figures.keep(&state.known.topology);
        for event in state.known.silent(now, self.silence) {
            state.take(&event);
            self.feed.show(&event);
        }
    }

    /// The figures of the last second.
    pub fn sample(&self) {
        let mut state = self.lock();
        let State { sampler, known, samples, .. } = &mut *state;
        let sample = sampler.take(&known.topology, now_ms());
        samples.push_back(sample);
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
        self.feed.show(&Event::Sample { sample });
    }

    /// The figures now.
    pub fn figures(&self) -> Figures {
        let state = self.lock();
        state.figures.figures(&state.known.topology, now_ms())
    }

    /// Shows the figures, if they have changed.
    pub fn show_figures(&self) {
        if !self.feed.is_watched() {
            return;
        }
        let mut state = self.lock();
        let State { figures, known, .. } = &mut *state;
        if let Some(figures) = figures.news(&known.topology, now_ms()) {
            self.feed.show(&Event::Figures { figures: Box::new(figures) });
        }
    }

    /// What the deployment should give is to be worked out for this, where it is not what that was worked out for.
    pub fn stale_input(&self) -> Option<ModelInput> {
        let mut state = self.lock();
        let State { model, known, .. } = &mut *state;
        model.stale_input(&known.topology)
    }

    /// What the deployment should give: every dashboard gets a snapshot.
    pub fn learn(&self, input: ModelInput, answer: Option<IdleExpectation>) {
        let mut state = self.lock();
        state.model.learn(input, answer);
        state.dashboards.refresh();
    }

    /// Counts telemetry that is not taken in.
    pub fn refuse(&self, error: &TelemetryError) {
        let refused = &mut self.lock().refused;
        match error {
            TelemetryError::Unproved => refused.without_token += 1,
            TelemetryError::TooFast => refused.too_fast += 1,
            TelemetryError::Unreadable(_) | TelemetryError::UnknownSender => refused.unreadable += 1,
        }
    }

    pub fn refused(&self) -> Refused {
        self.lock().refused
    }

    /// Whether and when the links have changed.
    pub fn link_changes(&self) -> watch::Receiver<u64> {
        self.links.changes()
    }

    /// Returns when something is to be shown.
    pub async fn news(&self) {
        self.feed.news().await;
    }

    /// Between two batches.
    pub fn batch(&self) -> Duration {
        self.own.batch
    }

    /// Sends the dashboards what they have not seen: the next batch, or a snapshot to those that missed something. Both are
    /// taken at one moment, so that no event is in a snapshot and in a batch after it.
    pub fn push(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (batch, own_requests) = self.own_requests.hold(|list| {
            let batch = self.feed.take();
            if batch.overflowed {
                state.dashboards.refresh();
            }
            (batch, state.dashboards.want_snapshot().then(list))
        });
        let load = self.load.view();
        let batch = (!batch.events.is_empty()).then(|| {
            state.seq += 1;
            DashboardMessage::Events { seq: state.seq, now: now_ms(), load, events: batch.events }.to_text()
        });
        let snapshot = own_requests.map(|own_requests| {
            state.figures.given();
            state.snapshot(&self.own, load, &own_requests)
        });
        state.dashboards.send(batch, snapshot);
        self.feed.watch(!state.dashboards.is_empty());
    }

    /// Whether there is something to send.
    pub fn has_news(&self) -> bool {
        !self.feed.is_empty() || self.lock().dashboards.want_snapshot()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    /// Takes in what an event tells of an instance. False where there is no room for it.
    fn take(&mut self, event: &Event) -> bool {
        let now = Instant::now().into_std();
        let taken = self.known.apply(event, now);
        if taken {
            self.figures.take(event, now, now_ms());
        }
        taken
    }

    /// Everything that a page shows; `own_requests` and those of other web instances, newest first.
    fn snapshot(&self, own: &OwnSettings, load: LoadView, own_requests: &[Shown]) -> String {
        let list = Shortlist::of(own_requests, &self.requests);
        let snapshot = DashboardMessage::Snapshot {
            seq: self.seq,
            now: now_ms(),
            topology: &self.known.topology,
            requests: list.requests,
            requests_left_out: list.left_out,
            samples: &self.samples,
            figures: Box::new(self.figures.figures(&self.known.topology, now_ms())),
            experiment: self.experiment.as_deref(),
            settings: Box::new(self.model.settings(own, &self.known.topology)),
            load,
            version: env!("CARGO_PKG_VERSION"),
            page: option_env!("DASHBOARD_PAGE"),
        };
        snapshot.to_text()
    }
}

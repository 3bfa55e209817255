//! What is known of the deployment, from the events of this process and the telemetry of others, and who watches. Each
//! dashboard gets a snapshot first, then batches of events; one that is slow gets a new snapshot when it is back. This web
//! tier's own requests come from its store, so that nothing of them is ever left out.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix::Recipient;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{DashboardPermit, Dashboards, ModelInput, OwnSettings, Push, Refused, State, link_news};
use crate::experiment::expected::IdleExpectation;
use crate::runtime::telemetry::{Report, TelemetryError, place};
use crate::web::history::{By, EventKind, EventLog, History, differences, experiment_news, lost};
use crate::web::links::LinkTable;
use crate::web::requests::Requests;
use crate::web::{Feed, Load, LoadView};
use crate::wire::{
    Event, ExperimentView, Figures, Hops, InstanceState, LinkView, RequestLog, RequestView, SHOWN_BODY, Tier, Topology,
    now_ms,
};

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
    history: Arc<History>,
}

impl Deployment {
    /// Nothing known yet. `keep_bytes`: memory of other web instances' requests. Up to `max_dashboards` may watch.
    /// `telemetry_interval` is how often instances send snapshots.
    pub fn new(
        keep_bytes: usize,
        max_dashboards: usize,
        telemetry_interval: Duration,
        own: OwnSettings,
        (feed, own_requests): (Arc<Feed>, Arc<Requests>),
        links: Arc<LinkTable>,
        (load, history): (Arc<Load>, Arc<History>),
    ) -> Self {
        let state = State::new(RequestLog::new(own.keep_requests, keep_bytes), Dashboards::new(max_dashboards));
        let silence = telemetry_interval * 2;
        Self { state: Mutex::new(state), feed, own_requests, silence, own, links, load, history }
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
        self.history.take(experiment_news(state.experiment.as_deref(), &view));
        let experiment = Box::new(view);
        state.experiment = Some(experiment.clone());
        self.feed.show(&Event::Experiment { experiment });
    }

    /// Somebody's call is about to do something to instances.
    pub fn expect<'a>(&self, instances: impl IntoIterator<Item = &'a str>, kind: EventKind, by: &By) {
        instances.into_iter().for_each(|id| self.history.expect(id, kind, by.clone()));
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
                self.apply(state, &mut event);
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
            self.apply(state, &mut event);
        }
    }

    fn apply(&self, state: &mut State, event: &mut Event) {
        // Others have links and experiments of their own, and what they tell may come from anybody.
        let is_theirs = !matches!(
            event,
            Event::Link { .. } | Event::Sample { .. } | Event::Figures { .. } | Event::Experiment { .. }
        );
        match self.own_requests.take(event) {
            Some(true) => {}
            None if is_theirs => {
                let news = state.known.differences(event);
                match state.take(event) && state.requests.apply(event) {
                    true => {
                        self.history.take(news);
                        self.show(event);
                    }
                    false => state.refused.too_much += 1,
                }
            }
            _ => state.refused.not_theirs += 1,
        }
    }

    /// Shows the dashboards an event that has been taken in, without the latency histograms, which they do not show.
    fn show(&self, event: &mut Event) {
        if let Event::Instance { snapshot } = event {
            snapshot.hops = Hops::new();
        }
        self.feed.show(event);
    }

    /// Takes in what has become of this instance's own links.
    pub fn take_links(&self) {
        let now = self.links.views();
        let mut state = self.lock();
        let topology = &mut state.known.topology;
        for (address, LinkView { state: link, reason }) in link_news(&mut topology.links, now) {
            let event = Event::Link { instance: self.own.id.clone(), address, at: now_ms(), state: link, reason };
            self.history.take(differences(&event, topology, None));
            topology.apply(&event, now_ms());
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
            self.history.take(lost(&event, &state.known.topology));
            state.take(&event);
            self.feed.show(&event);
        }
        self.history.look();
    }

    /// The figures of the last second.
    pub fn sample(&self) {
        let mut state = self.lock();
        let sample = state.sample();
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

    /// What the deployment should give: dashboards learn it with the next batch.
    pub fn learn(&self, input: ModelInput, answer: Option<IdleExpectation>) {
        self.lock().model.learn(input, answer);
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
        if !state.dashboards.is_empty() {
            // Not while the log is read, to which the load writes under its own lock.
            let load = self.load.view();
            self.history.read(|history| self.push_to(state, load, history));
        }
        self.feed.watch(!state.dashboards.is_empty());
    }

    fn push_to(&self, state: &mut State, load: LoadView, history: &EventLog) {
        let (batch, own_requests) = self.own_requests.hold(|list| {
            let batch = self.feed.take();
            if batch.overflowed {
                state.dashboards.refresh();
            }
            (batch, state.dashboards.want_snapshot().then(list))
        });
        let (batch, settings) = state.batch(batch, load, &self.own, history);
        let snapshot = own_requests.map(|requests| state.snapshot(&settings, load, history, &requests));
        (state.settings, state.logged) = (Some(settings), history.last());
        state.dashboards.send(batch, snapshot);
    }

    /// Whether there is something to send.
    pub fn has_news(&self) -> bool {
        let state = self.lock();
        let logged = || self.history.read(EventLog::last) != state.logged && !state.dashboards.is_empty();
        !self.feed.is_empty() || state.dashboards.want_snapshot() || logged()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

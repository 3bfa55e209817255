//! The hub: takes every instance's telemetry in, keeps the deployment's state, and tells the dashboards: each a
//! snapshot first, then batches of events. A dashboard that is slow gets a new snapshot when it is back.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Recipient;
use actix::dev::SendError;
use bytestring::ByteString;
use serde_json::json;
use slog::{info, warn};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::{Links, Load, LoadView, Oracle, OwnSettings, Push, Sampler};
use crate::actors::{Seat, WorkError};
use crate::model::{
    Event, ExperimentView, InstanceState, RequestLog, RequestView, Sample, Tier, Topology, WorkerState, now_ms,
};
use crate::transport::Subscriber;

/// Samples kept, in seconds.
const SAMPLES: usize = 300;

/// Longest body of a reply that dashboards get, in bytes; the API has the whole.
const SHOWN_BODY: usize = 16 << 10;

/// Between looks at who has fallen silent.
const LOOK: Duration = Duration::from_millis(100);

struct Session {
    to: Recipient<Push>,
    /// Every text that waits in the mailbox has a share of it.
    waiting: Arc<()>,
    /// It missed a batch, and so gets a snapshot next.
    behind: bool,
}

impl Session {
    /// False while a slow browser, that has missed a batch, has not read what it was sent before: making a snapshot for
    /// it would cost and not arrive.
    fn can_take(&self) -> bool {
        !self.behind || Arc::strong_count(&self.waiting) == 1
    }

    /// False when the dashboard is gone.
    fn send(&mut self, text: ByteString) -> bool {
        let sent = self.to.try_send(Push::Text(text, self.waiting.clone()));
        self.behind = matches!(sent, Err(SendError::Full(_)));
        !matches!(sent, Err(SendError::Closed(_)))
    }
}

struct State {
    topology: Topology,
    requests: RequestLog,
    samples: VecDeque<Sample>,
    /// The one of this web tier that runs, or ran last.
    experiment: Option<Box<ExperimentView>>,
    sampler: Sampler,
    oracle: Oracle,
    /// Of the last batch.
    seq: u64,
    pending: Vec<Event>,
    sessions: Vec<Session>,
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
    /// Nothing known yet. `telemetry_interval` is how often instances send snapshots.
    pub fn new(
        keep_requests: usize,
        telemetry_interval: Duration,
        own: OwnSettings,
        links: Arc<Links>,
        load: Arc<Load>,
    ) -> Self {
        let state = State {
            topology: Topology::default(),
            requests: RequestLog::new(keep_requests),
            samples: VecDeque::new(),
            experiment: None,
            sampler: Sampler::default(),
            seq: 0,
            oracle: Oracle::default(),
            pending: vec![],
            sessions: vec![],
        };
        let silence = telemetry_interval * 2;
        Self { state: Mutex::new(state), told: Notify::new(), silence, batch: own.batch, own, links, load }
    }

    pub fn topology(&self) -> Topology {
        let mut state = self.lock();
        state.topology.links.extend(self.links.views());
        state.topology.clone()
    }

    /// A request that any web instance took on.
    pub fn request(&self, request_id: &str) -> Option<RequestView> {
        self.lock().requests.get(request_id).cloned()
    }

    /// A dashboard is here; it gets a snapshot at once.
    pub fn join(&self, to: Recipient<Push>) {
        let mut state = self.lock();
        state.topology.links.extend(self.links.views());
        // First, or the newcomer would get what is pending twice.
        state.push(&self.own, self.load.view());
        let snapshot = state.snapshot(&self.own, self.load.view());
        let mut session = Session { to, waiting: Arc::default(), behind: false };
        if session.send(snapshot) {
            state.sessions.push(session);
        }
    }

    /// Where an instance's admin server is.
    pub fn admin_of(&self, id: &str) -> Option<String> {
        let state = self.lock();
        state.topology.instances.get(id)?.snapshot.instance.admin.clone()
    }

    /// The living instances of a tier, with their admin servers.
    pub fn admins(&self, tier: Tier) -> Vec<(String, String)> {
        let state = self.lock();
        let instances = state.topology.living(tier).map(|view| &view.snapshot.instance);
        instances.filter_map(|instance| Some((instance.id.clone(), instance.admin.clone()?))).collect()
    }

    /// The nodes of the living instances.
    pub fn nodes(&self) -> BTreeSet<String> {
        let state = self.lock();
        let snapshots = state.topology.instances.values().map(|view| &view.snapshot);
        let living = snapshots.filter(|snapshot| snapshot.state != InstanceState::Gone);
        living.map(|snapshot| snapshot.instance.node.clone()).collect()
    }

    /// Tells the dashboards of this web tier something that no telemetry tells.
    pub fn tell(&self, event: Event) {
        self.take(vec![event]);
        self.told.notify_one();
    }

    /// The settings have changed: every dashboard gets a snapshot with the next batch.
    pub fn refresh(&self) {
        let mut state = self.lock();
        state.sessions.iter_mut().for_each(|session| session.behind = true);
    }

    /// Asks every dashboard to leave.
    pub fn close_sessions(&self) {
        self.lock().sessions.drain(..).for_each(|session| session.to.do_send(Push::Close));
    }

    /// Takes events in; true when there is something to tell.
    fn take(&self, events: Vec<Event>) -> bool {
        let now = now_ms();
        let mut state = self.lock();
        for mut event in events.into_iter().filter(|event| !self.links.is_others(event)) {
            state.topology.apply(&event, now);
            state.requests.apply(&event);
            if let Event::Experiment { experiment } = &event {
                state.experiment = Some(experiment.clone());
            }
            // Nobody watches: the state is enough.
            if !state.sessions.is_empty() {
                if let Event::Reply { reply, .. } = &mut event {
                    reply.cut(SHOWN_BODY);
                }
                state.pending.push(event);
            }
        }
        !state.pending.is_empty()
    }

    /// The events of instances that have fallen silent.
    fn silent(&self) -> Vec<Event> {
        let mut state = self.lock();
        let now = now_ms();
        state.topology.forget(now);
        state.topology.silent(now, self.silence.as_millis() as u64)
    }

    fn sample(&self) -> Event {
        let mut state = self.lock();
        let State { oracle, topology, .. } = &mut *state;
        if oracle.asks_anew(topology) {
            state.sessions.iter_mut().for_each(|session| session.behind = true);
        }
        let State { sampler, topology, samples, .. } = &mut *state;
        let sample = sampler.take(topology, now_ms());
        samples.push_back(sample);
        if samples.len() > SAMPLES {
            samples.pop_front();
        }
        Event::Sample { sample }
    }

    fn push(&self) {
        self.lock().push(&self.own, self.load.view());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sends what is pending to every dashboard: one text, shared.
    fn push(&mut self, own: &OwnSettings, load: LoadView) {
        if self.pending.is_empty() {
            return;
        }
        let events = std::mem::take(&mut self.pending);
        self.seq += 1;
        let batch = json!({ "type": "events", "seq": self.seq, "now": now_ms(), "load": load, "events": events });
        let batch = ByteString::from(batch.to_string());
        let mut snapshot = None;
        let mut sessions = std::mem::take(&mut self.sessions);
        sessions.retain_mut(|session| {
            if !session.can_take() {
                return session.to.connected();
            }
            let text = match session.behind {
                true => snapshot.get_or_insert_with(|| self.snapshot(own, load)).clone(),
                false => batch.clone(),
            };
            session.send(text)
        });
        self.sessions = sessions;
    }

    fn snapshot(&mut self, own: &OwnSettings, load: LoadView) -> ByteString {
        let settings = self.oracle.settings(own, &self.topology);
        let snapshot = json!({
            "type": "snapshot",
            "seq": self.seq,
            "now": now_ms(),
            "topology": self.topology,
            "requests": self.requests.views().map(|view| view.cut(SHOWN_BODY)).collect::<Vec<_>>(),
            "samples": self.samples,
            "experiment": self.experiment,
            "settings": settings,
            "load": load,
            "version": env!("CARGO_PKG_VERSION"),
        });
        ByteString::from(snapshot.to_string())
    }
}

/// Runs the hub until it is drained.
pub async fn run_hub(
    seat: Seat,
    hub: Arc<Hub>,
    subscriber: Arc<tokio::sync::Mutex<Subscriber>>,
) -> Result<(), WorkError> {
    let subscriber = subscriber.lock().await;
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut samples = interval(Duration::from_secs(1));
    samples.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut push_at: Option<Instant> = None;
    seat.cell.set(WorkerState::Idle, None);
    loop {
        let events = tokio::select! {
            received = subscriber.next() => received?.unwrap_or_else(|error| {
                warn!(seat.log, "telemetry that can't be read, of another version?"; "error" => %error);
                vec![]
            }),
            _ = looks.tick() => hub.silent(),
            () = hub.told.notified() => vec![],
            _ = samples.tick() => vec![hub.sample()],
            () = sleep_until(push_at.unwrap_or_else(Instant::now)), if push_at.is_some() => {
                push_at = None;
                hub.push();
                continue;
            }
            () = seat.drain.cancelled() => break,
        };
        if hub.take(events) && push_at.is_none() {
            push_at = Some(Instant::now() + hub.batch);
        }
    }
    info!(seat.log, "the hub is closed");
    Ok(())
}

//! What the hub knows and has told the dashboards; `deployment.rs` shares it.

use std::collections::VecDeque;
use std::time::Instant;

use super::{
    DashboardMessage, Dashboards, Instances, LatencyModel, OwnSettings, Owners, PageSettings, Refused, Sampler,
    Shortlist,
};
use crate::web::figures::FiguresLog;
use crate::web::history::EventLog;
use crate::web::requests::Shown;
use crate::web::{Batch, LoadView};
use crate::wire::{Event, ExperimentView, RequestLog, Sample, now_ms};

/// Samples kept, in seconds.
const SAMPLES: usize = 300;

/// Most events of the log in a message to dashboards; `GET /api/v1/events` has the others.
const HISTORY: usize = 200;

/// What is known of the deployment, and who watches.
pub struct State {
    pub known: Instances,
    pub owners: Owners,
    /// Of other web instances.
    pub requests: RequestLog,
    samples: VecDeque<Sample>,
    /// The one of this web tier that runs, or ran last.
    pub experiment: Option<Box<ExperimentView>>,
    sampler: Sampler,
    pub figures: FiguresLog,
    pub model: LatencyModel,
    /// Of the last batch.
    seq: u64,
    pub dashboards: Dashboards,
    /// As the dashboards know them.
    pub settings: Option<PageSettings>,
    /// The last event of the log that the dashboards know.
    pub logged: u64,
    pub refused: Refused,
}

impl State {
    /// Nothing known yet. `requests`: of other web instances.
    pub fn new(requests: RequestLog, dashboards: Dashboards) -> Self {
        Self {
            known: Instances::default(),
            owners: Owners::default(),
            requests,
            samples: VecDeque::new(),
            experiment: None,
            sampler: Sampler::default(),
            figures: FiguresLog::new(Instant::now(), now_ms()),
            seq: 0,
            model: LatencyModel::default(),
            dashboards,
            settings: None,
            logged: 0,
            refused: Refused::default(),
        }
    }

    /// Applies an event to its instance. False if there is no memory for it.
    pub fn take(&mut self, event: &Event) -> bool {
        let now = Instant::now();
        let taken = self.known.apply(event, now);
        if taken {
            self.figures.take(event, now, now_ms());
        }
        taken
    }

    /// The figures of the last second.
    pub fn sample(&mut self) -> Sample {
        let sample = self.sampler.take(&self.known.topology, now_ms());
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        sample
    }

    /// The next batch, if there is anything in it, and the settings as they are with it.
    pub fn batch(
        &mut self,
        batch: Batch,
        load: LoadView,
        own: &OwnSettings,
        history: &EventLog,
    ) -> (Option<String>, PageSettings) {
        let settings = self.model.settings(own, &self.known.topology, self.experiment.as_deref());
        let changed = self.settings.as_ref() != Some(&settings);
        let logged = history.latest(self.logged, HISTORY);
        let batch = (changed || !logged.is_empty() || !batch.events.is_empty()).then(|| {
            self.seq += 1;
            let (settings, events) = (changed.then_some(&settings), batch.events);
            DashboardMessage::Events { seq: self.seq, now: now_ms(), load, settings, history: logged, events }.to_text()
        });
        (batch, settings)
    }

    /// Everything that a page shows; `own_requests` and those of other web instances, newest first.
    pub fn snapshot(
        &mut self,
        settings: &PageSettings,
        load: LoadView,
        history: &EventLog,
        own_requests: &[Shown],
    ) -> String {
        let Self { seq, known, requests, samples, figures, experiment, .. } = self;
        let list = Shortlist::of(own_requests, requests);
        figures.given();
        let figures = Box::new(figures.figures(&known.topology, now_ms()));
        known.without_hops(|topology| {
            let snapshot = DashboardMessage::Snapshot {
                seq: *seq,
                now: now_ms(),
                topology,
                requests: list.requests,
                requests_left_out: list.left_out,
                samples,
                figures,
                experiment: experiment.as_deref(),
                settings,
                load,
                history: history.latest(0, HISTORY),
                version: env!("CARGO_PKG_VERSION"),
                page: option_env!("DASHBOARD_PAGE"),
            };
            snapshot.to_text()
        })
    }
}

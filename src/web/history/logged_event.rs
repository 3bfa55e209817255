//! An event of the log.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::{Instance, Tier, cut_text};

/// Longest text of an event, in bytes; a longer one is cut.
const MAX_TEXT: usize = 200;

/// The subject of `History::expect` for the experiment of this web tier, whatever its run is.
pub const EXPERIMENT: &str = "experiment";

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// An instance is heard of for the first time, or again.
    InstanceCame,
    /// An instance said that it was shut down.
    InstanceLeft,
    /// An instance has fallen silent without a word: it was killed, or its node or network is gone.
    InstanceLost,
    WorkerPanicked,
    /// A worker ended for another reason than a panic, and is started again.
    WorkerFailed,
    /// A worker that had died is at work again.
    WorkerRestarted,
    /// An instance has another number of workers.
    Scaled,
    DelayChanged,
    DispatchChanged,
    /// Injected faults and stalls began, ended or changed.
    FaultsChanged,
    LoadStarted,
    LoadEnded,
    ExperimentStarted,
    ExperimentEnded,
    /// A connection to a requester is up.
    LinkFound,
    /// A connection to a requester is down.
    LinkLost,
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum By {
    /// A call of the API, by a page or a program.
    #[schema(rename_all = "camelCase")]
    Call {
        /// Where the call came from: the last proxy, if there is one.
        address: String,
        /// Where the first proxy says that it came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forwarded_for: Option<String>,
    },
    /// The experiment of this run, which the web tier runs.
    Experiment { run: String },
}

impl By {
    pub fn call(address: Option<IpAddr>, forwarded_for: Option<IpAddr>) -> Self {
        let address = address.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string());
        Self::Call { address, forwarded_for: forwarded_for.map(|ip| ip.to_string()) }
    }
}

/// An event of the log. Texts are cut at 200 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedEvent {
    /// Larger than that of every earlier event, also of those before a restart of the web tier.
    pub seq: u64,
    /// When the web tier learned of it, by its wall clock, in milliseconds since the epoch.
    pub at: u64,
    pub kind: EventKind,
    /// How many instances, or workers of one instance, it is about, or how often it happened to the one.
    pub count: u64,
    /// Of the instances that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// The instance concerned; none if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Index of the worker concerned; none if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// What else it is about: a link's address, an experiment's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The value before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The value after, or what was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// None: without a caller, or not known to this web tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

impl LoggedEvent {
    /// An event that the log has not numbered yet.
    pub fn new(kind: EventKind, at: u64) -> Self {
        Self {
            seq: 0,
            at,
            kind,
            count: 1,
            tier: None,
            instance: None,
            node: None,
            service: None,
            slot: None,
            worker: None,
            subject: None,
            before: None,
            after: None,
            reason: None,
            by: None,
        }
    }

    /// The event of an instance.
    pub fn of(self, instance: &Instance) -> Self {
        Self {
            tier: Some(instance.tier),
            instance: Some(instance.id.clone()),
            node: Some(instance.node.clone()),
            service: Some(instance.service.clone()),
            slot: instance.slot.clone(),
            ..self
        }
    }

    /// What `History::expect` names it by: the instance, or what else it is about.
    pub fn subject(&self) -> &str {
        match self.kind {
            EventKind::ExperimentStarted | EventKind::ExperimentEnded => EXPERIMENT,
            _ => self.subject.as_deref().or(self.instance.as_deref()).unwrap_or_default(),
        }
    }

    /// Cuts its texts, and drops what they had allocated beyond.
    pub fn cut(&mut self) {
        for text in self.texts_mut().into_iter().flatten() {
            cut_text(text, MAX_TEXT);
        }
    }

    /// Estimated bytes of memory, with everything that it owns.
    pub fn footprint(&self) -> usize {
        let by = match &self.by {
            Some(By::Call { address, forwarded_for }) => address.len() + forwarded_for.as_ref().map_or(0, String::len),
            Some(By::Experiment { run }) => run.len(),
            None => 0,
        };
        size_of::<Self>() + by + self.texts().into_iter().flatten().map(String::len).sum::<usize>()
    }

    fn texts(&self) -> [&Option<String>; 8] {
        let Self { instance, node, service, slot, subject, before, after, reason, .. } = self;
        [instance, node, service, slot, subject, before, after, reason]
    }

    fn texts_mut(&mut self) -> [&mut Option<String>; 8] {
        let Self { instance, node, service, slot, subject, before, after, reason, .. } = self;
        [instance, node, service, slot, subject, before, after, reason]
    }
}

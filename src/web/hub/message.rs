//! What a dashboard is sent over its WebSocket.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::page_settings::PageSettings;
use crate::web::LoadView;
use crate::web::history::LoggedEvent;
use crate::wire::{Event, ExperimentView, Figures, RequestView, Sample, Topology};

/// A message to a dashboard: a snapshot first, then batches of events.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum DashboardMessage<'a> {
    /// Everything that the page shows.
    #[schema(rename_all = "camelCase")]
    Snapshot {
        /// Number of the last batch that the snapshot includes.
        seq: u64,
        /// Milliseconds since the epoch.
        now: u64,
        topology: &'a Topology,
        /// Newest first.
        #[schema(value_type = Vec<RequestView>)]
        requests: Vec<Box<RawValue>>,
        /// Number of older requests that are left out for lack of space.
        requests_left_out: usize,
        /// Oldest first.
        #[schema(value_type = Vec<Sample>)]
        samples: &'a VecDeque<Sample>,
        figures: Box<Figures>,
        /// The experiment that this web tier runs, or ran last.
        #[schema(required, value_type = Option<ExperimentView>)]
        experiment: Option<&'a ExperimentView>,
        #[schema(value_type = PageSettings)]
        settings: &'a PageSettings,
        load: LoadView,
        /// The latest 200 events of the log, oldest first.
        #[schema(value_type = Vec<LoggedEvent>)]
        history: Vec<&'a LoggedEvent>,
        /// Of the program.
        version: &'static str,
        /// The page that this server serves: the program's version, `+`, and a digest of the page. None: it serves none.
        #[schema(required)]
        page: Option<&'static str>,
    },
    /// What has happened since the last message.
    Events {
        /// One more than in the last message.
        seq: u64,
        /// Milliseconds since the epoch.
        now: u64,
        load: LoadView,
        /// Where they have changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<PageSettings>)]
        settings: Option<&'a PageSettings>,
        /// The latest 200 new events of the log, oldest first; left out where there is none.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[schema(required = false, value_type = Vec<LoggedEvent>)]
        history: Vec<&'a LoggedEvent>,
        #[schema(value_type = Vec<Event>)]
        events: Vec<Box<RawValue>>,
    },
}

impl DashboardMessage<'_> {
    /// The message as JSON.
    pub fn to_text(&self) -> String {
        // It is made of texts, numbers and maps by text, none of which can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

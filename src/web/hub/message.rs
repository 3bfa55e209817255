//! What a dashboard is sent over its WebSocket.

use std::collections::VecDeque;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::page_settings::PageSettings;
use crate::web::LoadView;
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
        /// The one that this web tier runs, or ran last.
        #[schema(required, value_type = Option<ExperimentView>)]
        experiment: Option<&'a ExperimentView>,
        settings: Box<PageSettings>,
        load: LoadView,
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

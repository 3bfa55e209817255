//! An active request of this web instance: its view, its calls, and its memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem::size_of;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Ended;
use crate::runtime::Room;
use crate::wire::{
    Accepted, Event, FanOut, Footprint, Problem, Reply, Request, RequestFold, RequestView, TaskName, now_ms,
    whole_or_none,
};

/// A request as a client sends it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewRequest {
    /// `file`, `echo` or `cpu`; none: the responders' task.name.
    #[schema(value_type = Option<TaskName>)]
    pub task: Option<String>,
    /// Parameters of the task.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// File for the `file` task, relative to the responders' task.root.
    pub filename: Option<String>,
    pub fan_out: FanOut,
    /// Timeout of each message, in milliseconds, from 1 to 3,600,000; none: the requesters' requester.timeout.
    #[serde(deserialize_with = "whole_or_none")]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub timeout_ms: Option<u64>,
    /// Respond when the request has ended, with its replies, instead of at once.
    pub wait: bool,
}

/// Memory reserved for the reply to each accepted message, in bytes: enough for a reply without a body.
const REPLY_BYTES: usize = size_of::<Reply>() + 512;

/// The progress of a request, watched by its clients.
#[derive(Clone, Debug, Default)]
pub struct RequestProgress {
    /// Number of replies so far.
    pub replies: usize,
    /// The ended request. Clients that wait hold it even if the store has removed it.
    pub ended: Option<Arc<Ended>>,
}

/// A request of this instance that has not ended.
pub struct ActiveRequest {
    pub view: RequestFold,
    pub request: Request,
    pub started: Instant,
    pub deadline: Instant,
    /// The active calls by link, each with the requester instance that accepted it.
    pub calls: BTreeMap<SocketAddr, Option<String>>,
    /// Every link that was given a call.
    pub tried: BTreeSet<SocketAddr>,
    pub problem: Option<Problem>,
    /// Sequence number among the requests that this instance accepted.
    pub number: u64,
    /// `dispatched` events that arrived before the `accepted` event of their message, by message id.
    pub early_dispatches: HashMap<String, Event>,
    pub progress: watch::Sender<RequestProgress>,
    /// Memory of the view; kept after the request has ended.
    pub room: Room,
    /// Memory of the request itself, here and in the links' queues, until it has ended.
    pub request_room: Arc<Room>,
}

impl ActiveRequest {
    /// Begins a request that `links` links will send. `timeout`: for messages of a request without its own. `take` reserves
    /// memory; `None` if that fails.
    pub fn begin(
        new: NewRequest,
        links: usize,
        timeout: Duration,
        mut take: impl FnMut(usize) -> Option<Room>,
    ) -> Option<Self> {
        let started = Instant::now();
        let view = RequestView {
            request_id: Uuid::new_v4().to_string(),
            at: now_ms(),
            task: new.task.clone(),
            fan_out: new.fan_out,
            timeout_ms: new.timeout_ms,
            links,
            ..RequestView::default()
        };
        let request = Request {
            request_id: view.request_id.clone(),
            filename: new.filename,
            task: new.task,
            parameters: new.parameters,
            fan_out: Some(new.fan_out).filter(|fan_out| *fan_out != FanOut::All),
            timeout_ms: new.timeout_ms,
            stream: Some(true),
            attempt: Some(1),
            attempt_key: Some(Uuid::new_v4().to_string()),
            extra: Map::new(),
        };
        let room = take(size_of::<Ended>() + view.opening().footprint())?;
        let request_room = Arc::new(take(size_of::<Self>() + (1 + links) * request.footprint())?);
        Some(Self {
            view: view.into(),
            request,
            started,
            deadline: started + new.timeout_ms.map_or(timeout, Duration::from_millis),
            calls: BTreeMap::new(),
            tried: BTreeSet::new(),
            problem: None,
            number: 0,
            early_dispatches: HashMap::new(),
            progress: watch::Sender::default(),
            room,
            request_room,
        })
    }

    /// Memory of the accepted messages and of their replies without bodies, in bytes.
    pub fn bytes_of_accepted(accepted: &Accepted) -> usize {
        accepted.footprint() + accepted.messages.len() * REPLY_BYTES
    }

    /// Memory that a reply needs beyond its reservation, in bytes.
    pub fn bytes_of(&self, reply: &Reply) -> usize {
        let reserved = if self.view.is_promised(&reply.message_id) { REPLY_BYTES } else { 0 };
        reply.footprint().saturating_sub(reserved)
    }

    /// Applies an event to the request's view, and `dispatched` events that arrived before their `accepted` event.
    pub fn apply(&mut self, event: &Event) {
        self.view.apply(event);
        if let Event::Accepted { accepted, .. } = event {
            let sent = accepted.messages.iter().filter_map(|promise| self.early_dispatches.remove(&promise.message_id));
            sent.for_each(|sent| self.view.apply(&sent));
        }
    }
}

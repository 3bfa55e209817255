//! A request that this web instance has taken on, with what has become of it.

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

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NewRequest {
    /// `file`, `echo` or `cpu`; none: the responders' configured one.
    #[schema(value_type = Option<TaskName>)]
    pub task: Option<String>,
    /// The task's own.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// For the `file` task, relative to the responders' root.
    pub filename: Option<String>,
    pub fan_out: FanOut,
    /// Milliseconds each message may take, from 1 to 3,600,000.
    #[serde(deserialize_with = "whole_or_none")]
    #[schema(minimum = 1, maximum = 3_600_000)]
    pub timeout_ms: Option<u64>,
    /// Answer when the request has ended, with its replies, instead of at once.
    pub wait: bool,
}

/// Memory that is set aside for the reply to a message when it is promised, in bytes: enough for one without a body.
const REPLY: usize = size_of::<Reply>() + 512;

/// How far a request is.
#[derive(Clone, Debug, Default)]
pub struct RequestProgress {
    pub replies: usize,
    /// Its end, which those who wait for it have even when the request is forgotten.
    pub ended: Option<Arc<Ended>>,
}

/// A request of this instance that is under way.
pub struct ActiveRequest {
    pub view: RequestFold,
    pub request: Request,
    pub started: Instant,
    pub deadline: Instant,
    /// The calls under way, each with the instance that accepted it.
    pub calls: BTreeMap<SocketAddr, Option<String>>,
    pub tried: BTreeSet<SocketAddr>,
    pub problem: Option<Problem>,
    /// Place among all requests of this instance, in the order in which they were taken on.
    pub number: u64,
    /// Messages that were sent before their promise came, with what was published of that.
    pub early: HashMap<String, Event>,
    pub progress: watch::Sender<RequestProgress>,
    /// What its view takes, which is kept when it has ended.
    pub room: Room,
    /// What the request itself takes until then, here and at its links.
    pub request_room: Arc<Room>,
}

impl ActiveRequest {
    /// What a client asks for, to be sent by so many links. `timeout`: of its messages, where it brings none. `take` gives
    /// it its memory; none where that fails.
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
            early: HashMap::new(),
            progress: watch::Sender::default(),
            room,
            request_room,
        })
    }

    /// What the promised messages and their replies, without bodies, take, in bytes.
    pub fn bytes_of_promise(accepted: &Accepted) -> usize {
        accepted.footprint() + accepted.messages.len() * REPLY
    }

    /// What a reply takes beyond what is set aside for it, in bytes.
    pub fn bytes_of(&self, reply: &Reply) -> usize {
        let set_aside = if self.view.is_promised(&reply.message_id) { REPLY } else { 0 };
        reply.footprint().saturating_sub(set_aside)
    }

    /// Takes an event into the request's view.
    pub fn apply(&mut self, event: &Event) {
        self.view.apply(event);
        if let Event::Accepted { accepted, .. } = event {
            let sent = accepted.messages.iter().filter_map(|promise| self.early.remove(&promise.message_id));
            sent.for_each(|sent| self.view.apply(&sent));
        }
    }
}

//! A request that this web instance has taken on, with what has become of it.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::runtime::{InstanceStatus, Room};
use crate::wire::{
    Accepted, Event, FanOut, Footprint, Problem, Reply, Request, RequestFold, RequestView, SHOWN_BODY, TaskName,
    now_ms, whole_or_none,
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
    /// The dashboards know of it: it was not left out under heavy load.
    pub told: bool,
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
            told: false,
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

    /// Takes an event into the request's view and tells it to the dashboards, if they know of the request. They always
    /// learn how it ended; what happened before may be left out.
    pub fn tell(&mut self, event: Event, status: &InstanceStatus) {
        self.view.apply(&event);
        match &event {
            _ if !self.told => {}
            Event::Outcome { .. } => status.events.emit(event),
            _ => drop(status.events.emit_for_message(|| shown(event))),
        }
    }

    /// A message's reply.
    pub fn take_reply(&mut self, reply: Reply, status: &InstanceStatus) {
        self.tell(Event::Reply { at: now_ms(), reply: Box::new(reply) }, status);
        self.progress.send_modify(|progress| progress.replies += 1);
    }

    /// Ends the messages of an instance that no reply will come for.
    pub fn lose(&mut self, instance: &str, reason: &str, status: &InstanceStatus) {
        let lost: Vec<String> = self.view.unanswered(instance).map(|message| message.message_id.clone()).collect();
        for message_id in lost {
            let (request_id, reason) = (self.view.request_id.clone(), reason.to_owned());
            self.tell(Event::Lost { request_id, message_id, at: now_ms(), reason }, status);
        }
    }
}

/// The event as others are told it: the whole body stays here.
fn shown(mut event: Event) -> Event {
    if let Event::Reply { reply, .. } = &mut event {
        reply.cut(SHOWN_BODY);
    }
    event
}

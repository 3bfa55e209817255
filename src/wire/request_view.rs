//! The view of a request for the API and dashboards.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Event, FanOut, OutcomeCounts, Reply, RequestStatus};

/// A message of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    pub message_id: String,
    pub requester_id: String,
    /// The requester instance's id.
    pub instance: String,
    /// Why it ended without a reply, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// When it last left its requester, in milliseconds since the epoch; none if no event reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatched_at: Option<u64>,
}

/// A request, its state, and its replies in order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestView {
    pub request_id: String,
    /// When it was accepted, in milliseconds since the epoch.
    pub at: u64,
    #[schema(required)]
    pub task: Option<String>,
    pub fan_out: FanOut,
    /// Timeout in milliseconds; none: the requester's configured timeout.
    #[schema(required)]
    pub timeout_ms: Option<u64>,
    /// Requester instances it was sent to.
    pub links: usize,
    pub status: RequestStatus,
    /// Why it failed, or problems of a request that did not fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub messages: Vec<MessageView>,
    pub replies: Vec<Reply>,
    pub counts: OutcomeCounts,
    /// Time from acceptance to the end, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_us: Option<u64>,
}

impl RequestView {
    /// The view after a `request` event; `None` for other events.
    pub fn begin(event: &Event) -> Option<Self> {
        let Event::Request { request_id, at, task, fan_out, timeout_ms, links } = event else { return None };
        Some(Self {
            request_id: request_id.clone(),
            at: *at,
            task: task.clone(),
            fan_out: *fan_out,
            timeout_ms: *timeout_ms,
            links: *links,
            ..Self::default()
        })
    }

    /// The same request with other replies.
    pub fn with_replies(&self, replies: Vec<Reply>) -> Self {
        Self {
            request_id: self.request_id.clone(),
            task: self.task.clone(),
            reason: self.reason.clone(),
            messages: self.messages.clone(),
            replies,
            ..*self
        }
    }

    /// The `request` event that begins this view.
    pub fn opening(&self) -> Event {
        Event::Request {
            request_id: self.request_id.clone(),
            at: self.at,
            task: self.task.clone(),
            fan_out: self.fan_out,
            timeout_ms: self.timeout_ms,
            links: self.links,
        }
    }
}

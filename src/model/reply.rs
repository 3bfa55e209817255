//! Replies: a responder's answer to a message, or what is said where none came.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BadMessage, Hop, parse};

/// `responderId` of a reply that no responder made: a timeout, a refusal.
pub const NO_RESPONDER: i64 = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ResponseType {
    Response,
    Error,
}

/// What kind of error an error reply or an HTTP error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The message or request is not of the protocol.
    BadRequest,
    /// No such thing.
    NotFound,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is encoded in a way that is not taken.
    UnsupportedMediaType,
    /// The body did not come in time.
    RequestTimeout,
    /// A bounded queue is full; try again later.
    Overloaded,
    /// The instance is shutting down; another one will take it.
    Draining,
    /// The deadline passed first.
    Timeout,
    /// The task ended with an error.
    TaskFailed,
    /// The task panicked.
    Panicked,
    /// A peer went away with the message and it could not be sent again.
    Lost,
    /// No peer to send to.
    NotConnected,
    /// Something else is in the way: it has to end first.
    Conflict,
    /// Not permitted: the token is missing or wrong.
    Forbidden,
    /// A fault in this program.
    Internal,
}

/// How a message ended. Each message has exactly one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Response,
    Error,
    Timeout,
}

/// Where a message's time went, in microseconds, each measured by one clock as a duration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// In the requester, waiting for its worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_us: Option<u64>,
    /// Between requester and broker, both ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wire_us: Option<u64>,
    /// At the broker, waiting for a responder worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_us: Option<u64>,
    /// In the responder worker: the delay and the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_us: Option<u64>,
    /// From the request's arrival at the requester to its reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_us: Option<u64>,
}

impl Timings {
    /// The stretches that are known, with their times.
    pub fn hops(self) -> impl Iterator<Item = (Hop, Duration)> {
        let hops = [
            (Hop::Queued, self.queued_us),
            (Hop::Wire, self.wire_us),
            (Hop::Broker, self.broker_us),
            (Hop::Service, self.service_us),
            (Hop::Total, self.total_us),
        ];
        hops.into_iter().filter_map(|(hop, us)| Some((hop, Duration::from_micros(us?))))
    }
}

/// A responder's answer to one message, or the requester's when none came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// Unique per responder worker across the deployment; -1 where no responder answered.
    pub responder_id: i64,
    pub requester_id: String,
    pub responded_at: u64,
    #[serde(deserialize_with = "text")]
    pub body: String,
    pub response_type: ResponseType,
    pub request_id: String,
    pub message_id: String,
    pub requested_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// More about an error, where the body is fixed by the article's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The host that the responder ran on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// The message's fields that this program does not know.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub extra: Map<String, Value>,
}

impl Reply {
    /// Leaves the first `bytes` of a longer body, and says in the field `bodyBytes` how long the whole is.
    pub fn cut(&mut self, bytes: usize) {
        if self.body.len() > bytes {
            self.extra.insert("bodyBytes".to_owned(), self.body.len().into());
            let end = (0..=bytes).rev().find(|end| self.body.is_char_boundary(*end)).unwrap_or_default();
            self.body.truncate(end);
            self.body.shrink_to_fit();
        }
    }

    /// Leaves out what may be long, and says why: the body, of which `bodyBytes` has the length, and unknown fields.
    pub fn leave_out(&mut self, why: &str) {
        self.extra = Map::new();
        self.cut(0);
        self.detail = Some(why.to_owned());
    }

    /// Reads a reply; fails on what is no JSON object of this shape.
    pub fn parse(json: &[u8]) -> Result<Self, BadMessage> {
        parse(json)
    }

    /// How the message this answers ended.
    pub fn outcome(&self) -> Outcome {
        match (self.response_type, self.code) {
            (ResponseType::Response, _) => Outcome::Response,
            (ResponseType::Error, Some(ErrorCode::Timeout)) => Outcome::Timeout,
            // The article's requester has no code for its timeouts, but says them as no responder.
            (ResponseType::Error, None) if self.responder_id == NO_RESPONDER => Outcome::Timeout,
            (ResponseType::Error, _) => Outcome::Error,
        }
    }

    /// The reply with the article's fields (and unknown ones) alone, for a peer that speaks its program's formats.
    pub fn plain(mut self) -> Self {
        self.code = None;
        self.detail = None;
        self.task = None;
        self.node = None;
        self.service = None;
        self.slot = None;
        self.attempt = None;
        self.timings = None;
        self
    }
}

/// A body that is not a string is kept as its JSON text, so that another program's reply is never refused for it.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Request;

    #[test]
    fn a_body_of_another_type_is_kept_as_text() {
        let json = r#"{"responderId":1,"requesterId":"a","respondedAt":1,"body":{"a":1},"responseType":"Response","requestId":"b","messageId":"c","requestedAt":1}"#;
        assert_eq!(Reply::parse(json.as_bytes()).unwrap().body, r#"{"a":1}"#);
    }

    #[test]
    fn a_long_body_is_cut_between_characters_and_its_length_kept() {
        let reply = Request::default().message("m".into(), "r".into()).reply(7, "abcdé".into());
        let cut = |bytes| {
            let mut cut = reply.clone();
            cut.cut(bytes);
            cut
        };
        assert_eq!(cut(6), reply);
        let shown = serde_json::to_value(cut(5)).unwrap();
        assert_eq!((&shown["body"], &shown["bodyBytes"]), (&"abcd".into(), &6.into()));
        let mut left_out = reply;
        left_out.extra.insert("x".into(), "long".into());
        left_out.leave_out("no room");
        let left_out = serde_json::to_value(left_out).unwrap();
        assert_eq!((&left_out["body"], &left_out["bodyBytes"]), (&"".into(), &6.into()));
        assert_eq!((&left_out["detail"], left_out.get("x")), (&"no room".into(), None));
    }
}

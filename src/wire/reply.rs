//! Replies: a responder's response to a message, or the requester's error if there was none.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BadMessage, Hop, Message, cut_text, foreign, parse};

/// Maximum length of an id, file or task that an error about a reply's size repeats, in bytes.
const MAX_NAME: usize = 128;

/// `responderId` of a reply that does not come from a responder: a timeout, a refusal.
pub const NO_RESPONDER: i64 = -1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
pub enum ResponseType {
    Response,
    Error,
}

/// The kind of an error reply or HTTP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The message or request does not follow the protocol.
    BadRequest,
    /// It does not exist.
    NotFound,
    /// The path does not support this method.
    MethodNotAllowed,
    /// The call's Accept headers exclude every format of the response.
    NotAcceptable,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is not JSON, or is compressed.
    UnsupportedMediaType,
    /// The fields are valid by themselves and contradict each other.
    Unprocessable,
    /// The body did not arrive in time.
    RequestTimeout,
    /// A bounded queue is full; try again later.
    Overloaded,
    /// The instance is shutting down; send it to another one.
    Draining,
    /// The deadline passed first.
    Timeout,
    /// The task ended with an error.
    TaskFailed,
    /// The task panicked.
    Panicked,
    /// A peer was lost with the message, and it could not be sent again.
    Lost,
    /// No peer to send to.
    NotConnected,
    /// Something else has to end first.
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

/// The times of a message's hops, in microseconds; each is measured with a single clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// Wait in the requester for its worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued_us: Option<u64>,
    /// Between requester and broker, both ways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wire_us: Option<u64>,
    /// Wait at the broker for a responder worker.
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
    /// The measured hops with their times.
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

/// A responder's reply to a message, or the requester's if there was none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// Unique per responder worker across the deployment; -1 if no responder replied.
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
    /// Details of an error whose body has the text of the article's program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The full length of the body in bytes, if `body` was shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<usize>,
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
    /// The message's unknown fields.
    #[serde(flatten, deserialize_with = "foreign")]
    #[schema(value_type = Object)]
    pub extra: Map<String, Value>,
}

impl Reply {
    /// Shortens the body to `bytes` bytes, and sets `body_bytes` to its full length.
    pub fn cut(&mut self, bytes: usize) {
        if self.body.len() > bytes {
            self.body_bytes = Some(self.body.len());
            cut_text(&mut self.body, bytes);
        }
    }

    /// This reply and its JSON; an error reply instead if the JSON is longer than `limit` bytes.
    ///
    /// # Errors
    /// The reply cannot be serialised as JSON.
    pub fn into_json(self, limit: usize) -> serde_json::Result<(Self, Vec<u8>)> {
        let json = serde_json::to_vec(&self)?;
        if json.len() <= limit {
            return Ok((self, json));
        }
        let error = self.too_large(json.len(), limit);
        let json = serde_json::to_vec(&error)?;
        Ok((error, json))
    }

    fn too_large(mut self, bytes: usize, limit: usize) -> Self {
        self.body = format!(
            "the reply has {bytes} bytes as JSON, and {limit} are allowed (requester.max_message_bytes): ask for less, \
             or raise the limit on requesters, brokers and responders"
        );
        self.response_type = ResponseType::Error;
        self.code = self.attempt.map(|_| ErrorCode::TooLarge);
        // The large field may be one that the reply repeats from the message.
        self.filename = self.filename.filter(|name| name.len() <= MAX_NAME);
        self.task = self.task.filter(|name| name.len() <= MAX_NAME);
        self.extra.clear();
        for id in [&mut self.request_id, &mut self.message_id, &mut self.requester_id] {
            if id.len() > MAX_NAME {
                id.clear();
            }
        }
        self
    }

    /// Removes the body and unknown fields, sets `bodyBytes` to the body's length and `detail` to `why`.
    pub fn leave_out(&mut self, why: &str) {
        self.extra = Map::new();
        self.cut(0);
        self.detail = Some(why.to_owned());
    }

    /// Parses a reply.
    ///
    /// # Errors
    /// It is not a JSON object with these fields.
    pub fn parse(json: &[u8]) -> Result<Self, BadMessage> {
        parse(json)
    }

    /// True if the reply has the ids of this message.
    pub fn answers(&self, message: &Message) -> bool {
        self.message_id == message.message_id
            && self.request_id == message.request_id
            && self.requester_id == message.requester_id
    }

    /// The outcome of the message.
    pub fn outcome(&self) -> Outcome {
        match (self.response_type, self.code) {
            (ResponseType::Response, _) => Outcome::Response,
            (ResponseType::Error, Some(ErrorCode::Timeout)) => Outcome::Timeout,
            // The article's requester has no error code: its timeouts have the id of no responder.
            (ResponseType::Error, None) if self.responder_id == NO_RESPONDER => Outcome::Timeout,
            (ResponseType::Error, _) => Outcome::Error,
        }
    }

    /// The reply without the fields that the article's program does not have; unknown fields stay.
    pub fn into_article_format(mut self) -> Self {
        self.code = None;
        self.detail = None;
        self.body_bytes = None;
        self.task = None;
        self.node = None;
        self.service = None;
        self.slot = None;
        self.attempt = None;
        self.timings = None;
        self
    }
}

/// A body that is not a string becomes its JSON text, so that replies of other programs are accepted.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    #[test]
    fn the_error_for_a_too_large_reply_is_small_whichever_field_is_large() {
        let long = "\0".repeat(10_000);
        let short = Reply::parse(br#"{"responderId":1,"requesterId":"a","respondedAt":1,"body":"","responseType":"Response","requestId":"b","messageId":"c","requestedAt":1,"filename":"f","attempt":1}"#).unwrap();
        let error = short.clone().too_large(2_000, 1_000);
        assert_eq!((error.outcome(), error.code), (Outcome::Error, Some(ErrorCode::TooLarge)));
        assert_eq!((&*error.message_id, error.filename.as_deref()), ("c", Some("f")));
        assert!(
            error.body.contains("2000 bytes") && error.body.contains("requester.max_message_bytes"),
            "{}",
            error.body
        );
        let extra = Map::from_iter([("color".to_owned(), Value::from(long.clone()))]);
        let reply = |filename: Option<&str>, message_id: &str, extra: &Map<String, Value>| Reply {
            filename: filename.map(str::to_owned),
            message_id: message_id.to_owned(),
            extra: extra.clone(),
            ..short.clone()
        };
        for reply in [reply(Some(&long), "c", &extra), reply(None, &long, &extra)] {
            let error = serde_json::to_string(&reply.too_large(2_000, 1_000)).unwrap();
            assert!(error.len() < 1_000, "{error}");
        }
        assert_eq!(
            short.into_article_format().too_large(2_000, 1_000).code,
            None,
            "the article's program has no codes"
        );
    }

    #[test]
    fn a_body_of_another_type_is_kept_as_text() {
        let json = r#"{"responderId":1,"requesterId":"a","respondedAt":1,"body":{"a":1},"responseType":"Response","requestId":"b","messageId":"c","requestedAt":1}"#;
        assert_eq!(Reply::parse(json.as_bytes()).unwrap().body, r#"{"a":1}"#);
    }

    #[test]
    fn a_long_body_is_cut_between_characters_and_body_bytes_has_its_length() {
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

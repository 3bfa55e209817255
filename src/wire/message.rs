//! The wire types of the pipeline: JSON objects that the article's Node.js program reads and writes, extended by
//! optional fields only. Times are milliseconds since the Unix epoch, durations microseconds; `docs/protocol.md` has
//! every field.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{ErrorCode, NO_RESPONDER, Reply, ResponseType};

/// Maximum length of a `requestId`, in bytes. The article's are UUIDs of 36 bytes.
const MAX_ID: usize = 128;

/// Maximum timeout of a message, in milliseconds: one hour.
pub const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// The names of all fields of requests, messages and replies. An unknown field with such a name is not passed on: in the next
/// object it would look like this program's own field.
static OWN_FIELDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let names = |schema: Schema| schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    [schema_for!(Request), schema_for!(Message), schema_for!(Reply)]
        .into_iter()
        .flat_map(names)
        .map(|(name, _)| name)
        .collect()
});

/// Milliseconds since the Unix epoch, as every `...At` field of the protocol.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64)
}

/// Which requester workers send a message for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FanOut {
    /// Every worker of every requester instance, as in the article.
    #[default]
    All,
    /// One worker of one instance.
    One,
}

/// Why a text is not a valid object of the protocol.
#[derive(Debug, thiserror::Error)]
pub enum BadMessage {
    #[error("not valid: {0}; docs/protocol.md has the fields")]
    Json(#[from] serde_json::Error),
    #[error("`requestId` must have 1 to {MAX_ID} bytes, this one has {0}")]
    IdLength(usize),
    #[error("`timeoutMs` must be from 1 to {MAX_TIMEOUT_MS}, this one is {0}")]
    Timeout(u64),
}

/// A request from the web tier to a requester, over TCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub request_id: String,
    /// File for the `file` task, relative to its root; none: the responder's task.file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The task; none: the responder's task.name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fan_out: Option<FanOut>,
    /// Timeout of each message from the request's arrival, in milliseconds, from 1 to [`MAX_TIMEOUT_MS`]; none: the requester's
    /// configured timeout. A request that is sent again carries the time left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Send each reply as it arrives, instead of the whole set at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// 1 for the first attempt, more if the web tier sends it again after a lost connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// A secret of the sender, the same for each attempt. Only a sender that knows it gets the replies of a request that was sent
    /// before: the id is not secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_key: Option<String>,
    /// Unknown fields, passed on to the responder and back.
    #[serde(flatten, deserialize_with = "foreign")]
    pub extra: Map<String, Value>,
}

impl Request {
    /// Parses a request.
    ///
    /// # Errors
    /// It is not a JSON object with these fields, its id is empty or too long, or its timeout is out of range.
    pub fn parse(json: &[u8]) -> Result<Self, BadMessage> {
        let request: Self = parse(json)?;
        check_id(&request.request_id)?;
        match request.timeout_ms {
            Some(ms) if !(1..=MAX_TIMEOUT_MS).contains(&ms) => Err(BadMessage::Timeout(ms)),
            _ => Ok(request),
        }
    }

    /// The `requestId` of an object that may not be a valid request, for the error to its sender.
    pub fn id_of(json: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Named {
            request_id: String,
        }
        let named: Named = parse(json).ok()?;
        check_id(&named.request_id).ok().map(|()| named.request_id)
    }

    /// True if the sender used a field that the article's program does not have, and so accepts such fields in replies.
    pub fn is_extended(&self) -> bool {
        self.task.is_some()
            || !self.parameters.is_empty()
            || self.fan_out.is_some()
            || self.timeout_ms.is_some()
            || self.stream.is_some()
            || self.attempt.is_some()
            || self.attempt_key.is_some()
    }

    /// Estimated memory, in bytes: small values take much more than their JSON.
    pub fn bytes(&self) -> usize {
        let texts = [&self.filename, &self.task, &self.attempt_key].into_iter().flatten().map(String::len);
        let maps = bytes_of_map(&self.parameters) + bytes_of_map(&self.extra);
        size_of::<Self>() + self.request_id.len() + texts.sum::<usize>() + maps
    }

    /// The message one requester worker sends for this request.
    pub fn message(&self, message_id: String, requester_id: String) -> Message {
        Message {
            request_id: self.request_id.clone(),
            filename: self.filename.clone(),
            task: self.task.clone(),
            parameters: self.parameters.clone(),
            extra: self.extra.clone(),
            message_id,
            requester_id,
            requested_at: now_ms(),
            attempt: None,
            max_reply_bytes: None,
            time_left_ms: None,
            timeout_ms: None,
        }
    }
}

/// A message from a requester worker to a responder worker, over ZeroMQ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    #[serde(flatten, deserialize_with = "foreign")]
    pub extra: Map<String, Value>,
    pub message_id: String,
    pub requester_id: String,
    pub requested_at: u64,
    /// 1 for the first attempt. Its presence shows the responder that the sender reads the reply's optional fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Maximum bytes of the reply's JSON: a longer reply would make the sender lose the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_reply_bytes: Option<u64>,
    /// Milliseconds left at sending; the message expires then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_left_ms: Option<u64>,
    /// Milliseconds that it was given in all, from its request's arrival at the requester.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl Message {
    /// Parses a message.
    ///
    /// # Errors
    /// It is not a JSON object with these fields.
    pub fn parse(json: &[u8]) -> Result<Self, BadMessage> {
        parse(json)
    }

    /// An error reply to this message, from `responder_id` or from no responder ([`NO_RESPONDER`]).
    pub fn error(&self, responder_id: i64, code: ErrorCode, body: impl Into<String>) -> Reply {
        let mut reply = self.reply(responder_id, body.into());
        reply.response_type = ResponseType::Error;
        reply.code = Some(code);
        reply
    }

    /// The reply for a timeout, with the article's text. `detail`: what the message waited for.
    pub fn timed_out(&self, detail: impl Into<String>) -> Reply {
        let mut reply =
            self.error(NO_RESPONDER, ErrorCode::Timeout, format!("request: {} timed out.", self.message_id));
        reply.filename = None;
        reply.detail = Some(detail.into());
        reply
    }

    /// The response to this message.
    pub fn reply(&self, responder_id: i64, body: String) -> Reply {
        Reply {
            responder_id,
            requester_id: self.requester_id.clone(),
            responded_at: now_ms(),
            body,
            response_type: ResponseType::Response,
            request_id: self.request_id.clone(),
            message_id: self.message_id.clone(),
            requested_at: self.requested_at,
            filename: self.filename.clone(),
            code: None,
            detail: None,
            body_bytes: None,
            task: self.task.clone(),
            node: None,
            service: None,
            slot: None,
            attempt: self.attempt,
            timings: None,
            extra: self.extra.clone(),
        }
    }
}

pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, BadMessage> {
    Ok(serde_json::from_slice(json)?)
}

/// Reads the fields that an object's type does not know, without those that another type has as its own.
pub fn foreign<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let mut fields = Map::deserialize(deserializer)?;
    fields.retain(|name, _| !OWN_FIELDS.contains(name));
    Ok(fields)
}

fn bytes_of_map(map: &Map<String, Value>) -> usize {
    // An entry has key, value, hash, and a slot in the table.
    let entry =
        |(key, value): (&String, &Value)| size_of::<String>() + key.len() + bytes_of(value) + 2 * size_of::<u64>();
    map.iter().map(entry).sum()
}

fn bytes_of(value: &Value) -> usize {
    let inner = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(bytes_of).sum(),
        Value::Object(map) => bytes_of_map(map),
    };
    size_of::<Value>() + inner
}

fn check_id(id: &str) -> Result<(), BadMessage> {
    match id.len() {
        1..=MAX_ID => Ok(()),
        other => Err(BadMessage::IdLength(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Outcome;
    use proptest::prelude::*;

    const ARTICLE_MESSAGE: &str =
        r#"{"requestId":"7189","messageId":"d5f2","requesterId":"4fcf","requestedAt":1795346736497}"#;

    #[test]
    fn an_article_message_is_written_as_it_was_read() {
        let message = Message::parse(ARTICLE_MESSAGE.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), ARTICLE_MESSAGE);
    }

    #[test]
    fn a_reply_has_the_articles_fields_in_its_order() {
        let mut message = Message::parse(ARTICLE_MESSAGE.as_bytes()).unwrap();
        message.filename = Some("target.txt".into());
        let mut reply = message.reply(23096, "Hello Paul".into());
        reply.responded_at = 1795346736501;
        assert_eq!(
            serde_json::to_string(&reply).unwrap(),
            r#"{"responderId":23096,"requesterId":"4fcf","respondedAt":1795346736501,"body":"Hello Paul","responseType":"Response","requestId":"7189","messageId":"d5f2","requestedAt":1795346736497,"filename":"target.txt"}"#
        );
    }

    #[test]
    fn a_timeout_is_told_in_the_articles_words() {
        let mut message = Message::parse(ARTICLE_MESSAGE.as_bytes()).unwrap();
        message.filename = Some("a".into());
        let reply = message.timed_out("no reply within 10s");
        assert_eq!((reply.responder_id, reply.filename.as_deref()), (-1, None));
        assert_eq!(reply.body, "request: d5f2 timed out.");
        assert_eq!(reply.outcome(), Outcome::Timeout);
        assert_eq!(reply.plain().outcome(), Outcome::Timeout);
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        for (json, reason) in [
            ("null", "invalid type"),
            ("7", "invalid type"),
            ("{}", "requestId"),
            (r#"{"requestId":7}"#, "expected a string"),
            (r#"{"requestId":""}"#, "1 to 128"),
            (r#"{"requestId":"a","fanOut":"some"}"#, "some"),
            (r#"{"requestId":"a""#, "EOF"),
            (r#"{"requestId":"a","timeoutMs":0}"#, "1 to 3600000"),
            (r#"{"requestId":"a","timeoutMs":3600001}"#, "this one is 3600001"),
            (r#"{"requestId":"a","timeoutMs":18446744073709551615}"#, "1 to 3600000"),
        ] {
            let error = Request::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn the_id_of_what_is_no_request_is_found_where_it_has_one() {
        for (json, id) in [
            (r#"{"timeoutMs":-1,"requestId":"a"}"#, Some("a")),
            (r#"{"requestId":"a","fanOut":"some"}"#, Some("a")),
            (r#"{"requestId":""}"#, None),
            (r#"{"requestId":7}"#, None),
            ("[]", None),
        ] {
            assert_eq!(Request::id_of(json.as_bytes()).as_deref(), id, "{json}");
        }
    }

    /// The names in a type's JSON with every field set. The struct literals below name every field, so that a new field does not
    /// compile until it is added.
    fn names<T: Serialize>(full: &T) -> Vec<String> {
        let Ok(Value::Object(fields)) = serde_json::to_value(full) else { panic!("no object") };
        fields.into_iter().map(|(name, _)| name).filter(|name| name != "foreign").collect()
    }

    fn some<T: Default>() -> Option<T> {
        Some(T::default())
    }

    fn full() -> (Request, Message, Reply) {
        let map = |name: &str| Map::from_iter([(name.to_owned(), Value::Null)]);
        let request = Request {
            request_id: "a".into(),
            filename: some(),
            task: some(),
            parameters: map("p"),
            fan_out: some(),
            timeout_ms: Some(1),
            stream: some(),
            attempt: some(),
            attempt_key: some(),
            extra: map("foreign"),
        };
        let message = Message {
            max_reply_bytes: some(),
            request_id: "a".into(),
            filename: some(),
            task: some(),
            parameters: map("p"),
            extra: map("foreign"),
            message_id: "m".into(),
            requester_id: "r".into(),
            requested_at: 1,
            attempt: some(),
            time_left_ms: some(),
            timeout_ms: some(),
        };
        let reply = Reply {
            responder_id: 1,
            requester_id: "r".into(),
            responded_at: 1,
            body: "b".into(),
            response_type: ResponseType::Response,
            request_id: "a".into(),
            message_id: "m".into(),
            requested_at: 1,
            filename: some(),
            code: Some(ErrorCode::Lost),
            detail: some(),
            body_bytes: some(),
            task: some(),
            node: some(),
            service: some(),
            slot: some(),
            attempt: some(),
            timings: some(),
            extra: map("foreign"),
        };
        (request, message, reply)
    }

    #[test]
    fn no_object_brings_in_a_field_that_another_one_has_as_its_own() {
        let (request, message, reply) = full();
        let own: BTreeSet<String> = [names(&request), names(&message), names(&reply)].concat().into_iter().collect();
        assert!(own.len() > 20 && own == *OWN_FIELDS, "{own:?}");
        // All names that are not the object's own fields.
        let with_all = |object: Value| {
            let mut object = object.as_object().unwrap().clone();
            object.insert("foreign".to_owned(), 7.into());
            for name in &own {
                object.entry(name).or_insert_with(|| "forged".into());
            }
            serde_json::to_vec(&object).unwrap()
        };
        let foreign = Map::from_iter([("foreign".to_owned(), Value::from(7))]);
        assert_eq!(Request::parse(&with_all(serde_json::to_value(&request).unwrap())).unwrap().extra, foreign);
        assert_eq!(Message::parse(&with_all(serde_json::to_value(&message).unwrap())).unwrap().extra, foreign);
        assert_eq!(Reply::parse(&with_all(serde_json::to_value(&reply).unwrap())).unwrap().extra, foreign);
    }

    #[test]
    fn the_key_of_the_attempts_stays_between_web_tier_and_requester() {
        let request = Request { attempt_key: Some("secret".into()), ..full().0 };
        let message = request.message("m".into(), "r".into());
        let reply = message.reply(1, "body".into());
        for json in [serde_json::to_string(&message).unwrap(), serde_json::to_string(&reply).unwrap()] {
            assert!(!json.contains("secret") && !json.contains("attemptKey"), "{json}");
        }
    }

    #[test]
    fn small_values_count_as_what_they_hold_and_not_as_their_json() {
        let with = |parameters: &str| {
            let json = format!(r#"{{"requestId":"a","parameters":{{"x":{parameters}}}}}"#);
            (Request::parse(json.as_bytes()).unwrap().bytes(), json.len())
        };
        let zeros = format!("[{}0]", "0,".repeat(10_000));
        let objects = format!("[{}0]", r#"{"":0},"#.repeat(10_000));
        for (parameters, times) in [(&zeros, 10), (&objects, 10), (&format!("\"{}\"", "x".repeat(10_000)), 1)] {
            let (bytes, json) = with(parameters);
            assert!(bytes >= times * json && bytes < 100 * json, "{bytes} of {json}");
        }
    }

    fn extra_fields() -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::btree_map("x[a-zA-Z0-9]{0,8}", any::<(bool, i64, String)>(), 0..4).prop_map(|fields| {
            fields.into_iter().map(|(key, value)| (key, serde_json::json!([value.0, value.1, value.2]))).collect()
        })
    }

    proptest! {
        #[test]
        fn unknown_fields_survive_from_request_to_reply(
            id in "[a-f0-9-]{1,36}", filename in proptest::option::of(".{0,20}"), extra in extra_fields(), attempt in proptest::option::of(1u32..9)
        ) {
            let request = Request { request_id: id.clone(), filename, extra: extra.clone(), attempt, ..Request::default() };
            let request = Request::parse(&serde_json::to_vec(&request).unwrap()).unwrap();
            let message = request.message("m".into(), "r".into());
            let message = Message::parse(&serde_json::to_vec(&message).unwrap()).unwrap();
            let reply = message.reply(5, "body".into());
            let read = Reply::parse(&serde_json::to_vec(&reply).unwrap()).unwrap();
            prop_assert_eq!(&read, &reply);
            prop_assert_eq!(read.extra, extra);
            prop_assert_eq!(read.request_id, id);
        }

        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Request::parse(&bytes).is_ok(), Message::parse(&bytes).is_ok(), Reply::parse(&bytes).is_ok());
        }
    }
}

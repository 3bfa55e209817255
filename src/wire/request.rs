//! Requests: what the web tier sends to requesters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{BadMessage, Message, foreign, now_ms, parse};

/// Maximum length of a `requestId`, in bytes. The article's are UUIDs of 36 bytes.
pub const MAX_ID: usize = 128;

/// Maximum timeout of a message, in milliseconds: one hour.
pub const MAX_TIMEOUT_MS: u64 = 3_600_000;

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

    #[test]
    fn an_invalid_request_is_refused_with_a_reason() {
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
    fn the_id_of_an_invalid_request_is_found_if_it_is_valid() {
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

    #[test]
    fn small_values_count_with_their_memory_not_with_their_json() {
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
}

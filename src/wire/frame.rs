//! The frames that a requester sends to the web tier over TCP: the article's whole set of replies or, for a request with
//! `stream`, each step.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{ErrorCode, Reply};

/// An error, in the format of every API of the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
pub struct Problem {
    pub code: ErrorCode,
    /// What is wrong, where it came from, and what to do.
    pub message: String,
}

/// A message that the requester has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageRef {
    pub message_id: String,
    pub requester_id: String,
}

/// The messages of a request, reported before the first one is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The requester instance's id.
    pub instance: String,
    pub messages: Vec<MessageRef>,
}

/// The end of a streamed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// Number of replies in the set.
    pub replies: usize,
}

/// A JSON object from a requester to the web tier.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// `{"<requestId>":[reply, ...]}`, the article's.
    Set { request_id: String, replies: Vec<Reply> },
    /// `{"requestId":..., "accepted":{...}}`
    Accepted { request_id: String, accepted: Accepted },
    /// `{"requestId":..., "reply":{...}}`
    Reply { request_id: String, reply: Box<Reply> },
    /// `{"requestId":..., "complete":{"replies":n}}`
    Complete { request_id: String, complete: Complete },
    /// `{"requestId":..., "error":{...}}`; without `requestId` if the request could not be parsed.
    Refused { request_id: Option<String>, error: Problem },
    /// `{"draining":true}`: send no more requests by this connection.
    Draining,
}

/// Why an object is not a frame.
#[derive(Debug, thiserror::Error)]
pub enum BadFrame {
    #[error("not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("neither a set of replies nor a known frame: its fields are {0}")]
    Unknown(String),
}

/// An object's unparsed fields, so that a reply is parsed only once.
type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// Parses a field; `None` if it is null or missing.
fn field<T: DeserializeOwned>(fields: &Fields<'_>, name: &str) -> serde_json::Result<Option<T>> {
    fields.get(name).map_or(Ok(None), |value| serde_json::from_str(value.get()))
}

impl Frame {
    /// Parses a JSON object; ignores unknown fields of a known frame.
    pub fn parse(json: &[u8]) -> Result<Self, BadFrame> {
        let fields: Fields<'_> = serde_json::from_slice(json)?;
        if fields.len() == 1
            && let Some((request_id, replies)) = fields.first_key_value()
            && replies.get().starts_with('[')
        {
            return Ok(Self::Set { request_id: request_id.clone(), replies: serde_json::from_str(replies.get())? });
        }
        let request_id: Option<String> = field(&fields, "requestId")?;
        if let Some(request_id) = &request_id {
            let request_id = request_id.clone();
            if let Some(accepted) = field(&fields, "accepted")? {
                return Ok(Self::Accepted { request_id, accepted });
            }
            if let Some(reply) = field(&fields, "reply")? {
                return Ok(Self::Reply { request_id, reply });
            }
            if let Some(complete) = field(&fields, "complete")? {
                return Ok(Self::Complete { request_id, complete });
            }
        }
        if let Some(error) = field(&fields, "error")? {
            return Ok(Self::Refused { request_id, error });
        }
        match field(&fields, "draining")? {
            Some(true) => Ok(Self::Draining),
            _ => Err(BadFrame::Unknown(fields.into_keys().collect::<Vec<_>>().join(", "))),
        }
    }

    /// The frame as one line of JSON, newline included.
    pub fn to_line(&self) -> String {
        match self {
            Self::Set { request_id, replies } => set_line(request_id, &replies.iter().map(json_of).collect::<Vec<_>>()),
            Self::Accepted { request_id, accepted } => step_line(Some(request_id), "accepted", &json_of(accepted)),
            Self::Reply { request_id, reply } => reply_line(request_id, &json_of(reply)),
            Self::Complete { request_id, complete } => step_line(Some(request_id), "complete", &json_of(complete)),
            Self::Refused { request_id, error } => step_line(request_id.as_deref(), "error", &json_of(error)),
            Self::Draining => step_line(None, "draining", "true"),
        }
    }
}

/// Infallible for values that consist of texts, numbers and JSON.
fn json_of(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn step_line(request_id: Option<&str>, name: &str, json: &str) -> String {
    match request_id {
        Some(id) => format!("{{\"requestId\":{},\"{name}\":{json}}}\n", json_of(id)),
        None => format!("{{\"{name}\":{json}}}\n"),
    }
}

/// The line of [`Frame::Set`], from replies as JSON.
pub fn set_line(request_id: &str, replies: &[String]) -> String {
    format!("{{{}:[{}]}}\n", json_of(request_id), replies.join(","))
}

/// The line of [`Frame::Reply`], from a reply as JSON.
pub fn reply_line(request_id: &str, reply: &str) -> String {
    step_line(Some(request_id), "reply", reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    #[test]
    fn every_frame_survives_json() {
        let request_id = "7189".to_owned();
        let reply = Request { request_id: request_id.clone(), ..Request::default() }
            .message("m".into(), "r".into())
            .reply(7, "Hello".into());
        let messages = vec![MessageRef { message_id: "m".into(), requester_id: "r".into() }];
        let error = Problem { code: ErrorCode::Overloaded, message: "full".into() };
        for frame in [
            Frame::Set { request_id: request_id.clone(), replies: vec![reply.clone(), reply.clone()] },
            Frame::Set { request_id: request_id.clone(), replies: vec![] },
            Frame::Accepted { request_id: request_id.clone(), accepted: Accepted { instance: "i".into(), messages } },
            Frame::Reply { request_id: request_id.clone(), reply: Box::new(reply) },
            Frame::Complete { request_id: request_id.clone(), complete: Complete { replies: 2 } },
            Frame::Refused { request_id: Some(request_id), error: error.clone() },
            Frame::Refused { request_id: None, error },
            Frame::Draining,
        ] {
            assert_eq!(Frame::parse(frame.to_line().as_bytes()).unwrap(), frame);
        }
    }

    #[test]
    fn lines_from_json_replies_equal_the_frames_lines() {
        let request_id = "7\"189".to_owned();
        let request = Request { request_id: request_id.clone(), attempt: Some(1), ..Request::default() };
        let reply = request.message("m".into(), "r".into()).error(7, ErrorCode::Lost, "a\n\u{1}");
        let json = serde_json::to_string(&reply).unwrap();
        let set = Frame::Set { request_id: request_id.clone(), replies: vec![reply.clone(), reply.clone()] };
        assert_eq!(set_line(&request_id, &[json.clone(), json.clone()]), set.to_line());
        assert_eq!(reply_line(&request_id, &json), Frame::Reply { request_id, reply: Box::new(reply) }.to_line());
    }

    #[test]
    fn the_error_for_an_unknown_object_lists_its_fields() {
        let error = Frame::parse(br#"{"requestId":"a","news":1}"#).unwrap_err().to_string();
        assert!(error.contains("news, requestId"), "{error}");
        assert!(Frame::parse(b"[]").is_err());
    }
}

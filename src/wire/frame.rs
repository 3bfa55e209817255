//! What a requester sends to the web tier over TCP: the article's whole set of replies, or, for a request with
//! `stream`, each step as it happens.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{ErrorCode, Reply};

/// An error as every API of the program tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{message}")]
pub struct Problem {
    pub code: ErrorCode,
    /// What is wrong, where it came from, and what to do.
    pub message: String,
}

/// One message that the requester has taken responsibility for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageRef {
    pub message_id: String,
    pub requester_id: String,
}

/// The messages of a request, told before the first is sent.
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
    /// How many replies the set has.
    pub replies: usize,
}

/// One JSON object on the way from a requester to the web tier.
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
    /// `{"requestId":..., "error":{...}}`; without `requestId` where the request could not be read.
    Refused { request_id: Option<String>, error: Problem },
    /// `{"draining":true}`: send no more requests by this connection.
    Draining,
}

/// Why an object is no frame.
#[derive(Debug, thiserror::Error)]
pub enum BadFrame {
    #[error("not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("neither a set of replies nor a known step: the fields are {0}")]
    Unknown(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    request_id: Option<String>,
    accepted: Option<Accepted>,
    reply: Option<Box<Reply>>,
    complete: Option<Complete>,
    error: Option<Problem>,
    draining: Option<bool>,
}

impl Frame {
    /// Reads one JSON object; unknown fields beside a known step are ignored.
    pub fn parse(json: &[u8]) -> Result<Self, BadFrame> {
        let mut fields: Map<String, Value> = serde_json::from_slice(json)?;
        if fields.len() == 1
            && let Some((request_id, replies @ Value::Array(_))) = fields.iter_mut().next()
        {
            let replies = serde_json::from_value(replies.take())?;
            return Ok(Self::Set { request_id: request_id.clone(), replies });
        }
        let names = fields.keys().cloned().collect::<Vec<_>>().join(", ");
        let step: Step = serde_json::from_value(Value::Object(fields))?;
        Ok(match step {
            Step { request_id: Some(request_id), accepted: Some(accepted), .. } => {
                Self::Accepted { request_id, accepted }
            }
            Step { request_id: Some(request_id), reply: Some(reply), .. } => Self::Reply { request_id, reply },
            Step { request_id: Some(request_id), complete: Some(complete), .. } => {
                Self::Complete { request_id, complete }
            }
            Step { request_id, error: Some(error), .. } => Self::Refused { request_id, error },
            Step { draining: Some(true), .. } => Self::Draining,
            _ => return Err(BadFrame::Unknown(names)),
        })
    }

    /// The frame as one line of JSON, newline included.
    pub fn to_line(&self) -> String {
        let value = match self {
            Self::Set { request_id, replies } => json!({ request_id: replies }),
            Self::Accepted { request_id, accepted } => json!({ "requestId": request_id, "accepted": accepted }),
            Self::Reply { request_id, reply } => json!({ "requestId": request_id, "reply": reply }),
            Self::Complete { request_id, complete } => json!({ "requestId": request_id, "complete": complete }),
            Self::Refused { request_id: Some(request_id), error } => json!({ "requestId": request_id, "error": error }),
            Self::Refused { request_id: None, error } => json!({ "error": error }),
            Self::Draining => json!({ "draining": true }),
        };
        format!("{value}\n")
    }
}

/// The line of [`Frame::Set`] for replies that are JSON already.
pub fn set_line(request_id: &str, replies: &[String]) -> String {
    format!("{{{}:[{}]}}\n", json!(request_id), replies.join(","))
}

/// The line of [`Frame::Reply`] for a reply that is JSON already.
pub fn reply_line(request_id: &str, reply: &str) -> String {
    format!("{{\"requestId\":{},\"reply\":{reply}}}\n", json!(request_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    #[test]
    fn every_frame_is_read_as_it_was_written() {
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
    fn lines_of_replies_that_are_json_already_are_the_frames_own() {
        let request_id = "7\"189".to_owned();
        let request = Request { request_id: request_id.clone(), attempt: Some(1), ..Request::default() };
        let reply = request.message("m".into(), "r".into()).error(7, ErrorCode::Lost, "a\n\u{1}");
        let json = serde_json::to_string(&reply).unwrap();
        let set = Frame::Set { request_id: request_id.clone(), replies: vec![reply.clone(), reply.clone()] };
        assert_eq!(set_line(&request_id, &[json.clone(), json.clone()]), set.to_line());
        assert_eq!(reply_line(&request_id, &json), Frame::Reply { request_id, reply: Box::new(reply) }.to_line());
    }

    #[test]
    fn what_is_no_frame_is_refused_by_its_fields() {
        let error = Frame::parse(br#"{"requestId":"a","news":1}"#).unwrap_err().to_string();
        assert!(error.contains("requestId, news"), "{error}");
        assert!(Frame::parse(b"[]").is_err());
    }
}

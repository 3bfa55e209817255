//! Messages: what requester workers send to brokers and responder workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{BadMessage, ErrorCode, NO_RESPONDER, Reply, ResponseType, foreign, now_ms, parse};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Outcome;

    const ARTICLE_MESSAGE: &str =
        r#"{"requestId":"7189","messageId":"d5f2","requesterId":"4fcf","requestedAt":1795346736497}"#;

    #[test]
    fn a_message_of_the_article_survives_parsing() {
        let message = Message::parse(ARTICLE_MESSAGE.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), ARTICLE_MESSAGE);
    }

    #[test]
    fn a_reply_has_the_articles_fields_in_the_articles_order() {
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
    fn a_timeout_has_the_articles_text() {
        let mut message = Message::parse(ARTICLE_MESSAGE.as_bytes()).unwrap();
        message.filename = Some("a".into());
        let reply = message.timed_out("no reply within 10s");
        assert_eq!((reply.responder_id, reply.filename.as_deref()), (-1, None));
        assert_eq!(reply.body, "request: d5f2 timed out.");
        assert_eq!(reply.outcome(), Outcome::Timeout);
        assert_eq!(reply.into_article_format().outcome(), Outcome::Timeout);
    }
}

//! The common part of requests, messages and replies: JSON objects of the article's Node.js program, extended by optional fields
//! only. `docs/protocol.md` has every field and its unit.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::{Schema, schema_for};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{MAX_ID, MAX_TIMEOUT_MS, Message, Reply, Request};

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

/// Cuts a text to at most so many bytes, between two characters, and returns the memory of the rest.
pub fn cut_text(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.shrink_to_fit();
    }
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

pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, BadMessage> {
    Ok(serde_json::from_slice(json)?)
}

/// Reads the unknown fields of an object, except those that another of the three types defines.
pub fn foreign<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    let mut fields = Map::deserialize(deserializer)?;
    fields.retain(|name, _| !OWN_FIELDS.contains(name));
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;
    use crate::wire::{ErrorCode, ResponseType};

    /// The names in a type's JSON with every field set. The struct literals below name every field, so that a new field does not
    /// compile until it is added.
    fn names<T: Serialize>(full: &T) -> Vec<String> {
        let Ok(Value::Object(fields)) = serde_json::to_value(full) else { panic!("not an object") };
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
    fn unknown_fields_that_another_type_defines_are_dropped() {
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
    fn the_attempt_key_is_not_passed_on_to_responders() {
        let request = Request { attempt_key: Some("secret".into()), ..full().0 };
        let message = request.message("m".into(), "r".into());
        let reply = message.reply(1, "body".into());
        for json in [serde_json::to_string(&message).unwrap(), serde_json::to_string(&reply).unwrap()] {
            assert!(!json.contains("secret") && !json.contains("attemptKey"), "{json}");
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

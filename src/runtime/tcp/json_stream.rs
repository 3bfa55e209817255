//! Decodes concatenated JSON objects from a byte stream that may be split anywhere, with or without white space between them.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// Finds where each object ends, by counting brackets. Does not validate the JSON in it.
#[derive(Debug)]
pub struct JsonStream {
    max_bytes: usize,
    /// Bytes of the buffer that were scanned already.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

/// Why a stream can't be decoded further. Its position is lost, so the connection must be closed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error(
        "expected a JSON object, got byte {0:?}: send objects such as {{\"requestId\":\"...\"}}, one after another"
    )]
    NotAnObject(char),
    #[error("the object is larger than {0} bytes: send a smaller one, or raise requester.max_message_bytes")]
    TooLarge(usize),
    #[error("the connection ended in the middle of an object")]
    CutOff,
    #[error("the object was not complete {0:?} after its first byte")]
    Unfinished(Duration),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl JsonStream {
    /// A decoder that takes objects of up to `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, scanned: 0, depth: 0, in_string: false, escaped: false }
    }

    /// Scans one byte; returns true when it ends the object.
    fn step(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            _ if self.in_string => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

impl Decoder for JsonStream {
    type Item = Bytes;
    type Error = StreamError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, StreamError> {
        if self.scanned == 0 {
            let white = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            buffer.advance(white);
            match buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(other) => return Err(StreamError::NotAnObject(char::from(*other))),
            }
        }
        while self.scanned < buffer.len() {
            let ends = self.step(buffer[self.scanned]);
            self.scanned += 1;
            if self.scanned > self.max_bytes {
                return Err(StreamError::TooLarge(self.max_bytes));
            }
            if ends {
                let object = buffer.split_to(self.scanned).freeze();
                *self = Self::new(self.max_bytes);
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, StreamError> {
        match self.decode(buffer)? {
            Some(object) => Ok(Some(object)),
            None if buffer.is_empty() => Ok(None),
            None => Err(StreamError::CutOff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Decodes a stream that arrives in pieces of the given sizes.
    fn decode(bytes: &[u8], cuts: &[usize], max_bytes: usize) -> Result<Vec<Bytes>, StreamError> {
        let (mut stream, mut buffer, mut objects) = (JsonStream::new(max_bytes), BytesMut::new(), vec![]);
        let mut rest = bytes;
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((*cuts.next().unwrap_or(&rest.len())).clamp(1, rest.len()));
            buffer.extend_from_slice(piece);
            rest = later;
            while let Some(object) = stream.decode(&mut buffer)? {
                objects.push(object);
            }
        }
        while let Some(object) = stream.decode_eof(&mut buffer)? {
            objects.push(object);
        }
        Ok(objects)
    }

    #[test]
    fn two_objects_in_one_read_are_separated() {
        let objects = decode(br#"{"a":"}{"} {"b":["\"{"]}"#, &[], 100).unwrap();
        assert_eq!(objects, [&br#"{"a":"}{"}"#[..], br#"{"b":["\"{"]}"#]);
    }

    #[test]
    fn anything_other_than_an_object_ends_the_stream_with_a_reason() {
        for bytes in [&b"null"[..], b"7", b"[1]", b"\xff", b"{}x"] {
            assert!(matches!(decode(bytes, &[], 100), Err(StreamError::NotAnObject(_))), "{bytes:?}");
        }
        assert!(matches!(decode(b"{\"a\":", &[], 100), Err(StreamError::CutOff)));
        assert!(matches!(decode(&[b'{'; 200], &[7], 100), Err(StreamError::TooLarge(100))));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map(".*", json(), 0..5).prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn objects_are_decoded_unchanged_wherever_the_stream_is_split(
            objects in prop::collection::vec((object(), "[ \r\n\t]{0,3}"), 0..8),
            cuts in prop::collection::vec(1usize..40, 1..20),
        ) {
            let text: String = objects.iter().map(|(object, white)| format!("{object}{white}")).collect();
            let decoded = decode(text.as_bytes(), &cuts, 1 << 20).unwrap();
            let decoded: Vec<Value> = decoded.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect();
            prop_assert_eq!(decoded, objects.into_iter().map(|(object, _)| object).collect::<Vec<_>>());
        }

        #[test]
        fn no_input_panics_or_yields_an_object_above_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(1usize..40, 1..9)
        ) {
            let _ = decode(&bytes, &cuts, 64).map(|objects| assert!(objects.iter().all(|object| object.len() <= 64)));
        }
    }
}

//! The frames of a message at the broker: `[routing id][request id ...][empty][JSON][more ...]`. The envelope ends with the
//! empty frame.

use crate::runtime::zeromq::Frames;
use crate::wire::RETURNED_MESSAGE;

/// The frames up to and including the empty one, as a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    frames: usize,
    key: Vec<u8>,
}

/// Maximum frames of an envelope.
const MAX_FRAMES: usize = 16;
/// Maximum bytes of an envelope: routing ids and request ids are short.
const MAX_BYTES: usize = 1_024;

impl Envelope {
    /// `None` if no empty frame follows the routing id, no frame follows the empty one, or the limits are exceeded.
    pub fn of(frames: &Frames) -> Option<Self> {
        let empty = frames.iter().take(MAX_FRAMES).skip(1).position(|frame| frame.is_empty())? + 1;
        frames.get(empty + 1)?;
        if frames[..empty].iter().map(|frame| frame.len()).sum::<usize>() > MAX_BYTES {
            return None;
        }
        let mut key = Vec::with_capacity(16);
        for frame in &frames[..empty] {
            key.extend_from_slice(&(frame.len() as u32).to_le_bytes());
            key.extend_from_slice(frame);
        }
        Some(Self { frames: empty + 1, key })
    }

    /// Index of the JSON frame.
    pub fn json_at(&self) -> usize {
        self.frames
    }

    /// A copy of the envelope's frames.
    pub fn frames(&self, message: &Frames) -> Frames {
        message[..self.frames].iter().map(|frame| zmq::Message::from(&frame[..])).collect()
    }

    /// The message that a worker has returned in a reply, with its envelope; taken out of the reply.
    pub fn returned(&self, reply: &mut Frames) -> Option<Frames> {
        let marker = self.frames + 1;
        if reply.get(marker).is_none_or(|frame| &frame[..] != RETURNED_MESSAGE) || reply.len() <= marker + 1 {
            return None;
        }
        let message = reply.split_off(marker + 1);
        reply.truncate(self.frames);
        reply.extend(message);
        Some(std::mem::take(reply))
    }
}

/// True if a reply has the envelope of a message.
pub fn has_envelope_of(reply: &Frames, message: &Frames) -> bool {
    let end = |frames: &Frames| frames.iter().skip(1).position(|frame| frame.is_empty());
    end(message).is_some_and(|end| reply.get(..end + 2) == message.get(..end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::zeromq::frames_of;

    #[test]
    fn a_message_without_an_empty_frame_or_json_has_no_envelope() {
        assert!(Envelope::of(&frames_of([b"id"])).is_none());
        assert!(Envelope::of(&frames_of([b"", b"json"])).is_none());
        assert!(Envelope::of(&frames_of([b"id", b""])).is_none());
        assert_eq!(Envelope::of(&frames_of([b"id", b"1", b"", b"json"])).unwrap().json_at(), 3);
        let ids = |count: usize, bytes: usize| {
            let id = vec![b'i'; bytes];
            let mut frames: Frames = (0..count).map(|_| zmq::Message::from(&id[..])).collect();
            frames.extend(frames_of([b"", b"json"]));
            Envelope::of(&frames)
        };
        assert!(ids(10, 100).is_some() && ids(2, 600).is_none() && ids(20, 1).is_none());
    }

    #[test]
    fn envelopes_with_the_same_bytes_in_other_frames_differ() {
        let left = Envelope::of(&frames_of([b"ab", b"c", b"", b"json"])).unwrap();
        let right = Envelope::of(&frames_of([b"a", b"bc", b"", b"json"])).unwrap();
        assert_ne!(left.key, right.key);
    }

    #[test]
    fn a_returned_message_is_complete() {
        let mut reply = frames_of([b"id", b"", b"error", RETURNED_MESSAGE, b"json", b"extra"]);
        let message = Envelope::of(&reply).unwrap().returned(&mut reply).unwrap();
        assert_eq!(message, frames_of([b"id", b"", b"json", b"extra"]));
        let mut reply = frames_of([b"id", b"", b"json", b"extra"]);
        assert!(Envelope::of(&reply).unwrap().returned(&mut reply).is_none());
        assert_eq!(reply.len(), 4);
    }
}

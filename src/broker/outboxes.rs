//! Outboxes for requesters that read more slowly than their replies arrive.
//!
//! libzmq reports neither the length nor the bytes of its own queues. So these are short (a low high-water mark), and further
//! replies wait here, where their bytes are counted.

use std::collections::{HashMap, VecDeque};
use std::io;

use crate::runtime::zeromq::memory;
use crate::runtime::zeromq::{Frames, Routed};

/// The waiting replies of each requester connection, in order.
pub struct Outboxes {
    /// Maximum memory of all waiting replies, in bytes.
    limit: usize,
    bytes: usize,
    by_peer: HashMap<Vec<u8>, Outbox>,
}

#[derive(Default)]
struct Outbox {
    replies: VecDeque<Frames>,
    bytes: usize,
}

/// Replies that were dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct Dropped {
    pub replies: usize,
    pub bytes: usize,
}

impl Outboxes {
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, by_peer: HashMap::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.by_peer.is_empty()
    }

    /// Memory of all waiting replies, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True if replies wait for a connection. Further replies to it must then wait too, to stay in order.
    pub fn contains(&self, routing_id: &[u8]) -> bool {
        self.by_peer.contains_key(routing_id)
    }

    /// The bytes that wait for a connection, if they are above a quarter of the limit: the requester seems not to read.
    pub fn unread(&self, routing_id: &[u8]) -> Option<usize> {
        self.by_peer.get(routing_id).map(|outbox| outbox.bytes).filter(|bytes| *bytes > self.limit / 4)
    }

    /// Adds a reply. Above the limit, drops all replies of the connection with the most bytes, and returns their number.
    pub fn add(&mut self, reply: Frames) -> Option<Dropped> {
        let bytes = memory(&reply);
        let outbox = self.by_peer.entry(reply[0].to_vec()).or_default();
        outbox.replies.push_back(reply);
        outbox.bytes += bytes;
        self.bytes += bytes;
        if self.bytes <= self.limit {
            return None;
        }
        let fullest = self.by_peer.iter().max_by_key(|(_, outbox)| outbox.bytes)?.0.clone();
        let dropped = self.by_peer.remove(&fullest)?;
        self.bytes -= dropped.bytes;
        Some(Dropped { replies: dropped.replies.len(), bytes: dropped.bytes })
    }

    /// Sends replies while connections have room, and drops those to closed connections; true if one was sent.
    pub fn flush(&mut self, send: impl Fn(Frames) -> io::Result<Routed>) -> io::Result<bool> {
        let mut moved = false;
        let mut failed = Ok(());
        let bytes = &mut self.bytes;
        self.by_peer.retain(|_, outbox| {
            while failed.is_ok()
                && let Some(reply) = outbox.replies.pop_front()
            {
                let size = memory(&reply);
                match send(reply) {
                    Ok(Routed::Sent) => {
                        moved = true;
                        outbox.bytes -= size;
                        *bytes -= size;
                    }
                    Ok(Routed::Full(reply)) => {
                        outbox.replies.push_front(reply);
                        return true;
                    }
                    Ok(Routed::Gone) => {
                        *bytes -= outbox.bytes;
                        return false;
                    }
                    Err(error) => {
                        failed = Err(error);
                        outbox.bytes -= size;
                        *bytes -= size;
                    }
                }
            }
            !outbox.replies.is_empty()
        });
        failed.map(|()| moved)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::runtime::zeromq::frames_of;

    /// A reply of about `bytes` bytes to a connection.
    fn reply(to: &[u8], bytes: usize) -> Frames {
        frames_of([to, b"", &vec![b'x'; bytes]])
    }

    #[test]
    fn replies_are_sent_in_order_and_their_bytes_are_released() {
        let mut outboxes = Outboxes::new(1 << 20);
        for bytes in 1..=5 {
            assert_eq!(outboxes.add(reply(b"a", bytes)), None);
        }
        outboxes.add(reply(b"b", 1));
        assert!(outboxes.contains(b"a") && outboxes.bytes() > 15);
        let sent = RefCell::new(vec![]);
        let room_for_two = |frames: Frames| {
            let full = sent.borrow().len() >= 2 || &frames[0][..] == b"b";
            if full {
                return Ok(Routed::Full(frames));
            }
            sent.borrow_mut().push(frames[2].len());
            Ok(Routed::Sent)
        };
        assert!(outboxes.flush(room_for_two).unwrap() && !outboxes.flush(room_for_two).unwrap());
        assert_eq!(*sent.borrow(), [1, 2]);
        sent.borrow_mut().clear();
        assert!(outboxes.flush(room_for_two).unwrap());
        assert_eq!(*sent.borrow(), [3, 4]);
        assert!(!outboxes.flush(|_| Ok(Routed::Gone)).unwrap());
        assert_eq!((outboxes.bytes(), outboxes.is_empty()), (0, true));
    }

    #[test]
    fn above_the_limit_the_connection_with_the_most_bytes_loses_its_replies() {
        let mut outboxes = Outboxes::new(100_000);
        outboxes.add(reply(b"slow", 100));
        let dropped: usize =
            (0..1_000).filter_map(|_| outboxes.add(reply(b"silent", 10_000))).map(|dropped| dropped.replies).sum();
        assert!(outboxes.bytes() <= 100_000 && dropped > 900, "{} {dropped}", outboxes.bytes());
        assert!(outboxes.contains(b"slow") && outboxes.unread(b"slow").is_none());
        while outboxes.unread(b"silent").is_none() {
            assert_eq!(outboxes.add(reply(b"silent", 10_000)), None);
        }
    }
}

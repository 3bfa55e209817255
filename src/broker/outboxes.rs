//! Replies that wait at the broker for requesters that read slower than replies come.
//!
//! libzmq would keep them in its own queues, of which it tells neither the length nor the bytes. So those are short, and
//! what does not fit waits here, where its bytes are counted.

use std::collections::{HashMap, VecDeque};
use std::io;

use crate::runtime::zeromq::memory;
use crate::runtime::zeromq::{Frames, Routed};

/// The replies of each requester's connection that wait, in their order.
pub struct Outboxes {
    /// Bytes that may wait in all.
    limit: usize,
    bytes: usize,
    by_peer: HashMap<Vec<u8>, Outbox>,
}

#[derive(Default)]
struct Outbox {
    replies: VecDeque<Frames>,
    bytes: usize,
}

/// Replies that nobody will have.
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

    /// Bytes that wait, with room for their frames.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when replies wait for a connection: another one to it has to wait too.
    pub fn has(&self, routing_id: &[u8]) -> bool {
        self.by_peer.contains_key(routing_id)
    }

    /// The bytes that wait for a connection, where they are so many that it seems not to read at all.
    pub fn unread(&self, routing_id: &[u8]) -> Option<usize> {
        self.by_peer.get(routing_id).map(|outbox| outbox.bytes).filter(|bytes| *bytes > self.limit / 4)
    }

    /// Keeps a reply until it can be sent. Where too much waits, the connection with the most loses all of its replies: it
    /// reads the least.
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

    /// Sends what can be sent, and forgets what is for connections that are gone; true when something was sent.
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

    /// A reply of about so many bytes to a connection.
    fn reply(to: &[u8], bytes: usize) -> Frames {
        frames_of([to, b"", &vec![b'x'; bytes]])
    }

    #[test]
    fn replies_wait_in_order_and_leave_no_bytes_behind() {
        let mut outboxes = Outboxes::new(1 << 20);
        for bytes in 1..=5 {
            assert_eq!(outboxes.add(reply(b"a", bytes)), None);
        }
        outboxes.add(reply(b"b", 1));
        assert!(outboxes.has(b"a") && outboxes.bytes() > 15);
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
    fn the_connection_that_reads_the_least_loses_its_replies_and_the_bytes_stay_below_the_limit() {
        let mut outboxes = Outboxes::new(100_000);
        outboxes.add(reply(b"slow", 100));
        let dropped: usize =
            (0..1_000).filter_map(|_| outboxes.add(reply(b"silent", 10_000))).map(|dropped| dropped.replies).sum();
        assert!(outboxes.bytes() <= 100_000 && dropped > 900, "{} {dropped}", outboxes.bytes());
        assert!(outboxes.has(b"slow") && outboxes.unread(b"slow").is_none());
        while outboxes.unread(b"silent").is_none() {
            assert_eq!(outboxes.add(reply(b"silent", 10_000)), None);
        }
    }
}

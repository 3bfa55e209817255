//! The memory of requests and replies: those under way, and ended streams that a web tier can still resume.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::wire::{Frame, Request};

/// Maximum number of ended streams that are kept for web tiers that lost their connection.
const REPLAY_CAPACITY: usize = 256;

/// New requests leave one part in `REPLY_SHARE` of the memory to replies.
const REPLY_SHARE: usize = 4;

/// Overhead of a request or reply, in bytes.
const OVERHEAD: usize = 1_024;

/// The reserved part of the memory. Not a semaphore: a waiter for many bytes would collect freed ones bit by bit, and replies
/// would be refused meanwhile.
#[derive(Debug, Default)]
struct Reserved {
    bytes: AtomicUsize,
    released: Notify,
}

/// A reserved part of the memory, released on drop.
#[derive(Debug)]
pub struct Reservation {
    reserved: Arc<Reserved>,
    bytes: usize,
}

impl Reservation {
    /// Adds another reservation to this one.
    pub fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reserved.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.reserved.released.notify_one();
    }
}

/// The memory budget of a requester instance's requests and replies, and its streamed requests by id, so that a web tier can
/// resume a request instead of starting it twice.
pub struct Memory {
    reserved: Arc<Reserved>,
    /// Maximum memory, in bytes.
    pub limit: usize,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    by_id: HashMap<String, Arc<ReplayLog>>,
    ended: VecDeque<String>,
}

/// A line for a connection, newline included, with its memory reservation.
#[derive(Debug)]
pub struct Line {
    pub text: String,
    _reservation: Option<Reservation>,
}

impl Line {
    pub fn new(text: String, reservation: Option<Reservation>) -> Arc<Self> {
        Arc::new(Self { text, _reservation: reservation })
    }
}

impl From<Frame> for Arc<Line> {
    fn from(frame: Frame) -> Self {
        Line::new(frame.to_line(), None)
    }
}

/// The lines of a streamed request so far. Any connection can replay them from the start, and then follow.
#[derive(Default)]
pub struct ReplayLog {
    key: Option<String>,
    logged: Mutex<LoggedLines>,
    /// Number of lines.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct LoggedLines {
    lines: Vec<Arc<Line>>,
    complete: bool,
}

pub enum Attached {
    New(Arc<ReplayLog>),
    /// The request is known, and the sender has its key.
    Resumed(Arc<ReplayLog>),
    /// The id is in use, and the sender does not have the key of its first attempt.
    Conflict,
}

impl Memory {
    /// `limit`: maximum bytes.
    pub fn new(limit: usize) -> Self {
        Self { reserved: Arc::default(), limit, streams: Mutex::default() }
    }

    /// Reserves memory for a reply, and removes ended streams if necessary. `None` if requests under way need all of it.
    pub fn reserve_reply(&self, bytes: usize) -> Option<Reservation> {
        self.reserve(bytes.saturating_add(OVERHEAD), 0)
    }

    /// Reserves memory for copies of a new request, without the share for replies.
    pub fn reserve_request(&self, bytes: usize, copies: usize) -> Option<Reservation> {
        self.reserve(bytes.saturating_add(OVERHEAD).saturating_mul(copies), self.reply_bytes())
    }

    /// Reserves `bytes`, if `leave` bytes remain free.
    fn reserve(&self, bytes: usize, leave: usize) -> Option<Reservation> {
        let most = self.limit.checked_sub(leave)?.checked_sub(bytes)?;
        while self.make_room(bytes + leave) {
            let more = |taken| (taken <= most).then_some(taken + bytes);
            if self.reserved.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
                return Some(Reservation { reserved: self.reserved.clone(), bytes });
            }
        }
        None
    }

    /// True if the share for replies is free. Without it, replies to new messages might be refused.
    pub fn has_room(&self) -> bool {
        self.make_room(self.reply_bytes())
    }

    /// Returns when [`Self::has_room`] is true.
    pub async fn wait_for_room(&self) {
        while !self.has_room() {
            self.reserved.released.notified().await;
        }
        // Wake the next waiter: the released memory may be enough for several.
        self.reserved.released.notify_one();
    }

    fn reply_bytes(&self) -> usize {
        self.limit / REPLY_SHARE
    }

    fn make_room(&self, bytes: usize) -> bool {
        while self.limit.saturating_sub(self.reserved.bytes.load(Ordering::Relaxed)) < bytes {
            if !self.streams.lock().forget_oldest() {
                return false;
            }
        }
        true
    }

    /// The stream of a request, new or known. Resuming a known one needs the first attempt's key, because ids are not secret.
    pub fn attach(&self, request: &Request) -> Attached {
        let mut streams = self.streams.lock();
        let Some(stream) = streams.by_id.get(&request.request_id) else {
            let stream = Arc::new(ReplayLog { key: request.attempt_key.clone(), ..ReplayLog::default() });
            streams.by_id.insert(request.request_id.clone(), stream.clone());
            return Attached::New(stream);
        };
        match request.attempt {
            Some(2..) if stream.key.is_some() && stream.key == request.attempt_key => Attached::Resumed(stream.clone()),
            _ => Attached::Conflict,
        }
    }

    /// Removes a stream that will not end.
    pub fn forget(&self, request_id: &str) {
        self.streams.lock().by_id.remove(request_id);
    }

    /// Marks a stream as ended: from now on it is removed when its memory is needed.
    pub fn ended(&self, request_id: String) {
        let mut streams = self.streams.lock();
        streams.ended.push_back(request_id);
        if streams.ended.len() > REPLAY_CAPACITY {
            streams.forget_oldest();
        }
    }
}

impl Streams {
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.ended.pop_front();
        oldest.is_some_and(|id| self.by_id.remove(&id).is_some())
    }
}

impl ReplayLog {
    /// Appends a line. `is_last`: the stream is complete.
    pub fn append(&self, line: Arc<Line>, is_last: bool) {
        let mut logged = self.logged.lock();
        logged.lines.push(line);
        logged.complete = is_last;
        drop(logged);
        self.count.send_modify(|count| *count += 1);
    }

    /// Sends all lines in order, waiting for new ones, until the last line is sent or `sink` is closed.
    pub async fn replay_to(&self, sink: &crate::requester::Sink) {
        let mut count = self.count.subscribe();
        for next in 0.. {
            // Cannot fail: this struct owns the sender.
            let _ = count.wait_for(|count| *count > next).await;
            let (line, is_last) = {
                let logged = self.logged.lock();
                let Some(line) = logged.lines.get(next).cloned() else { return };
                (line, logged.complete && logged.lines.len() == next + 1)
            };
            if sink.send(line).await.is_err() || is_last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: usize = 1_024;

    fn request(attempt: u32, key: Option<&str>) -> Request {
        let key = key.map(str::to_owned);
        Request { request_id: "a".into(), attempt: Some(attempt), attempt_key: key, ..Request::default() }
    }

    #[test]
    fn only_a_sender_with_the_key_resumes_a_request() {
        let memory = Memory::new(1 << 20);
        assert!(matches!(memory.attach(&request(1, Some("k"))), Attached::New(_)));
        for stranger in [request(1, Some("k")), request(2, None), request(2, Some("")), request(9, Some("K"))] {
            assert!(matches!(memory.attach(&stranger), Attached::Conflict), "{stranger:?}");
        }
        assert!(matches!(memory.attach(&request(2, Some("k"))), Attached::Resumed(_)));
    }

    #[test]
    fn a_request_without_a_key_cannot_be_resumed() {
        let memory = Memory::new(1 << 20);
        assert!(matches!(memory.attach(&request(1, None)), Attached::New(_)));
        assert!(matches!(memory.attach(&request(2, None)), Attached::Conflict));
    }

    /// Adds an ended stream with one line of `bytes` bytes.
    fn end(memory: &Memory, id: &str, bytes: usize) -> bool {
        let request = Request { request_id: id.to_owned(), ..Request::default() };
        let Attached::New(stream) = memory.attach(&request) else { panic!("it is new") };
        let Some(reservation) = memory.reserve_reply(bytes) else { return false };
        stream.append(Line::new("x".repeat(bytes), Some(reservation)), true);
        memory.ended(id.to_owned());
        true
    }

    #[test]
    fn ended_streams_are_removed_oldest_first_when_their_memory_is_needed() {
        let memory = Memory::new(100 * UNIT);
        let knows = |id: &str| memory.streams.lock().by_id.contains_key(id);
        assert!(["a", "b", "c"].into_iter().all(|id| end(&memory, id, 30 * UNIT)));
        assert!(knows("a") && knows("b") && knows("c"));
        let held = memory.reserve_reply(30 * UNIT).unwrap();
        assert!(!knows("a") && knows("b") && knows("c"), "the oldest was removed");
        assert!(memory.has_room() && !knows("b") && knows("c"));
        let more = memory.reserve_request(43 * UNIT, 1).unwrap();
        assert!(!knows("c"), "all were removed");
        assert!(memory.reserve_request(1, 1).is_none(), "a quarter is for replies");
        let reply = memory.reserve_reply(UNIT).unwrap();
        assert!(!memory.has_room() && memory.reserve_reply(90 * UNIT).is_none());
        drop((held, more, reply));
        assert!(memory.has_room() && memory.reserve_reply(90 * UNIT).is_some());
    }

    #[test]
    fn the_number_of_ended_streams_is_bounded() {
        let memory = Memory::new(1 << 30);
        for id in 0..=REPLAY_CAPACITY {
            assert!(end(&memory, &id.to_string(), 10));
        }
        let streams = memory.streams.lock();
        assert_eq!((streams.by_id.len(), streams.ended.len()), (REPLAY_CAPACITY, REPLAY_CAPACITY));
    }
}

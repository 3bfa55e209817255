//! What requests hold in memory: those under way, and the streams that have ended and can still be gone on with.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::wire::{Frame, Request};

/// Ended streams that can still be sent again to a web tier that lost its connection.
const KEPT: usize = 256;

/// The share of the memory that new requests leave to the replies of those that are under way.
const RESERVE: usize = 4;

/// What a request or reply takes beside its bytes.
const AROUND: usize = 1_024;

/// What is taken of the memory. No semaphore: one that waits for much would be given what comes free bit by bit, and
/// replies would be refused meanwhile.
#[derive(Debug, Default)]
struct Taken {
    bytes: AtomicUsize,
    given_back: Notify,
}

/// Some of the memory, given back when it is dropped.
#[derive(Debug)]
pub struct Hold {
    taken: Arc<Taken>,
    bytes: usize,
}

impl Hold {
    /// Takes another one in.
    pub fn merge(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.taken.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.taken.given_back.notify_one();
    }
}

/// The bytes that the requests of one requester instance may hold, and its streamed requests by id, so that one that is
/// sent again goes on instead of being done twice.
pub struct Memory {
    taken: Arc<Taken>,
    /// In bytes.
    pub limit: usize,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    by_id: HashMap<String, Arc<ReplayLog>>,
    ended: VecDeque<String>,
}

/// A line for a connection, newline included, with its part of the memory.
#[derive(Debug)]
pub struct Line {
    pub text: String,
    _hold: Option<Hold>,
}

impl Line {
    pub fn new(text: String, hold: Option<Hold>) -> Arc<Self> {
        Arc::new(Self { text, _hold: hold })
    }
}

impl From<Frame> for Arc<Line> {
    fn from(frame: Frame) -> Self {
        Line::new(frame.to_line(), None)
    }
}

/// What was said on a streamed request so far, for whoever listens from whenever on.
#[derive(Default)]
pub struct ReplayLog {
    key: Option<String>,
    said: Mutex<Said>,
    /// How many lines that are.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Said {
    lines: Vec<Arc<Line>>,
    complete: bool,
}

pub enum Attached {
    New(Arc<ReplayLog>),
    /// It was here before.
    Again(Arc<ReplayLog>),
    /// Another request has this id.
    Twice,
}

impl Memory {
    /// So many bytes.
    pub fn new(limit: usize) -> Self {
        Self { taken: Arc::default(), limit, streams: Mutex::default() }
    }

    /// Memory for a reply; ended streams give way to it. None where requests under way have it all.
    pub fn hold(&self, bytes: usize) -> Option<Hold> {
        self.take(bytes.saturating_add(AROUND), 0)
    }

    /// Memory for a new request of which there are so many copies, beside what the replies to others need.
    pub fn admit(&self, bytes: usize, copies: usize) -> Option<Hold> {
        self.take(bytes.saturating_add(AROUND).saturating_mul(copies), self.reserve())
    }

    fn take(&self, bytes: usize, leave: usize) -> Option<Hold> {
        let most = self.limit.checked_sub(leave)?.checked_sub(bytes)?;
        while self.make_room(bytes + leave) {
            let more = |taken| (taken <= most).then_some(taken + bytes);
            if self.taken.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
                return Some(Hold { taken: self.taken.clone(), bytes });
            }
        }
        None
    }

    /// True when there is room for replies: workers that go on without it would have theirs refused.
    pub fn has_room(&self) -> bool {
        self.make_room(self.reserve())
    }

    /// Returns when there is room again.
    pub async fn room(&self) {
        while !self.has_room() {
            self.taken.given_back.notified().await;
        }
        // For the next one who waits: what was given back may do for several.
        self.taken.given_back.notify_one();
    }

    fn reserve(&self) -> usize {
        self.limit / RESERVE
    }

    fn make_room(&self, bytes: usize) -> bool {
        while self.limit.saturating_sub(self.taken.bytes.load(Ordering::Relaxed)) < bytes {
            if !self.lock().forget_oldest() {
                return false;
            }
        }
        true
    }

    /// The stream of a request, new or as it was sent before. Only who knows its key goes on with it: ids are no secret.
    pub fn attach(&self, request: &Request) -> Attached {
        let mut streams = self.lock();
        let Some(stream) = streams.by_id.get(&request.request_id) else {
            let stream = Arc::new(ReplayLog { key: request.attempt_key.clone(), ..ReplayLog::default() });
            streams.by_id.insert(request.request_id.clone(), stream.clone());
            return Attached::New(stream);
        };
        match request.attempt {
            Some(2..) if stream.key.is_some() && stream.key == request.attempt_key => Attached::Again(stream.clone()),
            _ => Attached::Twice,
        }
    }

    /// Nothing more will be said on a stream.
    pub fn forget(&self, request_id: &str) {
        self.lock().by_id.remove(request_id);
    }

    /// The last line of a stream was said: from now on it is kept only as long as there is room.
    pub fn ended(&self, request_id: String) {
        let mut streams = self.lock();
        streams.ended.push_back(request_id);
        if streams.ended.len() > KEPT {
            streams.forget_oldest();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.ended.pop_front();
        oldest.is_some_and(|id| self.by_id.remove(&id).is_some())
    }
}

impl ReplayLog {
    /// Says one more line, which may be the last.
    pub fn say(&self, line: Arc<Line>, is_last: bool) {
        let mut said = self.lock();
        said.lines.push(line);
        said.complete = is_last;
        drop(said);
        self.count.send_modify(|count| *count += 1);
    }

    /// Sends all that is said, in its order, until the last line, or until nobody listens.
    pub async fn tell(&self, sink: &crate::requester::Sink) {
        let mut count = self.count.subscribe();
        for next in 0.. {
            // The sender is this struct's own, so that waiting cannot fail.
            let _ = count.wait_for(|count| *count > next).await;
            let (line, is_last) = {
                let said = self.lock();
                let Some(line) = said.lines.get(next).cloned() else { return };
                (line, said.complete && said.lines.len() == next + 1)
            };
            if sink.send(line).await.is_err() || is_last {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn only_who_knows_the_key_goes_on_with_a_request() {
        let memory = Memory::new(1 << 20);
        assert!(matches!(memory.attach(&request(1, Some("k"))), Attached::New(_)));
        for stranger in [request(1, Some("k")), request(2, None), request(2, Some("")), request(9, Some("K"))] {
            assert!(matches!(memory.attach(&stranger), Attached::Twice), "{stranger:?}");
        }
        assert!(matches!(memory.attach(&request(2, Some("k"))), Attached::Again(_)));
    }

    #[test]
    fn without_a_key_nobody_goes_on_with_a_request() {
        let memory = Memory::new(1 << 20);
        assert!(matches!(memory.attach(&request(1, None)), Attached::New(_)));
        assert!(matches!(memory.attach(&request(2, None)), Attached::Twice));
    }

    /// A stream that has ended with a line of so many bytes.
    fn end(memory: &Memory, id: &str, bytes: usize) -> bool {
        let request = Request { request_id: id.to_owned(), ..Request::default() };
        let Attached::New(stream) = memory.attach(&request) else { panic!("it is new") };
        let Some(hold) = memory.hold(bytes) else { return false };
        stream.say(Line::new("x".repeat(bytes), Some(hold)), true);
        memory.ended(id.to_owned());
        true
    }

    #[test]
    fn ended_streams_are_kept_while_there_is_room_and_give_way_oldest_first() {
        let memory = Memory::new(100 * UNIT);
        let knows = |id: &str| memory.lock().by_id.contains_key(id);
        assert!(["a", "b", "c"].into_iter().all(|id| end(&memory, id, 30 * UNIT)));
        assert!(knows("a") && knows("b") && knows("c"));
        let held = memory.hold(30 * UNIT).unwrap();
        assert!(!knows("a") && knows("b") && knows("c"), "the oldest gave way");
        assert!(memory.has_room() && !knows("b") && knows("c"));
        let more = memory.admit(43 * UNIT, 1).unwrap();
        assert!(!knows("c"), "all gave way");
        assert!(memory.admit(1, 1).is_none(), "a quarter is for replies");
        let reply = memory.hold(UNIT).unwrap();
        assert!(!memory.has_room() && memory.hold(90 * UNIT).is_none());
        drop((held, more, reply));
        assert!(memory.has_room() && memory.hold(90 * UNIT).is_some());
    }

    #[test]
    fn no_more_than_so_many_streams_are_kept() {
        let memory = Memory::new(1 << 30);
        for id in 0..=KEPT {
            assert!(end(&memory, &id.to_string(), 10));
        }
        let streams = memory.lock();
        assert_eq!((streams.by_id.len(), streams.ended.len()), (KEPT, KEPT));
    }
}

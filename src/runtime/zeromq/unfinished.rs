//! Bounds incomplete multipart messages. libzmq keeps the frames of a message until its last one arrives; ZMQ_MAXMSGSIZE
//! limits a single frame and the high-water marks count complete messages, so one peer could fill the memory with one
//! message.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::FRAME_OVERHEAD;
use crate::runtime::LogLimit;

/// Frames of the maximum size that an incomplete message may have. More than one, so that a slightly too large message gets an
/// error reply instead of a closed connection.
const MAX_FRAMES: u64 = 4;

/// Additional bytes for small frames.
const SMALL_FRAMES: u64 = 256 << 10;

/// Maximum memory of an incomplete message, in bytes; 0: no limit is set. One for the process, because libzmq does not
/// report which socket a frame is for.
static ALLOWED: AtomicU64 = AtomicU64::new(0);

static LOG_LIMIT: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

thread_local! {
    /// Per thread, because a connection's frames always arrive on the same libzmq I/O thread.
    static UNFINISHED: RefCell<Unfinished> = RefCell::default();
}

/// The size of a message so far, compared with the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Allowed,
    /// This frame exceeds the limit.
    Exceeds,
    /// An earlier frame exceeded the limit.
    Exceeded,
}

/// Bytes of the incomplete message in each libzmq pipe, by the pipe's address. An entry whose pipe was closed with its
/// socket is removed by the next message of a pipe at the same address.
#[derive(Default)]
struct Unfinished(HashMap<usize, u64>);

impl Unfinished {
    fn add(&mut self, pipe: usize, bytes: u64, more: bool, allowed: u64) -> Weight {
        let before = self.0.get(&pipe).copied().unwrap_or_default();
        let now = before.saturating_add(bytes);
        let is_too_much = now > allowed;
        if more || is_too_much {
            self.0.insert(pipe, now);
        }
        match is_too_much {
            false => Weight::Allowed,
            true if before <= allowed => Weight::Exceeds,
            true => Weight::Exceeded,
        }
    }

    fn forget(&mut self, pipe: usize) {
        self.0.remove(&pipe);
    }
}

/// Sets the limit of incomplete messages from the maximum frame size. The largest limit in a process applies.
pub fn bound_unfinished(max_frame_bytes: u64) {
    let bytes = (max_frame_bytes + FRAME_OVERHEAD).saturating_mul(MAX_FRAMES).saturating_add(SMALL_FRAMES);
    ALLOWED.fetch_max(bytes, Ordering::Relaxed);
}

/// Adds a frame of `bytes` bytes to a pipe's message. `more`: it is not the last frame of its message.
pub fn weigh(pipe: usize, bytes: usize, more: bool) -> Weight {
    let allowed = match ALLOWED.load(Ordering::Relaxed) {
        0 => u64::MAX,
        allowed => allowed,
    };
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    UNFINISHED.try_with(|all| all.borrow_mut().add(pipe, bytes, more, allowed)).unwrap_or(Weight::Allowed)
}

/// Forgets a pipe's message, because it is complete or was dropped.
pub fn forget(pipe: usize) {
    // An error means that the thread is ending, and its pipes with it.
    let _ = UNFINISHED.try_with(|all| all.borrow_mut().forget(pipe));
}

/// Logs that a connection was closed.
pub fn log_closed(peer: &str) {
    if let Some(times) = LOG_LIMIT.allow("") {
        slog_scope::warn!(
            "a ZeroMQ connection was closed: its incomplete message exceeds the limit of allowed_bytes. Check that the peer \
             belongs to this deployment and has the same requester.max_message_bytes";
            "peer" => peer, "allowed_bytes" => ALLOWED.load(Ordering::Relaxed), "times" => times
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_add_up_until_their_message_ends() {
        let mut unfinished = Unfinished::default();
        for _ in 0..3 {
            assert_eq!(unfinished.add(1, 60, true, 100), Weight::Allowed);
            assert_eq!(unfinished.add(2, 100, true, 100), Weight::Allowed, "each pipe is counted separately");
            assert_eq!(unfinished.add(1, 40, false, 100), Weight::Allowed);
            unfinished.forget(1);
            unfinished.forget(2);
        }
        assert!(unfinished.0.is_empty());
    }

    #[test]
    fn a_message_exceeds_the_limit_from_one_frame_to_its_end() {
        let mut unfinished = Unfinished::default();
        let weights = [(60, true), (41, true), (0, true), (1, false), (1, false)];
        let weights = weights.map(|(bytes, more)| unfinished.add(1, bytes, more, 100));
        assert_eq!(weights[..2], [Weight::Allowed, Weight::Exceeds]);
        assert!(weights[2..].iter().all(|weight| *weight == Weight::Exceeded), "{weights:?}");
        unfinished.forget(1);
        assert_eq!(unfinished.add(1, 101, false, 100), Weight::Exceeds);
    }
}

//! Messages of which frames have come and the last one has not. libzmq keeps the frames until the message is whole; its
//! ZMQ_MAXMSGSIZE bounds each of them and its high-water marks count whole messages, so that one peer could fill the
//! memory with one message.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::FRAME_OVERHEAD;
use crate::runtime::LogLimit;

/// As many of the largest frames are taken in one message, so that what is only somewhat too large gets an answer.
const MAX_FRAMES: u64 = 4;

/// And so many bytes of small ones.
const SMALL_FRAMES: u64 = 256 << 10;

/// The memory that one message may take while it comes, in bytes; 0 until there is a bound. One for the process: libzmq
/// does not say which socket a frame is for.
static ALLOWED: AtomicU64 = AtomicU64::new(0);

static TOLD: LazyLock<LogLimit> = LazyLock::new(LogLimit::default);

thread_local! {
    /// A connection's frames come in by one of libzmq's threads.
    static UNFINISHED: RefCell<Unfinished> = RefCell::default();
}

/// How the frames of a message compare with what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Allowed,
    /// This frame is the first of the message that is too much.
    Exceeds,
    /// One before was.
    Exceeded,
}

/// By the address of libzmq's pipe, what the frames of the message in it take, in bytes. An entry that is left over, since
/// its pipe ended with its socket, ends with the next message of a pipe at that address.
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

/// Bounds what a message may take while it comes, by the largest frame that is taken. The largest bound of a process holds.
pub fn bound_unfinished(max_frame_bytes: u64) {
    let bytes = (max_frame_bytes + FRAME_OVERHEAD).saturating_mul(MAX_FRAMES).saturating_add(SMALL_FRAMES);
    ALLOWED.fetch_max(bytes, Ordering::Relaxed);
}

/// Weighs one more frame in a pipe, which takes so many bytes. `more`: it is not the last of its message.
pub fn weigh(pipe: usize, bytes: usize, more: bool) -> Weight {
    let allowed = match ALLOWED.load(Ordering::Relaxed) {
        0 => u64::MAX,
        allowed => allowed,
    };
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    UNFINISHED.try_with(|all| all.borrow_mut().add(pipe, bytes, more, allowed)).unwrap_or(Weight::Allowed)
}

/// The message in a pipe is whole, or was dropped.
pub fn forget(pipe: usize) {
    // The thread is ending, and its pipes with it, where this fails.
    let _ = UNFINISHED.try_with(|all| all.borrow_mut().forget(pipe));
}

/// Logs that a connection was closed.
pub fn tell_closed(peer: &str) {
    if let Some(times) = TOLD.allow("") {
        slog_scope::warn!(
            "a ZeroMQ connection was closed: the frames of one message from it are more than is kept for one that is not \
             whole yet. Is it a program of this deployment, and is requester.max_message_bytes the same everywhere?";
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
            assert_eq!(unfinished.add(2, 100, true, 100), Weight::Allowed, "each pipe by itself");
            assert_eq!(unfinished.add(1, 40, false, 100), Weight::Allowed);
            unfinished.forget(1);
            unfinished.forget(2);
        }
        assert!(unfinished.0.is_empty());
    }

    #[test]
    fn a_message_is_too_much_from_one_frame_on_to_its_end() {
        let mut unfinished = Unfinished::default();
        let weights = [(60, true), (41, true), (0, true), (1, false), (1, false)];
        let weights = weights.map(|(bytes, more)| unfinished.add(1, bytes, more, 100));
        assert_eq!(weights[..2], [Weight::Allowed, Weight::Exceeds]);
        assert!(weights[2..].iter().all(|weight| *weight == Weight::Exceeded), "{weights:?}");
        unfinished.forget(1);
        assert_eq!(unfinished.add(1, 101, false, 100), Weight::Exceeds);
    }
}

//! Limits in bytes: an amount of memory of which parts are taken and given back, and texts that hold their part for as
//! long as anybody has them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A semaphore counts in 32 bits, hence not bytes.
const UNIT: usize = 1024;

/// A part that was taken. It is given back when this is dropped.
pub type Room = OwnedSemaphorePermit;

/// An amount of memory. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    free: Arc<Semaphore>,
    units: usize,
}

impl Memory {
    /// So many bytes, rounded up to whole KiB.
    pub fn of(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(units)), units }
    }

    /// The whole amount, in bytes.
    pub fn bytes(&self) -> usize {
        self.units * UNIT
    }

    /// How much a part is, in bytes.
    pub fn of_room(room: &Room) -> usize {
        room.num_permits() * UNIT
    }

    /// How much of it is taken, in bytes.
    pub fn taken(&self) -> usize {
        (self.units - self.free.available_permits()) * UNIT
    }

    /// Takes a part of so many bytes; none where less is free.
    pub fn take(&self, bytes: usize) -> Option<Room> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        self.free.clone().try_acquire_many_owned(units).ok()
    }

    /// A text, shared by all clones, that takes its part until the last of them is gone; none where less is free.
    pub fn hold(&self, text: String) -> Option<Bytes> {
        let room = self.take(text.len())?;
        Some(Bytes::from_owner(Held { text, _room: room }))
    }
}

struct Held {
    text: String,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// A text in pieces that share its memory: whoever sends it copies a piece at a time.
pub fn pieces(text: Bytes) -> impl Iterator<Item = Bytes> {
    const PIECE: usize = 16 << 10;
    (0..text.len()).step_by(PIECE).map(move |at| text.slice(at..text.len().min(at + PIECE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_its_part_until_its_last_piece_is_gone() {
        let memory = Memory::of(100 * UNIT);
        let text = memory.hold("x".repeat(60 * UNIT)).unwrap();
        assert!(memory.hold("x".repeat(60 * UNIT)).is_none() && memory.take(40 * UNIT).is_some());
        let mut all: Vec<Bytes> = pieces(text).collect();
        assert_eq!(all.iter().map(Bytes::len).sum::<usize>(), 60 * UNIT);
        let last = all.pop();
        drop(all);
        assert_eq!(memory.taken(), 60 * UNIT);
        drop(last);
        assert_eq!((memory.taken(), memory.bytes()), (0, 100 * UNIT));
        assert!(memory.take(usize::MAX).is_none());
    }
}

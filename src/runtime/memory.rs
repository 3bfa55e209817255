//! Memory budgets in bytes, and texts that hold their part of a budget until their last clone is dropped.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a permit. Permits are counted in 32 bits, which are too few for bytes.
const UNIT: usize = 1024;

/// A part of a budget. Dropping it returns the part.
pub type Room = OwnedSemaphorePermit;

/// A memory budget. Clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    free: Arc<Semaphore>,
    units: usize,
}

impl Memory {
    /// A budget of `bytes`, rounded up to whole KiB.
    pub fn of(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(units)), units }
    }

    /// The whole budget, in bytes.
    pub fn bytes(&self) -> usize {
        self.units * UNIT
    }

    /// The size of a part, in bytes.
    pub fn of_room(room: &Room) -> usize {
        room.num_permits() * UNIT
    }

    /// Bytes that are taken.
    pub fn taken(&self) -> usize {
        (self.units - self.free.available_permits()) * UNIT
    }

    /// Takes `bytes` from the budget; `None` if fewer are free.
    pub fn take(&self, bytes: usize) -> Option<Room> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        self.free.clone().try_acquire_many_owned(units).ok()
    }

    /// A text that holds its part of the budget until its last clone is dropped; `None` if fewer bytes are free.
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

/// Splits a text into pieces of 16 KiB that share its memory, so that sending copies one piece at a time.
pub fn pieces(text: Bytes) -> impl Iterator<Item = Bytes> {
    const PIECE: usize = 16 << 10;
    (0..text.len()).step_by(PIECE).map(move |at| text.slice(at..text.len().min(at + PIECE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_holds_its_part_until_its_last_piece_is_dropped() {
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

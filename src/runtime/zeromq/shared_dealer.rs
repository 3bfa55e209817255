//! What a DEALER and its peers in the same process share: by it a peer can leave without losing a message.
//!
//! libzmq deals to a peer until it knows that the peer has left. Whatever it dealt between a peer's last look and that
//! moment would be lost.

use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock, and a count of messages on their way.
#[derive(Debug, Default)]
pub struct SharedDealer {
    dealing: Mutex<()>,
    untaken: AtomicIsize,
}

impl SharedDealer {
    /// Held by the DEALER's owner while it sends, and by a peer that leaves: it takes in what was dealt to it, and
    /// disconnects. The DEALER takes in the news of that before it sends again ([`super::Socket::try_send`]).
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.dealing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message was dealt out.
    pub fn dealt(&self) {
        self.untaken.fetch_add(1, Ordering::Relaxed);
    }

    /// A peer has taken one.
    pub fn taken(&self) {
        self.untaken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Messages that were dealt out and that no peer has taken.
    pub fn untaken(&self) -> usize {
        // Below zero for the moment in which a peer is faster than the count.
        usize::try_from(self.untaken.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

//! A lock and a counter that a DEALER shares with its peers in the same process, so that a peer can leave without losing
//! messages.
//!
//! libzmq sends to a peer until it has processed the peer's disconnection. Messages that it sent after the peer's last receive
//! would be lost.

use std::sync::atomic::{AtomicIsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

/// See the top of this file.
#[derive(Debug, Default)]
pub struct SharedDealer {
    dealing: Mutex<()>,
    queued: AtomicIsize,
}

impl SharedDealer {
    /// The DEALER's owner holds the lock while it sends. A peer that leaves holds it while it receives its last messages and
    /// disconnects. The DEALER processes the disconnection before it sends again ([`super::Socket::try_send`] reads its events).
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.dealing.lock()
    }

    /// The DEALER has sent a message.
    pub fn sent(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// A peer has received a message.
    pub fn received(&self) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
    }

    /// Messages sent that no peer has received.
    pub fn queued(&self) -> usize {
        // Below zero for a moment if a peer receives a message before it is counted as sent.
        usize::try_from(self.queued.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

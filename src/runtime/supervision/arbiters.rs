//! A pool of arbiters (threads with an event loop), over which a tier's actors are distributed.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_rt::{Arbiter, ArbiterHandle};
use parking_lot::Mutex;

/// The arbiters of one tier. Requesters, responders and brokers have separate pools, so that a task with much computation does
/// not block a requester.
pub struct ArbiterPool {
    handles: Vec<ArbiterHandle>,
    /// Empty after `stop`.
    arbiters: Mutex<Vec<Arbiter>>,
    next: AtomicUsize,
}

impl ArbiterPool {
    /// Starts `size` arbiters (at least one), each with up to `blocking_threads` threads for blocking work. Fails when
    /// the process has reached its limit of threads or file descriptors.
    pub fn start(size: usize, blocking_threads: usize) -> io::Result<Self> {
        let runtime = move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(blocking_threads.max(1))
                .build()
        };
        let arbiters = (0..size.max(1)).map(|_| Arbiter::try_with_tokio_rt(runtime)).collect::<io::Result<Vec<_>>>()?;
        let handles = arbiters.iter().map(Arbiter::handle).collect();
        Ok(Self { handles, arbiters: Mutex::new(arbiters), next: AtomicUsize::new(0) })
    }

    /// The arbiter for the next actor, round-robin.
    pub fn next(&self) -> ArbiterHandle {
        self.handles[self.next.fetch_add(1, Ordering::Relaxed) % self.handles.len()].clone()
    }

    /// Stops the arbiters and joins their threads. Blocks until each thread has finished its current task.
    pub fn stop(&self) {
        let arbiters = std::mem::take(&mut *self.arbiters.lock());
        arbiters.iter().for_each(|arbiter| {
            arbiter.stop();
        });
        // The panic hook has logged a panic of the thread already.
        arbiters.into_iter().for_each(|arbiter| drop(arbiter.join()));
    }
}

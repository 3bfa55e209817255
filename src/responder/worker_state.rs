//! The state of a responder worker that belongs to its slot, and outlives the worker.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{LocalBoxStream, once};
use parking_lot::Mutex as SyncMutex;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_stream::wrappers::WatchStream;

use super::{BrokerConnections, DelaySource};
use crate::runtime::InstanceStatus;
use crate::runtime::zeromq::{Contexts, Frames, SharedDealer};
use crate::wire::{Delay, Dispatch};

/// The brokers of an instance's workers.
#[derive(Clone)]
pub enum Backend {
    /// The broker in this process.
    Local(LocalBroker),
    /// An `ipc://` endpoint of this host.
    Ipc(String),
    /// TCP addresses of brokers.
    Addresses(watch::Receiver<BTreeSet<SocketAddr>>),
}

/// What workers need of the broker in their process.
#[derive(Clone)]
pub struct LocalBroker {
    pub dispatch: watch::Receiver<Dispatch>,
    /// The `inproc://` endpoint for a strategy.
    pub endpoint: fn(Dispatch) -> &'static str,
    /// Shared by the workers and the DEALER of round-robin dispatch.
    pub shared: Arc<SharedDealer>,
}

/// A broker that a worker connects to.
#[derive(Clone)]
pub enum BrokerAddress {
    /// In this process. `dealer`: `None` for least-busy dispatch.
    Inproc {
        endpoint: &'static str,
        dealer: Option<Arc<SharedDealer>>,
    },
    Ipc(String),
    Tcp(SocketAddr),
}

impl BrokerAddress {
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            _ => None,
        }
    }
}

impl PartialEq for BrokerAddress {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inproc { endpoint: left, .. }, Self::Inproc { endpoint: right, .. }) => left == right,
            (Self::Ipc(left), Self::Ipc(right)) => left == right,
            (Self::Tcp(left), Self::Tcp(right)) => left == right,
            _ => false,
        }
    }
}

impl Backend {
    /// The brokers to connect to: the current list, and the new list after each change.
    pub fn brokers(&self) -> LocalBoxStream<'static, Vec<BrokerAddress>> {
        match self.clone() {
            Self::Local(LocalBroker { dispatch, endpoint, shared }) => WatchStream::new(dispatch)
                .map(move |dispatch| {
                    let dealer = (dispatch == Dispatch::RoundRobin).then(|| shared.clone());
                    vec![BrokerAddress::Inproc { endpoint: endpoint(dispatch), dealer }]
                })
                .boxed_local(),
            Self::Ipc(endpoint) => once(async { vec![BrokerAddress::Ipc(endpoint)] }).boxed_local(),
            Self::Addresses(addresses) => WatchStream::new(addresses)
                .map(|addresses| addresses.into_iter().map(BrokerAddress::Tcp).collect())
                .boxed_local(),
        }
    }
}

/// The state of a slot. Its worker locks it until the worker is dropped.
pub struct ResponderState {
    pub brokers: BrokerConnections,
    pub task: TaskState,
}

/// The part of the state that has no sockets.
pub struct TaskState {
    pub delays: DelaySource,
    /// Unique per worker across the deployment.
    pub responder_id: i64,
    /// The message that the worker works on, without its envelope.
    pub current: Option<Frames>,
    /// Workers that have died on the current message.
    pub deaths: u32,
}

/// The number of the random stream for a worker's delays. It depends on the instance's slot, because instances with the same
/// seed and stream would draw the same delays.
fn stream(slot: Option<&str>, index: usize) -> u64 {
    // The slot is a number or, in a global service, a node's id.
    let slot = slot.map_or(0, |slot| {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(slot).into();
        u32::from_be_bytes([a, b, c, d])
    });
    u64::from(slot) << 32 | index as u64
}

/// The states of an instance's slots, made on first use.
pub struct ResponderStates {
    pub contexts: Arc<Contexts>,
    pub backend: Backend,
    pub status: Arc<InstanceStatus>,
    /// `responderId` of the worker with index 0; worker `i` has `first_id + i`.
    pub first_id: i64,
    pub seed: Option<u64>,
    states: SyncMutex<HashMap<usize, Arc<Mutex<ResponderState>>>>,
}

impl ResponderStates {
    pub fn new(
        contexts: Arc<Contexts>,
        backend: Backend,
        status: Arc<InstanceStatus>,
        first_id: i64,
        seed: Option<u64>,
    ) -> Self {
        Self { contexts, backend, status, first_id, seed, states: SyncMutex::default() }
    }

    /// Locks the state of a slot for its worker. A new state has no connections.
    ///
    /// # Panics
    /// The previous worker of the slot has not been dropped.
    pub fn take(&self, index: usize, delay: &Delay) -> OwnedMutexGuard<ResponderState> {
        let mut states = self.states.lock();
        let new = || {
            let slot = self.status.instance.slot.as_deref();
            Arc::new(Mutex::new(ResponderState {
                brokers: BrokerConnections::new(self.contexts.clone(), self.status.clone(), index == 0),
                task: TaskState {
                    delays: DelaySource::new(delay, self.seed, stream(slot, index)),
                    responder_id: self.first_id + index as i64,
                    current: None,
                    deaths: 0,
                },
            }))
        };
        let state = states.entry(index).or_insert_with(new).clone();
        state.try_lock_owned().expect("a slot has one worker at a time")
    }

    /// Removes the state of a worker that has left, and closes its sockets.
    pub fn clear(&self, index: usize) {
        self.states.lock().remove(&index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_of_each_slot_has_its_own_stream() {
        let slots = [None, Some("1"), Some("2"), Some("11"), Some("x3k9a"), Some("x3k9b")];
        let all = || slots.iter().flat_map(|slot| (0..3).map(|index| stream(*slot, index)));
        assert_eq!(all().collect::<BTreeSet<_>>().len(), 18);
        assert!(all().eq(all()) && stream(None, 5) == 5);
    }
}

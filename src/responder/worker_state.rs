//! The responder workers' states: what belongs to a slot, and survives the death of its worker.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::{LocalBoxStream, once};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio_stream::wrappers::WatchStream;

use super::{BrokerConnections, DelaySource};
use crate::runtime::InstanceStatus;
use crate::runtime::zeromq::{Contexts, Frames, SharedDealer};
use crate::wire::{Delay, Dispatch};

/// Where the workers' messages come from.
#[derive(Clone)]
pub enum Backend {
    /// The broker in this process.
    Here(LocalBroker),
    /// An `ipc://` endpoint of this host.
    Ipc(String),
    /// Brokers elsewhere.
    Addresses(watch::Receiver<BTreeSet<SocketAddr>>),
}

/// The broker of the same process, as its workers need it.
#[derive(Clone)]
pub struct LocalBroker {
    pub dispatch: watch::Receiver<Dispatch>,
    /// Where each strategy listens.
    pub endpoint: fn(Dispatch) -> &'static str,
    /// What its DEALER, which is that of round-robin, shares with the workers.
    pub shared: Arc<SharedDealer>,
}

/// A broker that a worker connects to.
#[derive(Clone)]
pub enum BrokerAddress {
    /// In this process. `dealer`: it deals by that, and not by credit.
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
    /// The brokers to connect to: those of now, and all of them again after each change.
    pub fn brokers(&self) -> LocalBoxStream<'static, Vec<BrokerAddress>> {
        match self.clone() {
            Self::Here(LocalBroker { dispatch, endpoint, shared }) => WatchStream::new(dispatch)
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

/// What belongs to a slot. Its worker holds it locked for its life.
pub struct ResponderState {
    pub brokers: BrokerConnections,
    pub task: TaskState,
}

/// The part that has nothing to do with sockets.
pub struct TaskState {
    pub delays: DelaySource,
    /// Unique per worker across the deployment.
    pub responder_id: i64,
    /// The message that it works on.
    pub in_hand: Option<Frames>,
    /// Workers that died on the message in hand.
    pub deaths: u32,
}

/// The random stream of a worker's delays. Instances that were given one seed would else draw the same ones, and work in
/// step with one another.
fn stream(slot: Option<&str>, index: usize) -> u64 {
    // A number or, in a global service, a node's id.
    let slot = slot.map_or(0, |slot| {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(slot).into();
        u32::from_be_bytes([a, b, c, d])
    });
    u64::from(slot) << 32 | index as u64
}

/// The states of one responder instance, made as they are needed.
pub struct ResponderStates {
    pub contexts: Arc<Contexts>,
    pub backend: Backend,
    pub status: Arc<InstanceStatus>,
    /// The first worker's `responderId`; the others' follow.
    pub first_id: i64,
    pub seed: Option<u64>,
    states: StdMutex<HashMap<usize, Arc<Mutex<ResponderState>>>>,
}

impl ResponderStates {
    pub fn new(
        contexts: Arc<Contexts>,
        backend: Backend,
        status: Arc<InstanceStatus>,
        first_id: i64,
        seed: Option<u64>,
    ) -> Self {
        Self { contexts, backend, status, first_id, seed, states: StdMutex::default() }
    }

    /// The state of a slot, for the life of its worker; a new one is connected to no broker yet.
    ///
    /// # Panics
    /// The worker before it has not been dropped.
    pub fn take(&self, index: usize, delay: &Delay) -> OwnedMutexGuard<ResponderState> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let slot = self.status.instance.slot.as_deref();
            Arc::new(Mutex::new(ResponderState {
                brokers: BrokerConnections::new(self.contexts.clone(), self.status.clone(), index == 0),
                task: TaskState {
                    delays: DelaySource::new(delay, self.seed, stream(slot, index)),
                    responder_id: self.first_id + index as i64,
                    in_hand: None,
                    deaths: 0,
                },
            }))
        };
        let state = states.entry(index).or_insert_with(new).clone();
        state.try_lock_owned().expect("a slot has one worker at a time")
    }

    /// The worker has left for good: its sockets are closed with its state.
    pub fn clear(&self, index: usize) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_of_all_slots_have_streams_of_their_own() {
        let slots = [None, Some("1"), Some("2"), Some("11"), Some("x3k9a"), Some("x3k9b")];
        let all = || slots.iter().flat_map(|slot| (0..3).map(|index| stream(*slot, index)));
        assert_eq!(all().collect::<BTreeSet<_>>().len(), 18);
        assert!(all().eq(all()) && stream(None, 5) == 5);
    }
}

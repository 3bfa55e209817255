//! The responder workers' states: what belongs to a slot, and survives the death of its worker.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, watch};

use super::{Delay, DelaySource};
use crate::runtime::InstanceStatus;
use crate::runtime::zeromq::{Contexts, Frames, Peers, Socket, follow_up};
use crate::wire::Dispatch;

/// Where the workers' messages come from.
pub enum Backend {
    /// The broker in this process: the endpoint all workers share, and each worker's own, which is used from the first
    /// time that dispatch is least-busy. (Connected before, it would wait for ever for a peer, and libzmq cannot end
    /// a context with many such.)
    Here { shared: &'static str, own: fn(usize) -> String, dispatch: watch::Receiver<Dispatch> },
    /// An `ipc://` endpoint of this host.
    Ipc(String),
    /// Brokers elsewhere.
    Addresses(watch::Receiver<BTreeSet<SocketAddr>>),
}

/// A slot's things. Its worker holds them locked for its life.
pub struct ResponderState {
    pub socket: Socket,
    pub delays: DelaySource,
    /// Unique per worker across the deployment.
    pub responder_id: i64,
    /// Whether the socket is connected to the worker's own endpoint.
    pub own_endpoint: bool,
    /// Brokers elsewhere that the socket connects to.
    pub brokers: Peers,
    /// Those to which its connections are up.
    pub up: watch::Receiver<BTreeSet<SocketAddr>>,
    pub in_hand: Option<Frames>,
    /// Occupants that died on the message in hand.
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

    /// The state of a slot; a new one is connected to the broker, unless that is elsewhere. Fails without a free file
    /// descriptor.
    pub fn state(&self, index: usize, delay: &Delay) -> io::Result<Arc<Mutex<ResponderState>>> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = states.get(&index) {
            return Ok(state.clone());
        }
        let up = watch::Sender::default();
        let connections = up.subscribe();
        let socket = match &self.backend {
            Backend::Here { shared: endpoint, .. } => self.connected(endpoint)?,
            Backend::Ipc(endpoint) => self.connected(endpoint)?,
            Backend::Addresses(_) => {
                let status = self.status.clone();
                self.contexts.watched_socket(zmq::REP, "worker", move |address, news| {
                    status.peer_news(address, news);
                    follow_up(&up, address, news);
                })?
            }
        };
        let state = Arc::new(Mutex::new(ResponderState {
            socket: Socket::attach(socket)?,
            delays: DelaySource::new(delay, self.seed, stream(self.status.instance.slot.as_deref(), index)),
            responder_id: self.first_id + index as i64,
            own_endpoint: false,
            brokers: Peers::new(self.contexts.renewal()),
            up: connections,
            in_hand: None,
            deaths: 0,
        }));
        states.insert(index, state.clone());
        Ok(state)
    }

    fn connected(&self, endpoint: &str) -> io::Result<zmq::Socket> {
        let socket = self.contexts.inproc_socket(zmq::REP)?;
        socket.connect(endpoint)?;
        Ok(socket)
    }

    /// The worker has left for good: its socket is closed with its state.
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

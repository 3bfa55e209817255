//! The status of an instance: written by its components, read by telemetry, the admin server and the metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::usage;
use crate::runtime::telemetry::EventSink;
use crate::runtime::zeromq::ConnectionChange;
use crate::wire::{
    Delay, Dispatch, Event, Faults, HopCounters, Instance, InstanceState, LedgerCounters, PeerView, Snapshot, Tier,
    WorkerState, WorkerView, now_ms,
};

/// Weight of a task in the mean time of the latest tasks: about the last thirty count.
const TASK_WEIGHT: f64 = 1.0 / 32.0;

/// The status of one worker, kept across its restarts.
pub struct WorkerStatus {
    index: usize,
    instance: String,
    id: OnceLock<String>,
    state: Mutex<WorkerState>,
    handled: AtomicU64,
    restarts: AtomicU32,
    /// Restarts of the whole instance, shared by its workers and other components.
    all_restarts: Arc<AtomicU64>,
    events: EventSink,
}

impl WorkerStatus {
    /// Sets the worker's id; later calls are ignored.
    pub fn name(&self, id: &str) {
        self.id.get_or_init(|| id.to_owned());
    }

    /// Changes the state and publishes the change. Changes between busy and idle count as per-message events, which may be
    /// dropped (`telemetry.events_per_second`).
    pub fn set(&self, state: WorkerState, reason: Option<String>) {
        let before = std::mem::replace(&mut *self.state.lock(), state);
        if before == state {
            return;
        }
        let event = || Event::Worker { instance: self.instance.clone(), at: now_ms(), worker: self.view(), reason };
        match (before, state) {
            (WorkerState::Busy, WorkerState::Idle) | (WorkerState::Idle, WorkerState::Busy) => {
                self.events.emit_for_message(event);
            }
            _ => self.events.emit(event()),
        }
    }

    /// Records that the worker died and will be restarted.
    pub fn restarting(&self, reason: String) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        self.all_restarts.fetch_add(1, Ordering::Relaxed);
        self.set(WorkerState::Restarting, Some(reason));
    }

    /// Counts a message that the worker completed.
    pub fn handled(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
    }

    pub fn view(&self) -> WorkerView {
        WorkerView {
            index: self.index,
            id: self.id.get().cloned().unwrap_or_default(),
            state: *self.state.lock(),
            handled: self.handled.load(Ordering::Relaxed),
            restarts: self.restarts.load(Ordering::Relaxed),
        }
    }
}

/// Reads the size of a queue, in messages or bytes; set by the queue's owner.
type QueueSize = Box<dyn Fn() -> usize + Send + Sync>;

/// Reads what the instance lacks to be ready, if anything.
type Lack = Box<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// Reads the instance's faults, and the indexes of its stalled workers.
type FaultState = Box<dyn Fn() -> (Faults, Vec<usize>) + Send + Sync>;

/// One instance's status. Any thread may read it at any time.
pub struct InstanceStatus {
    pub instance: Instance,
    pub ledger: LedgerCounters,
    pub hops: HopCounters,
    pub events: EventSink,
    started: Instant,
    workers: RwLock<Vec<Arc<WorkerStatus>>>,
    /// Restarts of workers, including removed ones, and of other components.
    restarts: Arc<AtomicU64>,
    peers: Mutex<BTreeMap<SocketAddr, Peer>>,
    depth: OnceLock<QueueSize>,
    queue_bytes: OnceLock<QueueSize>,
    lack: OnceLock<Lack>,
    /// Requests accepted; of a web instance.
    requests: AtomicU64,
    /// True if the instance is ready only with a connected peer.
    needs_peer: bool,
    /// True if the instance is ready only with a running worker.
    needs_worker: bool,
    draining: Mutex<bool>,
    /// The values of the controls; `None` for controls that the tier does not have.
    work: Mutex<WorkState>,
}

/// An address this instance connects to.
#[derive(Default)]
struct Peer {
    /// Number of connections that are up.
    up: usize,
    /// Why the last attempt to connect failed, if known.
    refusal: Option<String>,
}

#[derive(Default)]
struct WorkState {
    delay: Option<Delay>,
    faults: Option<FaultState>,
    dispatch: Option<Dispatch>,
    window: Option<usize>,
    listens: Option<SocketAddr>,
    /// Mean time of the latest tasks, in microseconds.
    task_us: Option<f64>,
}

impl InstanceStatus {
    /// The status of an instance without workers and peers so far. `needs_peer`: it is ready only with a connected peer;
    /// `needs_worker`: only with a running worker.
    pub fn new(instance: Instance, events: EventSink, needs_peer: bool, needs_worker: bool) -> Self {
        Self {
            instance,
            ledger: LedgerCounters::default(),
            hops: HopCounters::default(),
            events,
            started: Instant::now(),
            workers: RwLock::default(),
            restarts: Arc::default(),
            peers: Mutex::default(),
            depth: OnceLock::new(),
            queue_bytes: OnceLock::new(),
            requests: AtomicU64::new(0),
            lack: OnceLock::new(),
            needs_peer,
            needs_worker,
            draining: Mutex::new(false),
            work: Mutex::default(),
        }
    }

    /// A status for a component other than the workers. Its restarts count as the instance's.
    pub fn of_component(&self) -> Self {
        let component = Self::new(self.instance.clone(), EventSink::new(0).0, false, false);
        Self { restarts: self.restarts.clone(), ..component }
    }

    /// Sets the function that reads the queue's depth, in messages; later calls are ignored.
    pub fn watch_queue(&self, depth: impl Fn() -> usize + Send + Sync + 'static) {
        self.depth.get_or_init(|| Box::new(depth));
    }

    /// Sets the function that reads the queue's memory, in bytes; later calls are ignored.
    pub fn watch_queue_bytes(&self, bytes: impl Fn() -> usize + Send + Sync + 'static) {
        self.queue_bytes.get_or_init(|| Box::new(bytes));
    }

    /// Sets the function that returns what the instance lacks to be ready, if anything; later calls are ignored.
    pub fn watch_lack(&self, lack: impl Fn() -> Option<&'static str> + Send + Sync + 'static) {
        self.lack.get_or_init(|| Box::new(lack));
    }

    pub fn add_worker(&self, index: usize) -> Arc<WorkerStatus> {
        let status = self.unlisted_worker(index);
        self.workers.write().push(status.clone());
        status
    }

    /// The status of a worker that snapshots do not list.
    pub fn unlisted_worker(&self, index: usize) -> Arc<WorkerStatus> {
        Arc::new(WorkerStatus {
            index,
            instance: self.instance.id.clone(),
            id: OnceLock::new(),
            state: Mutex::new(WorkerState::Gone),
            handled: AtomicU64::new(0),
            restarts: AtomicU32::new(0),
            all_restarts: self.restarts.clone(),
            events: self.events.clone(),
        })
    }

    /// Counts the restart of a component that has no status of its own.
    pub fn restarted(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the last worker off the list.
    pub fn drop_worker(&self) {
        self.workers.write().pop();
    }

    /// Records that a connection to the address came up, or was lost (`false`).
    pub fn peer(&self, address: SocketAddr, connected: bool) {
        self.connection_change(address, if connected { ConnectionChange::Up } else { ConnectionChange::Lost });
    }

    /// Records a change of a connection to the address, or why the peer refused it.
    pub fn connection_change(&self, address: SocketAddr, change: ConnectionChange) {
        let mut peers = self.peers.lock();
        if change == ConnectionChange::Up {
            peers.entry(address).or_default();
        }
        // Late changes of an address that `forget_peer` removed are ignored.
        let Some(peer) = peers.get_mut(&address) else { return };
        match change {
            ConnectionChange::Up => (peer.up, peer.refusal) = (peer.up + 1, None),
            ConnectionChange::Lost => peer.up = peer.up.saturating_sub(1),
            ConnectionChange::Refused(reason) => peer.refusal = Some(reason.to_owned()),
            ConnectionChange::Away => peer.refusal = None,
        }
    }

    /// Adds the address of a peer; no connection to it is up yet.
    pub fn know_peer(&self, address: SocketAddr) {
        self.peers.lock().entry(address).or_default();
    }

    /// Sets why there is no connection to the address; `None` if there is one.
    pub fn peer_trouble(&self, address: SocketAddr, trouble: Option<String>) {
        if let Some(peer) = self.peers.lock().get_mut(&address) {
            peer.refusal = trouble;
        }
    }

    /// Removes the address of a peer.
    pub fn forget_peer(&self, address: SocketAddr) {
        self.peers.lock().remove(&address);
    }

    /// True if a connection to any peer is up.
    pub fn has_peer(&self) -> bool {
        self.peers.lock().values().any(|peer| peer.up > 0)
    }

    /// Marks the instance as draining: it accepts no new work from now on.
    pub fn set_draining(&self) {
        *self.draining.lock() = true;
        self.publish();
    }

    pub fn set_delay(&self, delay: Delay) {
        self.work.lock().delay = Some(delay);
    }

    /// Sets the function that reads the faults and the indexes of stalled workers.
    pub fn watch_faults(&self, faults: impl Fn() -> (Faults, Vec<usize>) + Send + Sync + 'static) {
        self.work.lock().faults = Some(Box::new(faults));
    }

    pub fn set_dispatch(&self, dispatch: Dispatch) {
        self.work.lock().dispatch = Some(dispatch);
    }

    /// Sets how many messages each worker of a requester may have in flight.
    pub fn set_window(&self, window: usize) {
        self.work.lock().window = Some(window);
    }

    /// Sets where a requester or broker takes the connections of the tier before it.
    pub fn set_listens(&self, address: SocketAddr) {
        self.work.lock().listens = Some(address);
    }

    /// Records the time of a responder's task, without delay and faults.
    pub fn task(&self, time: Duration) {
        let (mut work, us) = (self.work.lock(), time.as_secs_f64() * 1e6);
        work.task_us = Some(work.task_us.map_or(us, |mean| mean + (us - mean) * TASK_WEIGHT));
    }

    /// Counts a request that a web instance accepted.
    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        *self.draining.lock()
    }

    /// Whether the instance is ready; if not, with the reason.
    pub fn state(&self) -> (InstanceState, Option<String>) {
        let workers = || {
            let workers = self.workers.read();
            workers.iter().any(|status| matches!(status.view().state, WorkerState::Idle | WorkerState::Busy))
        };
        if self.is_draining() {
            (InstanceState::Draining, Some("shutting down".to_owned()))
        } else if self.needs_peer && !self.has_peer() {
            (InstanceState::Starting, Some(no_connection(&self.peers.lock())))
        } else if self.needs_worker && !workers() {
            (InstanceState::Starting, Some("no worker is running".to_owned()))
        } else if let Some(lack) = self.lack.get().and_then(|lack| lack()) {
            (InstanceState::Starting, Some(lack.to_owned()))
        } else {
            (InstanceState::Ready, None)
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        let (state, reason) = self.state();
        let workers = self.workers.read();
        let peers = self.peers.lock();
        let work = self.work.lock();
        let (faults, stalled) = work.faults.as_ref().map(|read| read()).unzip();
        Snapshot {
            instance: self.instance.clone(),
            at: now_ms(),
            uptime_ms: Some(self.started.elapsed().as_millis() as u64),
            state,
            reason,
            workers: workers.iter().map(|status| status.view()).collect(),
            restarts: self.restarts.load(Ordering::Relaxed),
            queue: self.depth.get().map_or(0, |depth| depth() as u64),
            requests: (self.instance.tier == Tier::Web).then(|| self.requests.load(Ordering::Relaxed)),
            listens: work.listens,
            window: work.window.map(|window| window as u64),
            task_us: work.task_us.map(|mean| mean.round() as u64),
            queue_bytes: self.queue_bytes.get().map(|bytes| bytes() as u64),
            peers: peers
                .iter()
                .map(|(address, peer)| PeerView { address: address.to_string(), connected: peer.up > 0 })
                .collect(),
            ledger: self.ledger.read(),
            hops: self.hops.read(),
            dropped_events: self.events.dropped(),
            delay: work.delay,
            faults: faults.filter(Faults::any),
            stalled: stalled.unwrap_or_default(),
            dispatch: work.dispatch,
            usage: usage(),
        }
    }

    /// Publishes a snapshot to the web tiers at once.
    pub fn publish(&self) {
        self.events.emit(Event::Instance { snapshot: Box::new(self.snapshot()) });
    }
}

/// Why no peer is connected: the reasons of failed attempts, or else the addresses without a connection.
fn no_connection(peers: &BTreeMap<SocketAddr, Peer>) -> String {
    let refusals: Vec<_> = peers
        .iter()
        .filter_map(|(address, peer)| Some(format!("no connection to {address}: {}", peer.refusal.as_ref()?)))
        .collect();
    let addresses: Vec<_> = peers.keys().map(ToString::to_string).collect();
    match (peers.is_empty(), refusals.is_empty()) {
        (true, _) => "no address of a peer is known yet: does its name resolve?".to_owned(),
        (_, true) => format!("no connection to {}: is it running?", addresses.join(", ")),
        (_, false) => refusals.join("; "),
    }
}

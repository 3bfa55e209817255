//! Puts a broker instance together: sockets, dispatcher and actor.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Addr;
use anyhow::{Context, Result};
use tokio::sync::{Mutex, watch};

use super::{Broker, BrokerState, Dispatcher, Heartbeat, InFlightTable, LeastBusy, Outboxes, RoundRobin};
use crate::runtime::supervision::{Drain, Supervised, Supervisor};
use crate::runtime::zeromq::{SharedDealer, Socket, bind};
use crate::runtime::{InstanceStatus, Process, bind_zmq, bound};
use crate::wire::{Dispatch, Tier};

/// The endpoint at which workers of this process connect to their broker.
pub fn inproc_endpoint(dispatch: Dispatch) -> &'static str {
    match dispatch {
        Dispatch::RoundRobin => "inproc://round-robin",
        Dispatch::LeastBusy => "inproc://least-busy",
    }
}

/// Default endpoint for workers of a separate broker.
const DEFAULT_BACKEND: &str = "tcp://127.0.0.1:5433";

/// Why a separate broker with least-busy dispatch is not ready.
const NO_WORKER: &str = "no responder worker has announced itself: `swarmq responder --backend` has to connect here \
                         (broker.backend). Workers with REP sockets cannot: they need broker.dispatch = \"round-robin\"";

/// A broker, started.
pub struct BrokerTier {
    /// Address for requesters.
    pub router: SocketAddr,
    /// Address for workers in other processes, if it is TCP.
    pub backend: Option<SocketAddr>,
    pub pool: Addr<Supervisor>,
    pub status: Arc<InstanceStatus>,
    pub dispatch: watch::Sender<Dispatch>,
    /// Shared by its DEALER and the workers of this process.
    pub shared: Arc<SharedDealer>,
    /// Its workers are in other processes.
    pub separate: bool,
}

impl BrokerTier {
    /// `separate`: its workers are in other processes.
    pub fn start(process: &mut Process, separate: bool) -> Result<Self> {
        let settings = process.settings.broker.clone();
        let contexts = process.contexts.clone();
        let router = contexts.server_socket(zmq::ROUTER, "broker for requesters")?;
        // Sending to a disconnected requester fails, instead of dropping the reply silently.
        router.set_router_mandatory(true)?;
        let max_message_bytes = process.settings.requester.max_message_bytes.usize();
        let limit_bytes = usize::try_from(settings.queue_bytes.get()).unwrap_or(usize::MAX);
        let mark = high_water_mark(limit_bytes, max_message_bytes);
        set_marks(&router, mark)?;
        let address = bind_zmq(&router, settings.bind, settings.port.port(), "broker.port")?;
        let shared = Arc::new(SharedDealer::default());
        let dispatch = watch::Sender::new(settings.dispatch);
        let (dispatcher, backend) = match separate {
            true => separate_dispatcher(process, mark)?,
            false => (dispatcher(process, &shared)?, None),
        };
        let status = process.status(Tier::Broker, false, true);
        status.set_dispatch(settings.dispatch);
        status.set_listens(address);
        let [waiting, workers, bytes]: [Arc<AtomicUsize>; 3] = Default::default();
        if separate && settings.dispatch == Dispatch::LeastBusy {
            let workers = workers.clone();
            status.watch_lack(move || (workers.load(Ordering::Relaxed) == 0).then_some(NO_WORKER));
        }
        let shown = (waiting.clone(), shared.clone(), bytes.clone());
        status.watch_queue(move || shown.0.load(Ordering::Relaxed) + shown.1.queued());
        status.watch_queue_bytes(move || shown.2.load(Ordering::Relaxed));
        let state = Arc::new(Mutex::new(BrokerState {
            router: Socket::attach(router)?,
            dispatch: dispatch.subscribe(),
            dispatcher,
            in_flight: InFlightTable::default(),
            outboxes: Outboxes::new(limit_bytes),
            limit: settings.queue.usize(),
            limit_bytes,
            max_message_bytes,
            forget_after: settings.forget_after.get(),
            detects_worker_loss: !separate || settings.dispatch == Dispatch::LeastBusy,
            status: status.clone(),
            waiting,
            workers,
            bytes,
        }));
        let arbiters = process.arbiter_pool(1, 1)?;
        let spawn = Broker::spawn(move |life| Broker::new(life, &state));
        let pool = process.pool("broker", &arbiters, &status, watch::Sender::new(1), spawn);
        Ok(Self { router: address, backend, pool, status, dispatch, shared, separate })
    }

    /// Refuses new messages; returns when all messages in flight have ended and their replies are sent.
    pub async fn drain(&self) {
        self.status.set_draining();
        // An error means that the supervisor has ended, and its actor with it.
        let _ = self.pool.send(Drain).await;
    }
}

/// The dispatcher for workers of this process, with both strategies, so that dispatch can be switched at runtime.
fn dispatcher(process: &Process, shared: &Arc<SharedDealer>) -> Result<Dispatcher> {
    let contexts = &process.contexts;
    let (dealer, router) = (contexts.inproc_socket(zmq::DEALER)?, contexts.inproc_socket(zmq::ROUTER)?);
    bind(&dealer, inproc_endpoint(Dispatch::RoundRobin))?;
    let round_robin = RoundRobin::new(Socket::attach(dealer)?, Some(shared.clone()));
    bind(&router, inproc_endpoint(Dispatch::LeastBusy))?;
    Ok(Dispatcher::new(process.settings.broker.dispatch, Some(round_robin), Some(least_busy(router, process)?), None))
}

/// The dispatcher for workers in other processes, with the configured strategy only; and its address, if it is TCP.
fn separate_dispatcher(process: &Process, mark: i32) -> Result<(Dispatcher, Option<SocketAddr>)> {
    let settings = &process.settings.broker;
    let is_least_busy = settings.dispatch == Dispatch::LeastBusy;
    let kind = if is_least_busy { zmq::ROUTER } else { zmq::DEALER };
    let socket = process.contexts.server_socket(kind, "broker for workers")?;
    set_marks(&socket, mark)?;
    let endpoint = settings.backend.as_ref().map_or(DEFAULT_BACKEND, |configured| configured.as_str());
    bind(&socket, endpoint).with_context(|| {
        format!("the broker can't listen for workers on {endpoint}: is something else there? Set broker.backend")
    })?;
    let backend = bound(&socket).ok();
    let (round_robin, least_busy) = match is_least_busy {
        true => (None, Some(least_busy(socket, process)?)),
        false => (Some(RoundRobin::new(Socket::attach(socket)?, None)), None),
    };
    let discovery = &process.settings.discovery;
    let heartbeat = Heartbeat { interval: discovery.heartbeat.get(), timeout: discovery.heartbeat_timeout.get() };
    Ok((Dispatcher::new(settings.dispatch, round_robin, least_busy, Some(heartbeat)), backend))
}

/// Sets the socket options that [`LeastBusy::new`] requires.
fn least_busy(router: zmq::Socket, process: &Process) -> Result<LeastBusy> {
    router.set_router_mandatory(true)?;
    Ok(LeastBusy::new(Socket::attach(router)?, process.log.clone()))
}

/// The high-water mark: messages in libzmq's queue of each connection and direction. libzmq does not report their bytes, so the
/// mark bounds them: a queue of the largest messages takes an eighth of `limit_bytes`, or has one message.
fn high_water_mark(limit_bytes: usize, max_message_bytes: usize) -> i32 {
    (limit_bytes / 8 / max_message_bytes).clamp(1, 1_000) as i32
}

fn set_marks(socket: &zmq::Socket, mark: i32) -> zmq::Result<()> {
    socket.set_rcvhwm(mark)?;
    socket.set_sndhwm(mark)
}

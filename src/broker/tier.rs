//! The broker tier, put together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Addr;
use anyhow::{Context, Result};
use tokio::sync::{Mutex, watch};

use super::{BrokerState, Dispatcher, InFlightTable, LeastBusyConfig, Outboxes, run_broker};
use crate::runtime::supervision::{Drain, Factory, Supervisor};
use crate::runtime::zeromq::{Socket, bind};
use crate::runtime::{InstanceStatus, Process, bind_zmq, bound};
use crate::wire::{Dispatch, Tier};

/// Where the workers of this process find their broker under round-robin dispatch.
pub const INPROC: &str = "inproc://workers";

/// Where a separate broker listens for workers by default.
const DEFAULT_BACKEND: &str = "tcp://127.0.0.1:5433";

/// A broker, started.
pub struct BrokerTier {
    /// Where its ROUTER listens.
    pub router: SocketAddr,
    /// Where its DEALER listens, for workers elsewhere.
    pub backend: Option<SocketAddr>,
    pub pool: Addr<Supervisor>,
    pub status: Arc<InstanceStatus>,
    /// How many workers it shall deal to, and does.
    pub workers: watch::Sender<usize>,
    pub released: watch::Receiver<usize>,
    pub dispatch: watch::Sender<Dispatch>,
    /// Its workers are elsewhere.
    pub separate: bool,
}

impl BrokerTier {
    /// `separate`: its workers are elsewhere.
    pub fn start(process: &mut Process, separate: bool) -> Result<Self> {
        let settings = process.settings.broker.clone();
        let contexts = process.contexts.clone();
        let router = contexts.server_socket(zmq::ROUTER, "broker for requesters")?;
        // A reply to a requester that is gone is an error to be told, not silently dropped.
        router.set_router_mandatory(true)?;
        let max_message_bytes = process.settings.requester.max_message_bytes.usize();
        let limit_bytes = usize::try_from(settings.queue_bytes.get()).unwrap_or(usize::MAX);
        let mark = high_water_mark(limit_bytes, max_message_bytes);
        set_marks(&router, mark)?;
        let address = bind_zmq(&router, settings.bind, settings.port.port(), "broker.port")?;
        let workers = watch::Sender::new(process.settings.responder.workers.usize());
        let released = watch::Sender::new(0);
        let released_to = released.subscribe();
        let dealer = match separate {
            true => {
                let dealer = contexts.server_socket(zmq::DEALER, "broker for workers")?;
                set_marks(&dealer, mark)?;
                dealer
            }
            false => contexts.inproc_socket(zmq::DEALER)?,
        };
        let endpoint = match (separate, &settings.backend) {
            (false, _) => INPROC,
            (true, Some(configured)) => configured.as_str(),
            (true, None) => DEFAULT_BACKEND,
        };
        bind(&dealer, endpoint).with_context(|| {
            format!("the broker can't listen for workers on {endpoint}: is something else there? Set broker.backend")
        })?;
        let backend = bound(&dealer).ok();
        let parts = (!separate).then(|| LeastBusyConfig { contexts, size: workers.subscribe(), released });
        let dispatch = watch::Sender::new(settings.dispatch);
        let status = process.status(Tier::Broker, false, true);
        status.set_dispatch(settings.dispatch);
        let (depth, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let shown = (depth.clone(), bytes.clone());
        status.watch_queue(move || shown.0.load(Ordering::Relaxed));
        status.watch_queue_bytes(move || shown.1.load(Ordering::Relaxed));
        let state = Arc::new(Mutex::new(BrokerState {
            router: Socket::attach(router)?,
            dispatcher: Dispatcher::new(dispatch.subscribe(), Socket::attach(dealer)?, parts),
            in_flight: InFlightTable::default(),
            outboxes: Outboxes::new(limit_bytes),
            limit: settings.queue.usize(),
            limit_bytes,
            max_message_bytes,
            forget_after: settings.forget_after.get(),
            workers_elsewhere: separate,
            status: status.clone(),
            depth,
            bytes,
        }));
        let arbiters = process.arbiter_pool(settings.arbiters.usize(), 1)?;
        let factory: Factory = Arc::new(move |slot| Box::pin(run_broker(slot, state.clone())));
        let pool = process.pool("broker", &arbiters, &status, watch::Sender::new(1), factory);
        Ok(Self { router: address, backend, pool, status, workers, released: released_to, dispatch, separate })
    }

    /// Takes no more messages; returns when the reply to each that is here has left.
    pub async fn drain(&self) {
        self.status.set_draining();
        // An error means that the supervisor is gone, and all it kept.
        let _ = self.pool.send(Drain).await;
    }
}

/// Messages that libzmq queues for each connection and direction, where it tells nobody how many bytes those have: the
/// largest ones take an eighth of what the broker may hold. More wait where they are counted, or with their sender.
fn high_water_mark(limit_bytes: usize, max_message_bytes: usize) -> i32 {
    (limit_bytes / 8 / max_message_bytes).clamp(1, 1_000) as i32
}

fn set_marks(socket: &zmq::Socket, mark: i32) -> zmq::Result<()> {
    socket.set_rcvhwm(mark)?;
    socket.set_sndhwm(mark)
}

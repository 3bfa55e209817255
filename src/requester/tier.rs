//! Puts a requester instance together: socket master, connections and workers.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::Addr;
use anyhow::Result;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    ConnectionContext, MasterContext, Memory, OpenConnections, RequestCoordinator, RequesterContext, RequesterSocket,
    RequesterWorker, RetryPolicy, SocketMaster, WorkerQueues,
};
use crate::config::Socket;
use crate::runtime::supervision::{Drain, Supervised, Supervisor};
use crate::runtime::tcp::room;
use crate::runtime::{InstanceStatus, LogLimit, Process, listen};
use crate::wire::Tier;

/// Maximum of `requester.workers`, also for the control call.
pub const MAX_WORKERS: usize = 10_000;

/// A requester instance, started.
pub struct RequesterTier {
    /// Where the socket master listens.
    pub address: SocketAddr,
    pub workers: Addr<Supervisor>,
    pub coordinator: Arc<RequestCoordinator>,
    master: Addr<Supervisor>,
    connections: Addr<Supervisor>,
    /// Cancelled when the instance starts to drain.
    draining: CancellationToken,
    pub status: Arc<InstanceStatus>,
}

impl RequesterTier {
    pub fn start(process: &mut Process) -> Result<Self> {
        let settings = process.settings.requester.clone();
        let listener = listen("the socket master", settings.bind, settings.port.port(), "requester.port")?;
        let address = listener.local_addr()?;
        let status = process.status(Tier::Requester, true, true);
        let arbiters = process.arbiter_pool(settings.arbiters.usize(), 1)?;
        let size = watch::Sender::new(settings.workers.usize());
        let worker_queues = Arc::new(WorkerQueues::new(size.subscribe(), settings.queue.usize()));
        // A quarter for objects that are being read; the rest for requests and replies.
        let max_memory = settings.max_memory_bytes.usize();
        let memory = Arc::new(Memory::new(max_memory - max_memory / 4));
        let queued = worker_queues.clone();
        status.watch_queue(move || queued.waiting());
        let socket = match settings.socket {
            Socket::Req => RequesterSocket::Req,
            Socket::Dealer => RequesterSocket::Dealer(settings.window.usize()),
        };
        status.set_listens(address);
        status.set_window(socket.window());
        let context = Arc::new(RequesterContext {
            socket,
            retry: RetryPolicy { after: settings.retry_after.get(), max_attempts: settings.max_attempts.get() as u32 },
            contexts: process.contexts.clone(),
            brokers: process.follow(&settings.responder, &status),
            status: status.clone(),
            max_message_bytes: settings.max_message_bytes.usize(),
            memory: memory.clone(),
        });
        let draining = CancellationToken::new();
        let coordinator =
            Arc::new(RequestCoordinator::new(status.clone(), worker_queues.clone(), memory, settings.timeout.get()));
        let spawn = RequesterWorker::spawn(move |life| {
            let worker_queue = worker_queues.worker_queue(life.slot.index);
            RequesterWorker::new(life, worker_queue, context.clone())
        });
        let workers = process.pool("requester worker", &arbiters, &status, size, spawn);
        let max_connections = settings.max_connections.usize();
        let connection = Arc::new(ConnectionContext {
            coordinator: coordinator.clone(),
            max_connections,
            max_in_flight: settings.max_in_flight.usize(),
            max_message_bytes: settings.max_message_bytes.usize(),
            room: room(max_memory / 4),
            draining: draining.clone(),
            warnings: LogLimit::default(),
        });
        let connections = process.children("connection", &arbiters, &status);
        let context = Arc::new(MasterContext {
            listener: Mutex::new(Some(listener)),
            open_connections: Arc::new(OpenConnections::new(max_connections)),
            connections: connections.clone(),
            connection,
            heartbeat: process.settings.discovery.heartbeat.get(),
            heartbeat_timeout: process.settings.discovery.heartbeat_timeout.get(),
        });
        let spawn = SocketMaster::spawn(move |life| SocketMaster { life, context: context.clone() });
        let master = process.single("socket master", &arbiters, &status, spawn);
        Ok(Self { address, workers, coordinator, master, connections, draining, status })
    }

    /// Refuses new requests; returns when all requests under way are answered and the workers have ended.
    pub async fn drain(&self) {
        self.status.set_draining();
        self.draining.cancel();
        // An error means that the supervisor has ended, and its actors with it.
        let _ = self.master.send(Drain).await;
        self.coordinator.all_delivered().await;
        // Connections still have to write their outboxes.
        let _ = self.connections.send(Drain).await;
        let _ = self.workers.send(Drain).await;
    }
}

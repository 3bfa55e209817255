//! The requester tier: a socket master and its workers.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::Addr;
use anyhow::Result;
use tokio::sync::watch;

use super::{
    Calls, Lanes, MasterContext, Memory, RequesterContext, RequesterSocket, RetryPolicy, run_requester,
    run_socket_master,
};
use crate::config::Socket;
use crate::runtime::supervision::{Drain, Factory, Supervisor};
use crate::runtime::tcp::room;
use crate::runtime::{Board, LogLimit, Process, listen};
use crate::wire::Tier;

/// The most workers that `requester.workers` allows, and so the control call.
pub const MAX_WORKERS: usize = 10_000;

/// A requester instance, started.
pub struct RequesterTier {
    /// Where the socket master listens.
    pub address: SocketAddr,
    pub workers: Addr<Supervisor>,
    pub calls: Arc<Calls>,
    master: Addr<Supervisor>,
    pub board: Arc<Board>,
}

impl RequesterTier {
    pub fn start(process: &mut Process) -> Result<Self> {
        let settings = process.settings.requester.clone();
        let listener = listen("the socket master", settings.bind, settings.port.port(), "requester.port")?;
        let address = listener.local_addr()?;
        let board = process.board(Tier::Requester, true, true);
        let arbiters = process.arbiter_pool(settings.arbiters.usize(), 1)?;
        let size = watch::Sender::new(settings.workers.usize());
        let lanes = Arc::new(Lanes::new(size.subscribe(), settings.queue.usize()));
        // A quarter for what is still being read; the rest for what is under way.
        let max_memory = settings.max_memory_bytes.usize();
        let memory = Arc::new(Memory::new(max_memory - max_memory / 4));
        let queued = lanes.clone();
        board.watch_queue(move || queued.waiting());
        let context = Arc::new(RequesterContext {
            socket: match settings.socket {
                Socket::Req => RequesterSocket::Req,
                Socket::Dealer => RequesterSocket::Dealer(settings.window.usize()),
            },
            retry: RetryPolicy { after: settings.retry_after.get(), max_attempts: settings.max_attempts.get() as u32 },
            contexts: process.contexts.clone(),
            brokers: process.follow(&settings.responder),
            board: board.clone(),
            max_message_bytes: settings.max_message_bytes.usize(),
            memory: memory.clone(),
        });
        let calls = Arc::new(Calls::new(board.clone(), lanes.clone(), memory, settings.timeout.get()));
        let factory: Factory = Arc::new(move |seat| {
            let lane = lanes.lane(seat.index);
            Box::pin(run_requester(seat, lane, context.clone()))
        });
        let workers = process.pool("requester worker", &arbiters, &board, size, factory);
        let context = Arc::new(MasterContext {
            listener,
            calls: calls.clone(),
            max_connections: settings.max_connections.usize(),
            max_in_flight: settings.max_in_flight.usize(),
            room: room(max_memory / 4),
            warnings: LogLimit::default(),
            max_message_bytes: settings.max_message_bytes.usize(),
            heartbeat: process.settings.discovery.heartbeat.get(),
            heartbeat_timeout: process.settings.discovery.heartbeat_timeout.get(),
        });
        let factory: Factory = Arc::new(move |seat| Box::pin(run_socket_master(seat, context.clone())));
        let master = process.single("socket master", &arbiters, &board, factory);
        Ok(Self { address, workers, calls, master, board })
    }

    /// Takes no more requests; returns when all that are here have been answered and the workers have left.
    pub async fn drain(&self) {
        self.board.set_draining();
        // Errors mean that the supervisors are gone, and all they kept.
        let _ = self.master.send(Drain).await;
        let _ = self.workers.send(Drain).await;
    }
}

//! The socket master: accepts TCP connections of web tiers and starts a [`Connection`] actor for each, on one of the
//! requester's arbiters.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::stream::{Stream, unfold};
use parking_lot::Mutex;
use slog::{Logger, o, warn};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{Connection, ConnectionContext, OpenConnections, too_many_connections};
use crate::runtime::supervision::{Drain, Life, Slot, StartTemporary, Supervised, Supervisor};
use crate::runtime::tcp::keep_alive;
use crate::wire::WorkerState;

/// Wait after a failed `accept`. The usual cause is a lack of file descriptors; connections that end free some.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What the socket master works with. Kept over restarts of the actor.
pub struct MasterContext {
    /// Taken out by `Drain`: then new connections are refused while those that are open end.
    pub listener: Mutex<Option<StdListener>>,
    pub open_connections: Arc<OpenConnections>,
    /// Supervises the connections.
    pub connections: Addr<Supervisor>,
    pub connection: Arc<ConnectionContext>,
    /// TCP keep-alive interval of the connections.
    pub heartbeat: Duration,
    /// Time without an answer after which the kernel closes a connection.
    pub heartbeat_timeout: Duration,
}

/// The actor of the socket master.
pub struct SocketMaster {
    pub life: Life,
    pub context: Arc<MasterContext>,
}

/// A web tier has connected.
struct Accepted(TcpStream, SocketAddr);

impl Actor for SocketMaster {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let listener = self.context.listener.lock().as_ref().map(StdListener::try_clone);
        // None: the socket master before this one died while it drained.
        let Some(listener) = listener else { return self.end(Ok(()), ctx) };
        match listener.and_then(TcpListener::from_std) {
            Ok(listener) => {
                self.life.slot.status.set(WorkerState::Idle, None);
                ctx.add_stream(accepted(listener, &self.life.slot));
            }
            Err(error) => self.end(Err(error.into()), ctx),
        }
    }
}

impl StreamHandler<Accepted> for SocketMaster {
    fn handle(&mut self, Accepted(stream, peer): Accepted, ctx: &mut Self::Context) {
        let log = self.life.slot.log.new(o!("peer" => peer));
        if let Err(error) = self.start_connection(stream, &log, ctx) {
            warn!(log, "cannot use an accepted connection"; "error" => %error);
        }
    }

    /// It drains, and the stream has closed its listener.
    fn finished(&mut self, ctx: &mut Self::Context) {
        self.end(Ok(()), ctx);
    }
}

impl Handler<Drain> for SocketMaster {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        drop(self.context.listener.lock().take());
        self.life.slot.drain.cancel();
    }
}

impl Supervised for SocketMaster {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }
}

impl SocketMaster {
    /// Asks the supervisor to start a `Connection`. Refuses the peer if `requester.max_connections` are open and none is idle.
    fn start_connection(&self, stream: TcpStream, log: &Logger, ctx: &mut Context<Self>) -> io::Result<()> {
        keep_alive(&stream, self.context.heartbeat, self.context.heartbeat_timeout)?;
        let connection = self.context.connection.clone();
        let max = connection.max_connections;
        let Some(connection_permit) = self.context.open_connections.admit(connection.max_in_flight) else {
            if let Some(times) = connection.warnings.allow("too many connections") {
                warn!(log, "refused: too many connections"; "limit" => max, "times" => times);
            }
            ctx.spawn(refuse(stream, max).into_actor(self));
            return Ok(());
        };
        // Detach the stream from this event loop: the actor may run on another arbiter.
        let (stream, log) = (stream.into_std()?, log.clone());
        let start = StartTemporary::new(|life| Connection::new(life, stream, connection_permit, connection, log));
        self.context.connections.do_send(start);
        Ok(())
    }
}

async fn refuse(mut stream: TcpStream, limit: usize) {
    // Best effort: the peer may already have closed the connection.
    let _ = stream.write_all(too_many_connections(limit).to_line().as_bytes()).await;
}

/// The stream of accepted connections. It ends, and closes the listener, when the socket master drains.
fn accepted(listener: TcpListener, slot: &Slot) -> impl Stream<Item = Accepted> + use<> {
    unfold((listener, slot.clone()), async |(listener, slot)| {
        let accepting = async {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => return Accepted(stream, peer),
                    Err(error) => {
                        warn!(slot.log, "cannot accept a connection, trying again"; "error" => %error);
                        sleep(ACCEPT_RETRY).await;
                    }
                }
            }
        };
        let accepted = slot.drain.run_until_cancelled(accepting).await?;
        Some((accepted, (listener, slot)))
    })
}

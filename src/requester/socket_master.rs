//! The socket master: accepts the connections of web tiers. Each becomes a connection of its own, on any of the
//! requester's arbiters.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use slog::{Logger, debug, o, warn};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::{ConnectionContext, OpenConnections, Place, no_place, serve};
use crate::runtime::supervision::{Slot, StartTemporary, Supervisor, WorkError};
use crate::runtime::tcp::keep_alive;
use crate::wire::WorkerState;

/// After a connection could not be accepted, most often for lack of file descriptors: connections that end give some back.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What the socket master works with; it outlives the actor.
pub struct MasterContext {
    pub listener: StdListener,
    pub open_connections: Arc<OpenConnections>,
    /// Supervises the connections.
    pub connections: Addr<Supervisor>,
    pub connection: Arc<ConnectionContext>,
    /// How a dead peer is noticed.
    pub heartbeat: Duration,
    pub heartbeat_timeout: Duration,
}

/// Accepts connections until it is drained.
pub async fn run_socket_master(slot: Slot, context: Arc<MasterContext>) -> Result<(), WorkError> {
    let listener = TcpListener::from_std(context.listener.try_clone()?)?;
    slot.status.set(WorkerState::Idle, None);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = slot.drain.cancelled() => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => take_in(stream, &context, slot.log.new(o!("peer" => peer)))?,
            Err(error) => {
                warn!(slot.log, "a connection can't be accepted"; "error" => %error);
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Has the supervisor of connections serve a connection, or turn it away when `requester.max_connections` are open.
fn take_in(stream: TcpStream, context: &MasterContext, log: Logger) -> Result<(), WorkError> {
    if let Err(error) = keep_alive(&stream, context.heartbeat, context.heartbeat_timeout) {
        warn!(log, "the connection can't be used"; "error" => %error);
        return Ok(());
    }
    // It may go on in another arbiter, with another event loop.
    let stream = stream.into_std()?;
    let connection = context.connection.clone();
    let place = context.open_connections.admit(connection.max_in_flight);
    if place.is_none()
        && let Some(times) = connection.warnings.allow("too many connections")
    {
        warn!(log, "refused: too many connections"; "limit" => connection.max_connections, "times" => times);
    }
    context.connections.do_send(StartTemporary(Box::new(move |slot| {
        Box::pin(async move {
            let stream = TcpStream::from_std(stream)?;
            match place {
                Some(place) => serve_one(stream, place, &connection, &slot, &log).await,
                None => turn_away(stream, connection.max_connections).await,
            }
            Ok(())
        })
    })));
    Ok(())
}

async fn serve_one(stream: TcpStream, place: Place, context: &Arc<ConnectionContext>, slot: &Slot, log: &Logger) {
    debug!(log, "connected");
    serve(stream, &place, context, &slot.drain, log).await;
    debug!(log, "disconnected");
}

async fn turn_away(mut stream: TcpStream, limit: usize) {
    // Best effort: the peer may already have closed the connection.
    let _ = stream.write_all(no_place(limit).to_line().as_bytes()).await;
}

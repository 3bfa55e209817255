//! The socket master: takes requests by TCP and sends their replies back by the connection they came by.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use slog::{Logger, info, o, warn};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;

use super::{Calls, Seat, Sink, WorkError};
use crate::model::{ErrorCode, Frame, Problem, Request, WorkerState};
use crate::transport::{JsonStream, StreamError, keep_alive};

/// Frames that may wait for a slow reader, per connection; then its replies wait in their calls.
const OUTBOX: usize = 256;

/// What the socket master works with; it outlives the actor.
pub struct MasterContext {
    pub listener: StdListener,
    pub calls: Arc<Calls>,
    pub max_connections: usize,
    pub max_message_bytes: usize,
    /// How a dead peer is noticed.
    pub heartbeat: Duration,
    pub heartbeat_timeout: Duration,
}

/// Accepts connections until it is drained; then every call is delivered before the connections are closed.
pub async fn run_socket_master(seat: Seat, context: Arc<MasterContext>) -> Result<(), WorkError> {
    let listener = TcpListener::from_std(context.listener.try_clone()?)?;
    let places = Arc::new(Semaphore::new(context.max_connections));
    let closing = CancellationToken::new();
    // However this function ends, its connections do too: their peers connect again.
    let _close = closing.clone().drop_guard();
    seat.cell.set(WorkerState::Idle, None);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = seat.drain.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most often a lack of file descriptors; the connections that end give some back.
                warn!(seat.log, "a connection can't be accepted"; "error" => %error);
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let log = seat.log.new(o!("peer" => peer));
        let Ok(place) = places.clone().try_acquire_owned() else {
            warn!(log, "refused: too many connections"; "limit" => context.max_connections);
            actix_rt::spawn(turn_away(stream, context.max_connections));
            continue;
        };
        let (context, seat, closing) = (context.clone(), seat.clone(), closing.clone());
        actix_rt::spawn(async move {
            let _place = place;
            info!(log, "connected");
            match keep_alive(&stream, context.heartbeat, context.heartbeat_timeout) {
                Ok(()) => serve(stream, &context, &seat.drain, &closing, &log).await,
                Err(error) => warn!(log, "the connection can't be used"; "error" => %error),
            }
            info!(log, "disconnected");
        });
    }
    context.calls.all_delivered().await;
    Ok(())
}

async fn turn_away(mut stream: TcpStream, limit: usize) {
    let message = format!("this requester has {limit} connections already (requester.max_connections)");
    let frame = Frame::Refused { request_id: None, error: Problem { code: ErrorCode::Overloaded, message } };
    // Whoever does not wait for the reason does not get it.
    let _ = stream.write_all(frame.to_line().as_bytes()).await;
}

/// Serves one connection, until its peer ends it or the closing token is cancelled.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + 'static,
    context: &Arc<MasterContext>,
    drain: &CancellationToken,
    closing: &CancellationToken,
    log: &Logger,
) {
    let (reader, writer) = tokio::io::split(stream);
    let (sink, outbox) = mpsc::channel(OUTBOX);
    let writing = actix_rt::spawn(write(writer, outbox));
    let mut objects = FramedRead::new(reader, JsonStream::new(context.max_message_bytes));
    let mut told_to_drain = false;
    let mut speaks_frames = false;
    loop {
        tokio::select! {
            object = objects.next() => match object {
                Some(Ok(object)) => speaks_frames |= take(&object, &sink, context, log).await,
                Some(Err(error)) => {
                    warn!(log, "the stream can't be read on"; "error" => %error);
                    if !matches!(error, StreamError::Io(_)) {
                        say_no(&sink, None, error.to_string()).await;
                    }
                    break;
                }
                None => break,
            },
            () = drain.cancelled(), if !told_to_drain => {
                told_to_drain = true;
                // The article's web server would take it for a set of replies.
                if speaks_frames {
                    let _ = sink.send(Frame::Draining).await;
                }
            }
            () = closing.cancelled() => break,
        }
    }
    // The calls still running hold a sink each: what they have to say is written before the connection is closed.
    drop(sink);
    drop(writing.await);
}

/// Starts a request; true when its sender knows more than the article's program.
async fn take(object: &Bytes, sink: &Sink, context: &Arc<MasterContext>, log: &Logger) -> bool {
    match Request::parse(object) {
        Ok(request) => {
            let extended = request.is_extended();
            let (context, sink, log) = (context.clone(), sink.clone(), log.clone());
            actix_rt::spawn(async move { context.calls.carry_out(request, sink, &log).await });
            extended
        }
        Err(error) => {
            warn!(log, "not a request"; "error" => %error);
            say_no(sink, Request::id_of(object), format!("not a request: {error}")).await;
            false
        }
    }
}

async fn say_no(sink: &Sink, request_id: Option<String>, message: String) {
    let error = Problem { code: ErrorCode::BadRequest, message };
    let _ = sink.send(Frame::Refused { request_id, error }).await;
}

/// Writes frames until nobody has more to send, or the peer is gone.
async fn write(mut writer: impl AsyncWrite + Unpin, mut outbox: mpsc::Receiver<Frame>) {
    while let Some(frame) = outbox.recv().await {
        let mut lines = frame.to_line();
        // What has come meanwhile goes out in the same write.
        while let Ok(next) = outbox.try_recv() {
            lines.push_str(&next.to_line());
        }
        if writer.write_all(lines.as_bytes()).await.is_err() {
            return;
        }
    }
    let _ = writer.shutdown().await;
}

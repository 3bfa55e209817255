//! A connection of a web tier: requests come by it, and the lines of their replies leave by it.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use slog::{Logger, debug, warn};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Line, OpenConnection, RequestCoordinator, Sink};
use crate::runtime::LogLimit;
use crate::runtime::tcp::{ObjectReader, StreamError};
use crate::wire::{ErrorCode, Frame, Problem, Request};

/// Lines that may wait for a slow reader, per connection; then its replies wait with their requests.
const OUTBOX: usize = 256;

/// Lines that are written at once.
const BATCH: usize = 64;

/// A peer that takes nothing of what is sent to it for so long is given up.
const STALLED: Duration = Duration::from_secs(10);

/// What all connections of an instance work with.
pub struct ConnectionContext {
    pub coordinator: Arc<RequestCoordinator>,
    pub max_connections: usize,
    /// Requests under way on one connection; then no more are read from it.
    pub max_in_flight: usize,
    pub max_message_bytes: usize,
    /// For the large objects that are being read on all connections.
    pub room: Arc<Semaphore>,
    /// Cancelled when the instance takes no more requests.
    pub draining: CancellationToken,
    pub warnings: LogLimit,
}

/// The answer to a peer whose connection is above `requester.max_connections`.
pub fn no_place(limit: usize) -> Frame {
    let message =
        format!("this requester has no place for this connection: {limit} are there (requester.max_connections)");
    Frame::Refused { request_id: None, error: Problem { code: ErrorCode::Overloaded, message } }
}

/// Serves one connection, until its peer ends it, it has to leave, or the closing token is cancelled.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + 'static,
    connection: &OpenConnection,
    context: &ConnectionContext,
    closing: &CancellationToken,
    log: &Logger,
) {
    let (reader, writer) = tokio::io::split(stream);
    let (sink, outbox) = mpsc::channel(OUTBOX);
    let cut_off = CancellationToken::new();
    let mut writing = actix_rt::spawn(write(writer, outbox, cut_off.clone().drop_guard()));
    let mut objects = ObjectReader::new(reader, context.max_message_bytes, context.room.clone());
    let mut told_to_drain = false;
    let mut speaks_frames = false;
    loop {
        tokio::select! {
            object = objects.next() => match object {
                Some(Ok(object)) => {
                    connection.asks();
                    // No more is read while as many requests are under way as may be: TCP slows the sender down.
                    let permit = tokio::select! {
                        permit = connection.requests.clone().acquire_owned() => permit,
                        () = cut_off.cancelled() => break,
                        () = closing.cancelled() => break,
                    };
                    // The semaphore is never closed.
                    let Ok(permit) = permit else { break };
                    speaks_frames |= take(&object, permit, &sink, context, log).await;
                }
                Some(Err(error)) => {
                    if let Some(times) = context.warnings.allow("not readable") {
                        warn!(log, "the stream can't be read on"; "error" => %error, "times" => times);
                    }
                    if !matches!(error, StreamError::Io(_)) {
                        say_no(&sink, None, error.to_string()).await;
                    }
                    break;
                }
                None => break,
            },
            () = context.draining.cancelled(), if !told_to_drain => {
                told_to_drain = true;
                // The article's web server would take it for a set of replies.
                if speaks_frames {
                    let _ = sink.send(Frame::Draining.into()).await;
                }
            }
            () = connection.leave.cancelled() => {
                debug!(log, "an idle connection gives its place to another");
                if speaks_frames {
                    let _ = sink.send(no_place(context.max_connections).into()).await;
                }
                break;
            }
            () = cut_off.cancelled() => break,
            () = closing.cancelled() => break,
        }
    }
    // The requests still under way hold a sink each: what they have to say is written before the connection is closed, unless
    // others need its place meanwhile.
    drop(sink);
    connection.ends();
    let had_to_leave = connection.leave.is_cancelled();
    let written = tokio::select! {
        written = &mut writing => written,
        () = connection.leave.cancelled(), if !had_to_leave => return writing.abort(),
    };
    if let Ok(Err(error)) = written
        && error.kind() == io::ErrorKind::TimedOut
        && let Some(times) = context.warnings.allow("stalled")
    {
        warn!(log, "a peer that takes nothing of what is sent to it is given up"; "error" => %error, "times" => times);
    }
}

/// Starts a request; true when its sender knows more than the article's program.
async fn take(
    object: &Bytes,
    permit: OwnedSemaphorePermit,
    sink: &Sink,
    context: &ConnectionContext,
    log: &Logger,
) -> bool {
    match Request::parse(object) {
        Ok(request) => {
            let extended = request.is_extended();
            context.coordinator.clone().start(request, permit, sink.clone(), log.clone());
            extended
        }
        Err(error) => {
            if let Some(times) = context.warnings.allow("not a request") {
                warn!(log, "not a request"; "error" => %error, "times" => times);
            }
            say_no(sink, Request::id_of(object), format!("not a request: {error}")).await;
            false
        }
    }
}

async fn say_no(sink: &Sink, request_id: Option<String>, message: String) {
    let error = Problem { code: ErrorCode::BadRequest, message };
    // The connection is gone, and with it whoever asked.
    let _ = sink.send(Frame::Refused { request_id, error }.into()).await;
}

/// Writes lines until nobody has more to send, or the peer is gone, or takes nothing for [`STALLED`]. The guard is
/// dropped at the end.
async fn write(
    mut writer: impl AsyncWrite + Unpin,
    mut outbox: mpsc::Receiver<Arc<Line>>,
    _cut_off: tokio_util::sync::DropGuard,
) -> io::Result<()> {
    let mut lines = Vec::new();
    while outbox.recv_many(&mut lines, BATCH).await > 0 {
        // What has come meanwhile goes out in the same write.
        let mut slices: Vec<_> = lines.iter().map(|line| IoSlice::new(line.text.as_bytes())).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match timeout(STALLED, writer.write_vectored(rest)).await?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut rest, written),
            }
        }
        lines.clear();
    }
    timeout(STALLED, writer.shutdown()).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, duplex};

    fn line(bytes: usize) -> Arc<Line> {
        Line::new("x".repeat(bytes), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let cut_off = CancellationToken::new();
        let (mut peer, writer) = duplex(100);
        let (sink, outbox) = mpsc::channel(OUTBOX);
        let writing = tokio::spawn(write(writer, outbox, cut_off.clone().drop_guard()));
        for bytes in [300, 1, 300] {
            sink.send(line(bytes)).await.unwrap();
        }
        let mut buffer = [0; 100];
        let mut read = 0;
        while read < 400 {
            tokio::time::advance(STALLED / 2).await;
            read += peer.read(&mut buffer).await.unwrap();
        }
        assert!(!writing.is_finished() && !cut_off.is_cancelled());
        let error = writing.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(cut_off.is_cancelled(), "the connection is closed");
        assert!(sink.send(line(1)).await.is_err());
    }

    #[tokio::test]
    async fn all_lines_are_written_whole_and_in_order() {
        let (mut peer, writer) = duplex(7);
        let (sink, outbox) = mpsc::channel(OUTBOX);
        let writing = tokio::spawn(write(writer, outbox, CancellationToken::new().drop_guard()));
        let mut expected = String::new();
        let sending = tokio::spawn(async move {
            for number in 0..200 {
                sink.send(Line::new(format!("line {number}\n"), None)).await.unwrap();
            }
        });
        (0..200).for_each(|number| expected += &format!("line {number}\n"));
        let mut text = String::new();
        peer.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, expected);
        sending.await.unwrap();
        writing.await.unwrap().unwrap();
    }
}

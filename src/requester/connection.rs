//! The TCP connection of a web tier: reads requests, and writes the frames of their replies, a line of JSON each.

use std::io::{self, IoSlice};
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use slog::{Logger, debug, warn};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{ConnectionPermit, Line, OpenConnection, RequestCoordinator, Sink};
use crate::runtime::LogLimit;
use crate::runtime::supervision::{Drain, Life, Supervised};
use crate::runtime::tcp::{ObjectReader, StreamError};
use crate::wire::{ErrorCode, Frame, Problem, Request};

/// Maximum lines in a connection's outbox. When it is full, the requests on the connection wait until the peer reads.
const OUTBOX_CAPACITY: usize = 256;

/// Maximum lines in one write.
const BATCH: usize = 64;

/// The connection is closed if the peer reads nothing for this time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What all connections of an instance share.
pub struct ConnectionContext {
    pub coordinator: Arc<RequestCoordinator>,
    pub max_connections: usize,
    /// Maximum requests under way on one connection. At this number the connection stops reading until one ends.
    pub max_in_flight: usize,
    pub max_message_bytes: usize,
    /// Permits for the memory of large objects that are being read, on all connections together.
    pub room: Arc<Semaphore>,
    /// Cancelled when the instance starts to drain.
    pub draining: CancellationToken,
    pub warnings: LogLimit,
}

/// The frame for a peer that is disconnected because `requester.max_connections` are open.
pub fn too_many_connections(limit: usize) -> Frame {
    let message = format!("too many connections: this requester already has {limit} (requester.max_connections)");
    Frame::Refused { request_id: None, error: Problem { code: ErrorCode::Overloaded, message } }
}

/// The actor of an admitted connection. Frames to send go to a bounded outbox and not to the mailbox: while the outbox is full,
/// requests wait, the connection stops reading, and TCP slows the peer down.
pub struct Connection {
    life: Life,
    stream: Option<StdTcpStream>,
    connection_permit: ConnectionPermit,
    context: Arc<ConnectionContext>,
    /// The outbox. `None` once the connection has stopped reading: then only requests under way hold senders.
    sink: Option<Sink>,
    reading: SpawnHandle,
    /// The peer has sent an extended request, so it reads frames that the article's program does not know.
    is_extended: bool,
    log: Logger,
}

/// A JSON object that has been read, with the permit for its request; or why the stream cannot be read any further.
struct Incoming(Result<(Bytes, OwnedSemaphorePermit), StreamError>);

impl Connection {
    pub fn new(
        life: Life,
        stream: StdTcpStream,
        connection_permit: ConnectionPermit,
        context: Arc<ConnectionContext>,
        log: Logger,
    ) -> Self {
        let reading = SpawnHandle::default();
        Self { life, stream: Some(stream), connection_permit, context, sink: None, reading, is_extended: false, log }
    }

    /// Starts the reader and the writer.
    fn open(&mut self, ctx: &mut Context<Self>) -> io::Result<()> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let (reader, writer) = TcpStream::from_std(stream)?.into_split();
        let (sink, outbox) = mpsc::channel(OUTBOX_CAPACITY);
        self.sink = Some(sink);
        let objects = ObjectReader::new(reader, self.context.max_message_bytes, self.context.room.clone());
        self.reading = ctx.add_stream(requests(objects, self.connection_permit.connection()));
        ctx.spawn(write(writer, outbox).into_actor(self).map(|written, actor, ctx| actor.on_write_end(written, ctx)));
        let (draining, evicted) = (self.context.draining.clone(), self.connection_permit.evicted.clone());
        ctx.spawn(
            draining
                .cancelled_owned()
                .into_actor(self)
                .map(|(), actor, ctx| actor.send_if_extended(Frame::Draining, ctx)),
        );
        ctx.spawn(evicted.cancelled_owned().into_actor(self).map(|(), actor, ctx| actor.on_evicted(ctx)));
        Ok(())
    }

    /// Sends a frame to a swarmq peer only: the article's web server would parse it as a set of replies.
    fn send_if_extended(&mut self, frame: Frame, ctx: &mut Context<Self>) {
        if self.is_extended {
            self.send(frame, (), ctx);
        }
    }

    /// Queues a frame when the outbox has room, then drops `guard`.
    fn send(&mut self, frame: Frame, guard: impl Sized + 'static, ctx: &mut Context<Self>) {
        if let Some(sink) = self.sink.clone() {
            let sending = async move {
                // An error means that the connection is closed, so that nobody waits for the frame.
                let _ = sink.send(frame.into()).await;
                drop(guard);
            };
            ctx.spawn(sending.into_actor(self));
        }
    }

    fn refuse(
        &mut self,
        request_id: Option<String>,
        message: String,
        guard: impl Sized + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.send(Frame::Refused { request_id, error: Problem { code: ErrorCode::BadRequest, message } }, guard, ctx);
    }

    /// Stops reading. Requests under way still hold senders of the outbox, so the writer sends their frames before the
    /// connection closes; it closes earlier if a new connection needs its permit.
    fn stop_reading(&mut self, ctx: &mut Context<Self>) {
        ctx.cancel_future(self.reading);
        self.sink = None;
        self.connection_permit.set_input_ended();
    }

    /// A new connection has taken this one's permit, because this one is idle.
    fn on_evicted(&mut self, ctx: &mut Context<Self>) {
        if self.sink.is_none() {
            return self.end(Ok(()), ctx);
        }
        debug!(self.log, "closing an idle connection to admit a new one");
        self.send_if_extended(too_many_connections(self.context.max_connections), ctx);
        self.stop_reading(ctx);
    }

    /// The writer has ended: everything is written, or the peer does not read.
    fn on_write_end(&mut self, written: io::Result<()>, ctx: &mut Context<Self>) {
        if let Err(error) = written
            && error.kind() == io::ErrorKind::TimedOut
            && let Some(times) = self.context.warnings.allow("stalled")
        {
            warn!(self.log, "disconnected a peer that does not read"; "error" => %error, "times" => times);
        }
        debug!(self.log, "disconnected");
        self.end(Ok(()), ctx);
    }
}

impl Actor for Connection {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        debug!(self.log, "connected");
        if let Err(error) = self.open(ctx) {
            self.end(Err(error.into()), ctx);
        }
    }
}

impl StreamHandler<Incoming> for Connection {
    fn handle(&mut self, Incoming(incoming): Incoming, ctx: &mut Self::Context) {
        match incoming {
            Ok((object, permit)) => match Request::parse(&object) {
                Ok(request) => {
                    self.is_extended |= request.is_extended();
                    let Some(sink) = self.sink.clone() else { return };
                    self.context.coordinator.clone().start(request, permit, sink, self.log.clone());
                }
                Err(error) => {
                    if let Some(times) = self.context.warnings.allow("not a request") {
                        warn!(self.log, "not a request"; "error" => %error, "times" => times);
                    }
                    self.refuse(Request::id_of(&object), format!("not a request: {error}"), permit, ctx);
                }
            },
            Err(error) => {
                if let Some(times) = self.context.warnings.allow("not readable") {
                    warn!(self.log, "cannot read any further from a connection"; "error" => %error, "times" => times);
                }
                if !matches!(error, StreamError::Io(_)) {
                    self.refuse(None, error.to_string(), (), ctx);
                }
                self.stop_reading(ctx);
            }
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.stop_reading(ctx);
    }
}

impl Handler<Drain> for Connection {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.stop_reading(ctx);
    }
}

impl Supervised for Connection {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }
}

/// The stream of a connection's JSON objects. Each waits for a permit; until it has one, nothing more is read, and TCP slows
/// the peer down.
fn requests(
    objects: ObjectReader<impl AsyncRead + Unpin>,
    connection: Arc<OpenConnection>,
) -> impl Stream<Item = Incoming> {
    unfold((objects, connection), async |(mut objects, connection)| {
        let incoming = match objects.next().await? {
            Ok(object) => {
                connection.record_request();
                // The semaphore is never closed.
                let permit = connection.requests.clone().acquire_owned().await.ok()?;
                Ok((object, permit))
            }
            Err(error) => Err(error),
        };
        Some((Incoming(incoming), (objects, connection)))
    })
}

/// Writes lines until all senders are dropped. Fails if the peer has disconnected, or reads nothing for [`WRITE_TIMEOUT`].
async fn write(mut writer: impl AsyncWrite + Unpin, mut outbox: mpsc::Receiver<Arc<Line>>) -> io::Result<()> {
    let mut lines = Vec::new();
    while outbox.recv_many(&mut lines, BATCH).await > 0 {
        // All lines that are queued go into the same write.
        let mut slices: Vec<_> = lines.iter().map(|line| IoSlice::new(line.text.as_bytes())).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match timeout(WRITE_TIMEOUT, writer.write_vectored(rest)).await?? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut rest, written),
            }
        }
        lines.clear();
    }
    timeout(WRITE_TIMEOUT, writer.shutdown()).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, duplex};

    fn line(bytes: usize) -> Arc<Line> {
        Line::new("x".repeat(bytes), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_nothing_is_disconnected_and_a_slow_one_is_not() {
        let (mut peer, writer) = duplex(100);
        let (sink, outbox) = mpsc::channel(OUTBOX_CAPACITY);
        let writing = tokio::spawn(write(writer, outbox));
        for bytes in [300, 1, 300] {
            sink.send(line(bytes)).await.unwrap();
        }
        let mut buffer = [0; 100];
        let mut read = 0;
        while read < 400 {
            tokio::time::advance(WRITE_TIMEOUT / 2).await;
            read += peer.read(&mut buffer).await.unwrap();
        }
        assert!(!writing.is_finished());
        let error = writing.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(sink.send(line(1)).await.is_err());
    }

    #[tokio::test]
    async fn all_lines_are_written_whole_and_in_order() {
        let (mut peer, writer) = duplex(7);
        let (sink, outbox) = mpsc::channel(OUTBOX_CAPACITY);
        let writing = tokio::spawn(write(writer, outbox));
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

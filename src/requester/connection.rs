//! A connection of a web tier: requests come by it, and the lines of their replies leave by it.

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

use super::{Line, OpenConnection, Place, RequestCoordinator, Sink};
use crate::runtime::LogLimit;
use crate::runtime::supervision::{Crash, Drain, Life, Supervised};
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

/// A connection with a place. What it sends waits in a queue that its writer reads, and not in its mailbox: the requests under way
/// wait while that is full, and so does TCP.
pub struct Connection {
    life: Life,
    stream: Option<StdTcpStream>,
    place: Place,
    context: Arc<ConnectionContext>,
    /// None when nothing more is read; then the requests under way hold the others.
    sink: Option<Sink>,
    reading: SpawnHandle,
    speaks_frames: bool,
    log: Logger,
}

/// An object that has come, and the permit for its request.
#[derive(Message)]
#[rtype("()")]
struct Incoming(Result<(Bytes, OwnedSemaphorePermit), StreamError>);

impl Connection {
    pub fn new(life: Life, stream: StdTcpStream, place: Place, context: Arc<ConnectionContext>, log: Logger) -> Self {
        let reading = SpawnHandle::default();
        Self { life, stream: Some(stream), place, context, sink: None, reading, speaks_frames: false, log }
    }

    /// Starts to read and to write.
    fn open(&mut self, ctx: &mut Context<Self>) -> io::Result<()> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let (reader, writer) = TcpStream::from_std(stream)?.into_split();
        let (sink, outbox) = mpsc::channel(OUTBOX);
        self.sink = Some(sink);
        let objects = ObjectReader::new(reader, self.context.max_message_bytes, self.context.room.clone());
        self.reading = ctx.add_stream(requests(objects, self.place.connection()));
        ctx.spawn(write(writer, outbox).into_actor(self).map(|written, actor, ctx| actor.written(written, ctx)));
        let (draining, leave) = (self.context.draining.clone(), self.place.leave.clone());
        ctx.spawn(draining.cancelled_owned().into_actor(self).map(|(), actor, ctx| actor.tell(Frame::Draining, ctx)));
        ctx.spawn(leave.cancelled_owned().into_actor(self).map(|(), actor, ctx| actor.give_place(ctx)));
        Ok(())
    }

    /// Tells a peer that knows more than the article's program; its web server would take it for a set of replies.
    fn tell(&mut self, frame: Frame, ctx: &mut Context<Self>) {
        if self.speaks_frames {
            self.send(frame, (), ctx);
        }
    }

    /// Sends a frame when there is room for it; `held` until then.
    fn send(&mut self, frame: Frame, held: impl Sized + 'static, ctx: &mut Context<Self>) {
        if let Some(sink) = self.sink.clone() {
            let sending = async move {
                // The connection is gone, and with it whoever asked.
                let _ = sink.send(frame.into()).await;
                drop(held);
            };
            ctx.spawn(sending.into_actor(self));
        }
    }

    fn refuse(
        &mut self,
        request_id: Option<String>,
        message: String,
        held: impl Sized + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.send(Frame::Refused { request_id, error: Problem { code: ErrorCode::BadRequest, message } }, held, ctx);
    }

    /// Reads no more. The requests still under way hold a sink each: what they have to say is written before the connection is
    /// closed, unless others need its place meanwhile.
    fn stop_reading(&mut self, ctx: &mut Context<Self>) {
        ctx.cancel_future(self.reading);
        self.sink = None;
        self.place.ends();
    }

    /// Another connection needs this one's place.
    fn give_place(&mut self, ctx: &mut Context<Self>) {
        if self.sink.is_none() {
            return self.end(Ok(()), ctx);
        }
        debug!(self.log, "an idle connection gives its place to another");
        self.tell(no_place(self.context.max_connections), ctx);
        self.stop_reading(ctx);
    }

    /// There is nothing more to write, or nobody takes it.
    fn written(&mut self, written: io::Result<()>, ctx: &mut Context<Self>) {
        if let Err(error) = written
            && error.kind() == io::ErrorKind::TimedOut
            && let Some(times) = self.context.warnings.allow("stalled")
        {
            warn!(self.log, "a peer that takes nothing of what is sent to it is given up"; "error" => %error, "times" => times);
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
                    self.speaks_frames |= request.is_extended();
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
                    warn!(self.log, "the stream can't be read on"; "error" => %error, "times" => times);
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

impl Handler<Crash> for Connection {
    type Result = ();

    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crashed on request");
    }
}

impl Supervised for Connection {
    fn life(&mut self) -> &mut Life {
        &mut self.life
    }
}

/// The objects of a connection. No more is read while as many requests are under way as may be: TCP slows the sender down.
fn requests(
    objects: ObjectReader<impl AsyncRead + Unpin>,
    connection: Arc<OpenConnection>,
) -> impl Stream<Item = Incoming> {
    unfold((objects, connection), async |(mut objects, connection)| {
        let incoming = match objects.next().await? {
            Ok(object) => {
                connection.asks();
                // The semaphore is never closed.
                let permit = connection.requests.clone().acquire_owned().await.ok()?;
                Ok((object, permit))
            }
            Err(error) => Err(error),
        };
        Some((Incoming(incoming), (objects, connection)))
    })
}

/// Writes lines until nobody has more to send, or the peer is gone, or takes nothing for [`STALLED`].
async fn write(mut writer: impl AsyncWrite + Unpin, mut outbox: mpsc::Receiver<Arc<Line>>) -> io::Result<()> {
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
        let (mut peer, writer) = duplex(100);
        let (sink, outbox) = mpsc::channel(OUTBOX);
        let writing = tokio::spawn(write(writer, outbox));
        for bytes in [300, 1, 300] {
            sink.send(line(bytes)).await.unwrap();
        }
        let mut buffer = [0; 100];
        let mut read = 0;
        while read < 400 {
            tokio::time::advance(STALLED / 2).await;
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
        let (sink, outbox) = mpsc::channel(OUTBOX);
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

//! The TCP connection of a link: sends requests and receives frames.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use nix::errno::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout};
use tokio_util::codec::FramedRead;

use super::ConnectFailure;
use crate::runtime::tcp::{JsonStream, StreamError, keep_alive};
use crate::wire::{ErrorCode, Frame};

/// Wait for a refusal on a new connection. A requester that has too many connections sends an error, or closes the connection,
/// within this time; others send nothing at first.
const PROBATION: Duration = Duration::from_millis(50);

/// Bytes that wait to be written, from which on requests stay in the link's queue.
const MAX_UNSENT: usize = 64 << 10;

/// Options of connections to requesters.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    pub connect_timeout: Duration,
    /// TCP keep-alive interval.
    pub heartbeat: Duration,
    /// Time without an answer after which the kernel closes a connection.
    pub heartbeat_timeout: Duration,
    /// Maximum size of a frame from a requester, in bytes.
    pub largest_frame: usize,
}

/// Why a connection was not opened.
#[derive(Debug)]
pub enum NotOpen {
    /// It could not be made.
    Failed(ConnectFailure),
    /// The requester refused or closed it; the reason.
    Lost(String),
}

/// A connection that the requester has not refused.
pub struct Connection<R = OwnedReadHalf, W = OwnedWriteHalf> {
    frames: FramedRead<R, JsonStream>,
    writer: W,
    unsent: BytesMut,
    since: Instant,
    /// A frame has arrived that was not a refusal of the connection.
    healthy: bool,
    /// The requester has sent that it is shutting down.
    pub draining: bool,
    /// The reason of the requester for closing the connection, if it has sent one.
    pub refusal: Option<String>,
}

/// An event of a connection.
#[derive(Debug)]
pub enum Came {
    Frame(Frame),
    /// Requests can be sent again.
    Room,
}

impl Connection {
    /// Connects, and waits a moment for a refusal. Also returns the first frame, if it has arrived.
    pub async fn open(address: SocketAddr, options: ConnectOptions) -> Result<(Self, Option<Frame>), NotOpen> {
        let connecting = timeout(options.connect_timeout, TcpStream::connect(address)).await;
        let stream = connecting.unwrap_or_else(|_| Err(Errno::ETIMEDOUT.into()));
        let prepared = stream.and_then(|stream| {
            keep_alive(&stream, options.heartbeat, options.heartbeat_timeout)?;
            Ok(stream)
        });
        let failed = |error: io::Error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
            NotOpen::Failed(ConnectFailure::of(address, errno, None))
        };
        let (reader, writer) = prepared.map_err(failed)?.into_split();
        let mut connection = Self::new(reader, writer, options.largest_frame);
        let first = connection.probation(options.connect_timeout).await.map_err(NotOpen::Lost)?;
        Ok((connection, first))
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    fn new(reader: R, writer: W, largest_frame: usize) -> Self {
        Self {
            frames: FramedRead::new(reader, JsonStream::new(largest_frame)),
            writer,
            unsent: BytesMut::new(),
            since: Instant::now(),
            healthy: false,
            draining: false,
            refusal: None,
        }
    }

    /// Waits for the first frame for [`PROBATION`], or for `longest` if it has arrived in part. An error: the requester has
    /// refused or closed the connection.
    async fn probation(&mut self, longest: Duration) -> Result<Option<Frame>, String> {
        let mut first = timeout(PROBATION, self.frames.next()).await;
        if first.is_err() && !self.frames.read_buffer().is_empty() {
            first = timeout(longest, self.frames.next()).await;
        }
        let Ok(first) = first else { return Ok(None) };
        let frame = frame(first)?;
        match refusal(&frame) {
            Some(reason) => Err(reason),
            None => Ok(Some(frame)),
        }
    }

    /// True if a request can be sent.
    pub fn has_room(&self) -> bool {
        self.unsent.len() < MAX_UNSENT
    }

    /// Queues a line, to be written when the peer reads.
    pub fn send(&mut self, line: &str) {
        self.unsent.extend_from_slice(line.as_bytes());
    }

    /// Updates the state of the connection by a frame.
    pub fn note(&mut self, frame: &Frame) {
        self.healthy |= !matches!(frame, Frame::Refused { request_id: None, .. });
        self.draining |= matches!(frame, Frame::Draining);
        self.refusal = refusal(frame).or(self.refusal.take());
    }

    /// True if the connection has worked, or lasted for `lasting`. That it was opened does not count: a requester with too many
    /// connections accepts further ones and closes them.
    pub fn was_of_use(&self, lasting: Duration) -> bool {
        self.healthy || self.since.elapsed() >= lasting
    }

    /// Writes, and is ready with the next event; an error is the reason of the end. Reads also while it cannot write, because the
    /// requester may stop reading until its replies are read.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Came, String>> {
        let had_room = self.has_room();
        if let Err(error) = self.write(cx) {
            return Poll::Ready(Err(self.refusal.take().unwrap_or_else(|| error.to_string())));
        }
        if !had_room && self.has_room() {
            return Poll::Ready(Ok(Came::Room));
        }
        let next = ready!(self.frames.poll_next_unpin(cx));
        Poll::Ready(frame(next).map(Came::Frame).map_err(|reason| self.refusal.take().unwrap_or(reason)))
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.writer).poll_write(cx, &self.unsent) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.unsent.advance(written?),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

/// The reason in a frame with which a requester refuses the connection.
fn refusal(frame: &Frame) -> Option<String> {
    match frame {
        Frame::Refused { request_id: None, error } if error.code == ErrorCode::Overloaded => {
            Some(format!("the requester refused the connection: {}", error.message))
        }
        _ => None,
    }
}

/// Parses a frame. An error is the reason of the connection's end.
fn frame(next: Option<Result<bytes::Bytes, StreamError>>) -> Result<Frame, String> {
    match next {
        Some(Ok(object)) => {
            Frame::parse(&object).map_err(|error| format!("the requester sent an object that is not a frame: {error}"))
        }
        Some(Err(StreamError::NotAnObject(byte))) => {
            Err(format!("the program at that address is not a requester: it sent {byte:?} where a JSON object begins"))
        }
        Some(Err(StreamError::TooLarge(bytes))) => Err(format!(
            "the requester sent a frame larger than {bytes} bytes (8 times requester.max_message_bytes, at least 8 MiB)"
        )),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the requester closed the connection".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};

    use super::*;

    /// A connection, and the requester's end of it.
    fn connection(buffer: usize) -> (DuplexStream, Connection<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>) {
        let (peer, ours) = duplex(buffer);
        let (reader, writer) = split(ours);
        (peer, Connection::new(reader, writer, 1_000))
    }

    const DRAINING: &[u8] = br#"{"draining":true}"#;
    const NO_PLACE: &[u8] = br#"{"error":{"code":"overloaded","message":"no place"}}"#;

    #[tokio::test(start_paused = true)]
    async fn a_silent_requester_keeps_the_connection_and_a_refusal_has_its_reason() {
        let (_peer, mut silent) = connection(1_000);
        assert!(matches!(silent.probation(PROBATION).await, Ok(None)));
        let (mut peer, mut full) = connection(1_000);
        peer.write_all(NO_PLACE).await.unwrap();
        assert_eq!(full.probation(PROBATION).await.unwrap_err(), "the requester refused the connection: no place");
        let (peer, mut closed) = connection(1_000);
        drop(peer);
        assert_eq!(closed.probation(PROBATION).await.unwrap_err(), "the requester closed the connection");
    }

    #[tokio::test]
    async fn frames_are_read_while_nothing_can_be_written_and_room_is_reported() {
        let (mut peer, mut connection) = connection(100);
        let line = "x".repeat(MAX_UNSENT + 200);
        connection.send(&line);
        peer.write_all(DRAINING).await.unwrap();
        let came = poll_fn(|cx| connection.poll(cx)).await.unwrap();
        assert!(matches!(came, Came::Frame(Frame::Draining)) && !connection.has_room(), "{came:?}");
        let reading = tokio::spawn(async move {
            let mut read = vec![0; MAX_UNSENT + 200];
            peer.read_exact(&mut read).await
        });
        assert!(matches!(poll_fn(|cx| connection.poll(cx)).await, Ok(Came::Room)));
        // The rest is written while it waits for the end.
        let ended = poll_fn(|cx| connection.poll(cx)).await.unwrap_err();
        assert_eq!(ended, "the requester closed the connection");
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_refusal_is_the_reason_of_the_end() {
        let (mut peer, mut connection) = connection(1_000);
        peer.write_all(NO_PLACE).await.unwrap();
        drop(peer);
        let Ok(Came::Frame(frame)) = poll_fn(|cx| connection.poll(cx)).await else { panic!() };
        connection.note(&frame);
        assert!(!connection.was_of_use(Duration::from_secs(1)));
        assert_eq!(
            poll_fn(|cx| connection.poll(cx)).await.unwrap_err(),
            "the requester refused the connection: no place"
        );
    }
}

//! The connection of a link: requests leave by it, frames come.

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

/// A requester without a place for this connection says so, or hangs up, within this time. Else all is silent.
const PROBATION: Duration = Duration::from_millis(50);

/// Bytes that may wait to be written; then requests wait for their turn.
const UNSENT: usize = 64 << 10;

/// How connections are made, and what is taken from them.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOptions {
    pub connect_timeout: Duration,
    pub heartbeat: Duration,
    pub heartbeat_timeout: Duration,
    /// The largest frame taken from a requester, in bytes.
    pub largest_frame: usize,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NotOpen {
    /// It could not be made.
    Failed(ConnectFailure),
    /// The requester did not keep it; the reason.
    Lost(String),
}

/// A connection to a requester that keeps it.
pub struct Connection<R = OwnedReadHalf, W = OwnedWriteHalf> {
    frames: FramedRead<R, JsonStream>,
    writer: W,
    unsent: BytesMut,
    since: Instant,
    /// Something came by it that only a requester at work says.
    healthy: bool,
    /// The requester said that it is shutting down.
    pub draining: bool,
    /// Why the requester is about to close it, by its own words.
    pub farewell: Option<String>,
}

/// What happens on a connection.
#[derive(Debug)]
pub enum Came {
    Frame(Frame),
    /// There is room for requests again.
    Room,
}

impl Connection {
    /// Connects, and waits a moment for what a requester says that has no place; the first frame, if one came.
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
            farewell: None,
        }
    }

    /// The frame that comes at once, if one does; what it says if that is a farewell.
    async fn probation(&mut self, longest: Duration) -> Result<Option<Frame>, String> {
        let mut first = timeout(PROBATION, self.frames.next()).await;
        if first.is_err() && !self.frames.read_buffer().is_empty() {
            // It has begun to say something.
            first = timeout(longest, self.frames.next()).await;
        }
        let Ok(first) = first else { return Ok(None) };
        let frame = frame(first)?;
        match farewell(&frame) {
            Some(words) => Err(words),
            None => Ok(Some(frame)),
        }
    }

    /// Whether a request can be sent.
    pub fn has_room(&self) -> bool {
        self.unsent.len() < UNSENT
    }

    /// Sends a line, when the peer takes it.
    pub fn send(&mut self, line: &str) {
        self.unsent.extend_from_slice(line.as_bytes());
    }

    /// Notes what a frame says of the requester.
    pub fn note(&mut self, frame: &Frame) {
        self.healthy |= !matches!(frame, Frame::Refused { request_id: None, .. });
        self.draining |= matches!(frame, Frame::Draining);
        self.farewell = farewell(frame).or(self.farewell.take());
    }

    /// Whether it was of use: that it could be made is no sign of health, as a full requester accepts and closes.
    pub fn was_of_use(&self, lasting: Duration) -> bool {
        self.healthy || self.since.elapsed() >= lasting
    }

    /// Writes, and waits for what happens; an error is its end. Reads also while it can't write: a requester that reads no more
    /// until its replies are read would wait for ever.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Came, String>> {
        let had_room = self.has_room();
        if let Err(error) = self.write(cx) {
            return Poll::Ready(Err(self.farewell.take().unwrap_or_else(|| error.to_string())));
        }
        if !had_room && self.has_room() {
            return Poll::Ready(Ok(Came::Room));
        }
        let next = ready!(self.frames.poll_next_unpin(cx));
        Poll::Ready(frame(next).map(Came::Frame).map_err(|reason| self.farewell.take().unwrap_or(reason)))
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

/// What a requester says that is about to close the connection for good.
fn farewell(frame: &Frame) -> Option<String> {
    match frame {
        Frame::Refused { request_id: None, error } if error.code == ErrorCode::Overloaded => {
            Some(format!("the requester says: {}", error.message))
        }
        _ => None,
    }
}

/// A frame, or why none will come any more.
fn frame(next: Option<Result<bytes::Bytes, StreamError>>) -> Result<Frame, String> {
    match next {
        Some(Ok(object)) => {
            Frame::parse(&object).map_err(|error| format!("the requester sent what is no frame: {error}"))
        }
        Some(Err(StreamError::NotAnObject(byte))) => {
            Err(format!("what listens there is no requester: it sent {byte:?} where a JSON object begins"))
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
    async fn who_says_nothing_keeps_the_connection_and_who_has_no_place_is_understood() {
        let (_peer, mut silent) = connection(1_000);
        assert!(matches!(silent.probation(PROBATION).await, Ok(None)));
        let (mut peer, mut full) = connection(1_000);
        peer.write_all(NO_PLACE).await.unwrap();
        assert_eq!(full.probation(PROBATION).await.unwrap_err(), "the requester says: no place");
        let (peer, mut closed) = connection(1_000);
        drop(peer);
        assert_eq!(closed.probation(PROBATION).await.unwrap_err(), "the requester closed the connection");
    }

    #[tokio::test]
    async fn frames_are_read_while_nothing_can_be_written_and_room_is_told() {
        let (mut peer, mut connection) = connection(100);
        let line = "x".repeat(UNSENT + 200);
        connection.send(&line);
        peer.write_all(DRAINING).await.unwrap();
        let came = poll_fn(|cx| connection.poll(cx)).await.unwrap();
        assert!(matches!(came, Came::Frame(Frame::Draining)) && !connection.has_room(), "{came:?}");
        let reading = tokio::spawn(async move {
            let mut read = vec![0; UNSENT + 200];
            peer.read_exact(&mut read).await
        });
        assert!(matches!(poll_fn(|cx| connection.poll(cx)).await, Ok(Came::Room)));
        // The rest is written while it waits for the end.
        let ended = poll_fn(|cx| connection.poll(cx)).await.unwrap_err();
        assert_eq!(ended, "the requester closed the connection");
        reading.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_last_words_are_the_reason_of_the_end() {
        let (mut peer, mut connection) = connection(1_000);
        peer.write_all(NO_PLACE).await.unwrap();
        drop(peer);
        let Ok(Came::Frame(frame)) = poll_fn(|cx| connection.poll(cx)).await else { panic!() };
        connection.note(&frame);
        assert!(!connection.was_of_use(Duration::from_secs(1)));
        assert_eq!(poll_fn(|cx| connection.poll(cx)).await.unwrap_err(), "the requester says: no place");
    }
}

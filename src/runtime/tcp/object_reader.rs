//! JSON objects from peers that are not trusted: what is half read is bounded in bytes, over all connections, and in time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::Decoder;

use super::{JsonStream, StreamError};

/// What a connection may read of an object without asking for room, in bytes: as large as requests are by default.
const FREE: usize = 64 << 10;

/// Most bytes that are read at once.
const CHUNK: usize = 8 << 10;

/// Longest time from an object's first byte to its last.
const TIME: Duration = Duration::from_secs(10);

/// Room for large objects is counted in these, in bytes.
const UNIT: usize = 1_024;

/// Reads the objects of one connection.
pub struct ObjectReader<R> {
    reader: R,
    buffer: BytesMut,
    stream: JsonStream,
    /// Of all connections.
    room: Arc<Semaphore>,
    /// The room that the largest object needs.
    needed: u32,
    hold: Option<OwnedSemaphorePermit>,
    began: Option<Instant>,
}

impl<R: AsyncRead + Unpin> ObjectReader<R> {
    /// Takes objects of up to `max_bytes` bytes; those above 64 KiB only while there is [`room`] for them.
    pub fn new(reader: R, max_bytes: usize, room: Arc<Semaphore>) -> Self {
        let (buffer, stream) = (BytesMut::new(), JsonStream::new(max_bytes));
        Self { reader, buffer, stream, room, needed: units(max_bytes) as u32, hold: None, began: None }
    }

    /// The next object; none at the end of the stream. After an error the connection must be closed. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> Option<Result<Bytes, StreamError>> {
        loop {
            match self.stream.decode(&mut self.buffer) {
                Ok(Some(object)) => {
                    self.began = None;
                    if self.hold.take().is_some() {
                        // Its place in the buffer was the large object's.
                        self.buffer = BytesMut::from(&self.buffer[..]);
                    }
                    return Some(Ok(object));
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            if self.hold.is_none() && self.buffer.len() + CHUNK > FREE {
                // All that it can need, at once: of those with a part of it each would wait for the others.
                self.hold = self.room.clone().acquire_many_owned(self.needed).await.ok();
                // Waiting for others was not its fault.
                self.began = Some(Instant::now());
            }
            match self.read().await {
                Ok(0) => return self.stream.decode_eof(&mut self.buffer).transpose(),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    async fn read(&mut self) -> Result<usize, StreamError> {
        self.buffer.reserve(CHUNK);
        let mut chunk = (&mut self.buffer).limit(CHUNK);
        let idle = chunk.get_ref().is_empty();
        let reading = self.reader.read_buf(&mut chunk);
        if idle {
            self.began = None;
            return Ok(reading.await?);
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        match timeout_at(began + TIME, reading).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(StreamError::Unfinished(TIME)),
        }
    }
}

/// Room for large objects that are being read, of so many bytes in all.
pub fn room(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / UNIT))
}

fn units(bytes: usize) -> usize {
    bytes / UNIT + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::poll;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    const LARGEST: usize = 1 << 20;

    fn reader(room: &Arc<Semaphore>) -> (DuplexStream, ObjectReader<DuplexStream>) {
        let (writer, reader) = duplex(4 * LARGEST);
        (writer, ObjectReader::new(reader, LARGEST, room.clone()))
    }

    fn object(bytes: usize) -> String {
        format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes))
    }

    #[tokio::test(start_paused = true)]
    async fn large_objects_wait_for_their_turn_and_small_ones_do_not() {
        let room = room(LARGEST + UNIT);
        let ((mut first, mut reads_first), (mut second, mut reads_second)) = (reader(&room), reader(&room));
        let large = object(200_000);
        first.write_all(&large.as_bytes()[..100_000]).await.unwrap();
        let mut one = Box::pin(reads_first.next());
        assert!(poll!(&mut one).is_pending());
        second.write_all(large.as_bytes()).await.unwrap();
        let mut two = Box::pin(reads_second.next());
        assert!(poll!(&mut two).is_pending(), "the first has the room");
        let (mut third, mut reads_third) = reader(&room);
        let small = object(50_000);
        third.write_all(small.as_bytes()).await.unwrap();
        assert_eq!(reads_third.next().await.unwrap().unwrap(), small);
        first.write_all(&large.as_bytes()[100_000..]).await.unwrap();
        assert_eq!(one.await.unwrap().unwrap(), large);
        assert_eq!(two.await.unwrap().unwrap(), large);
        drop((reads_first, reads_second));
        assert_eq!(room.available_permits(), units(LARGEST));
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_has_to_end_in_time_and_silence_between_objects_is_no_fault() {
        let room = room(4 * LARGEST);
        let (mut writer, mut reads) = reader(&room);
        writer.write_all(b"{}\n").await.unwrap();
        assert_eq!(reads.next().await.unwrap().unwrap(), "{}");
        assert!(tokio::time::timeout(TIME * 100, reads.next()).await.is_err(), "idle for long");
        writer.write_all(br#"{"requestId""#).await.unwrap();
        assert!(matches!(reads.next().await, Some(Err(StreamError::Unfinished(TIME)))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_makes_no_object_last_longer() {
        let room = room(4 * LARGEST);
        let (mut writer, mut reads) = reader(&room);
        let trickle = tokio::spawn(async move {
            writer.write_all(b"{").await.unwrap();
            let mut ticks = tokio::time::interval(TIME / 4);
            while writer.write_all(b" ").await.is_ok() {
                ticks.tick().await;
            }
        });
        assert!(matches!(reads.next().await, Some(Err(StreamError::Unfinished(TIME)))));
        drop(reads);
        trickle.await.unwrap();
    }
}

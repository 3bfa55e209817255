//! Reads JSON objects from untrusted peers. Incomplete objects are limited in bytes, over all connections, and in time.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::codec::Decoder;

use super::{JsonStream, StreamError};

/// Bytes of an object that a connection may read without a permit: the default limit of requests.
const FREE: usize = 64 << 10;

/// Maximum bytes of one read.
const CHUNK: usize = 8 << 10;

/// Maximum time from an object's first byte to its last.
const OBJECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a permit.
const UNIT: usize = 1_024;

/// Reads the objects of one connection.
pub struct ObjectReader<R> {
    reader: R,
    buffer: BytesMut,
    stream: JsonStream,
    /// Permits for large objects, shared by all connections.
    room: Arc<Semaphore>,
    /// Permits that the largest object needs.
    needed: u32,
    permit: Option<OwnedSemaphorePermit>,
    /// When the current object began.
    began: Option<Instant>,
}

impl<R: AsyncRead + Unpin> ObjectReader<R> {
    /// Accepts objects of up to `max_bytes` bytes. Those above 64 KiB wait for permits from [`room`].
    pub fn new(reader: R, max_bytes: usize, room: Arc<Semaphore>) -> Self {
        let (buffer, stream) = (BytesMut::new(), JsonStream::new(max_bytes));
        Self { reader, buffer, stream, room, needed: units(max_bytes) as u32, permit: None, began: None }
    }

    /// The next object; `None` at the end of the stream. After an error the connection must be closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, StreamError>> {
        loop {
            match self.stream.decode(&mut self.buffer) {
                Ok(Some(object)) => {
                    self.began = None;
                    if self.permit.take().is_some() {
                        // Release the large allocation: keep only a copy of the bytes after the object.
                        self.buffer = BytesMut::from(&self.buffer[..]);
                    }
                    return Some(Ok(object));
                }
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
            if self.permit.is_none() && self.buffer.len() + CHUNK > FREE {
                // All permits at once: connections that each hold a part would wait for one another for ever.
                self.permit = self.room.clone().acquire_many_owned(self.needed).await.ok();
                // The wait for permits does not count towards the object's timeout.
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
        match timeout_at(began + OBJECT_TIMEOUT, reading).await {
            Ok(read) => Ok(read?),
            Err(_) => Err(StreamError::Unfinished(OBJECT_TIMEOUT)),
        }
    }
}

/// Permits to read large objects of `bytes` bytes in total.
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

    const MAX_BYTES: usize = 1 << 20;

    fn reader(room: &Arc<Semaphore>) -> (DuplexStream, ObjectReader<DuplexStream>) {
        let (writer, reader) = duplex(4 * MAX_BYTES);
        (writer, ObjectReader::new(reader, MAX_BYTES, room.clone()))
    }

    fn object(bytes: usize) -> String {
        format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes))
    }

    #[tokio::test(start_paused = true)]
    async fn large_objects_wait_for_permits_and_small_ones_do_not() {
        let room = room(MAX_BYTES + UNIT);
        let ((mut first, mut reads_first), (mut second, mut reads_second)) = (reader(&room), reader(&room));
        let large = object(200_000);
        first.write_all(&large.as_bytes()[..100_000]).await.unwrap();
        let mut one = Box::pin(reads_first.next());
        assert!(poll!(&mut one).is_pending());
        second.write_all(large.as_bytes()).await.unwrap();
        let mut two = Box::pin(reads_second.next());
        assert!(poll!(&mut two).is_pending(), "the first holds the permits");
        let (mut third, mut reads_third) = reader(&room);
        let small = object(50_000);
        third.write_all(small.as_bytes()).await.unwrap();
        assert_eq!(reads_third.next().await.unwrap().unwrap(), small);
        first.write_all(&large.as_bytes()[100_000..]).await.unwrap();
        assert_eq!(one.await.unwrap().unwrap(), large);
        assert_eq!(two.await.unwrap().unwrap(), large);
        drop((reads_first, reads_second));
        assert_eq!(room.available_permits(), units(MAX_BYTES));
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_must_be_complete_in_time_and_a_connection_may_be_idle_between_objects() {
        let room = room(4 * MAX_BYTES);
        let (mut writer, mut reads) = reader(&room);
        writer.write_all(b"{}\n").await.unwrap();
        assert_eq!(reads.next().await.unwrap().unwrap(), "{}");
        assert!(tokio::time::timeout(OBJECT_TIMEOUT * 100, reads.next()).await.is_err(), "idle for long");
        writer.write_all(br#"{"requestId""#).await.unwrap();
        assert!(matches!(reads.next().await, Some(Err(StreamError::Unfinished(OBJECT_TIMEOUT)))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_of_bytes_does_not_extend_an_objects_time() {
        let room = room(4 * MAX_BYTES);
        let (mut writer, mut reads) = reader(&room);
        let trickle = tokio::spawn(async move {
            writer.write_all(b"{").await.unwrap();
            let mut ticks = tokio::time::interval(OBJECT_TIMEOUT / 4);
            while writer.write_all(b" ").await.is_ok() {
                ticks.tick().await;
            }
        });
        assert!(matches!(reads.next().await, Some(Err(StreamError::Unfinished(OBJECT_TIMEOUT)))));
        drop(reads);
        trickle.await.unwrap();
    }
}

//! Plain sockets, and time.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use socket2::{Domain, Socket, Type};

/// Longest wait of any read or connect of an attacker.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Looks again and again until there is something to see; none when there was not in time.
pub fn wait_for<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + patience;
    loop {
        match look() {
            Some(seen) => return Some(seen),
            None if Instant::now() > until => return None,
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Waits for the end of an attack that has nothing more to do.
pub fn hold(until: Instant) {
    thread::sleep(until.saturating_duration_since(Instant::now()));
}

/// A connection whose reads and writes end.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(Duration::from_millis(200)))?;
    Ok(stream)
}

/// A connection of someone who will not read: next to nothing fits in this end.
pub fn connect_deaf(address: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(2_048)?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    socket.set_write_timeout(Some(Duration::from_millis(200)))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// Sends these bytes over and over, up to so many in all, as long as the peer takes them; how many it took.
pub fn pour(mut stream: &TcpStream, bytes: &[u8], most: usize, until: Instant) -> usize {
    let mut sent = 0;
    while sent < most && Instant::now() < until {
        let from = sent % bytes.len();
        let to = bytes.len().min(from + (most - sent)).min(from + (64 << 10));
        match stream.write(&bytes[from..to]) {
            Ok(0) => break,
            Ok(count) => sent += count,
            // It does not read at the moment.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    sent
}

/// Does the same in several threads at once; what each says.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || work(number))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

/// Bytes as whole megabytes.
pub fn megabytes(bytes: impl TryInto<u64>) -> u64 {
    bytes.try_into().unwrap_or(u64::MAX) >> 20
}

//! TCP connections between web tier and requester.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Sets TCP_NODELAY, keep-alive probes every `heartbeat`, and a TCP user timeout: the kernel closes a connection, idle or
/// not, whose peer has acknowledged nothing for `timeout`.
pub fn keep_alive(stream: &TcpStream, heartbeat: Duration, timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // The kernel counts probe times in whole seconds.
    let second = Duration::from_secs(1);
    let probes = TcpKeepalive::new().with_time(heartbeat.max(second)).with_interval(heartbeat.max(second));
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(timeout))
}

//! TCP connections between web tier and requester.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Small messages leave at once, and a peer that is dead without a word is noticed: probes every `heartbeat`, and a
/// connection that nothing has been heard on for `timeout` is lost, idle or not.
pub fn keep_alive(stream: &TcpStream, heartbeat: Duration, timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // The kernel counts both in whole seconds.
    let second = Duration::from_secs(1);
    let probes = TcpKeepalive::new().with_time(heartbeat.max(second)).with_interval(heartbeat.max(second));
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(timeout))
}

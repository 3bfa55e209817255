//! ZeroMQ's TCP endpoints, of IPv4 and of IPv6. libzmq looks at a socket's IPV6 option as each of its connections and
//! listeners is made. Switched on for all, it would listen on IPv4 addresses by IPv6 sockets, which not every host has.

use std::net::SocketAddr;

/// What libzmq calls an address.
pub fn endpoint(address: SocketAddr) -> String {
    format!("tcp://{address}")
}

/// Connects a socket to one more address.
pub fn connect(socket: &zmq::Socket, address: SocketAddr) -> zmq::Result<()> {
    socket.set_ipv6(address.is_ipv6())?;
    socket.connect(&endpoint(address))
}

/// Has a socket listen at an endpoint, `tcp://` with an IP address, or another. At `[::]` IPv4 is served as well.
pub fn bind(socket: &zmq::Socket, endpoint: &str) -> zmq::Result<()> {
    socket.set_ipv6(endpoint.starts_with("tcp://["))?;
    socket.bind(endpoint)
}

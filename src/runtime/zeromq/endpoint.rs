//! ZeroMQ's TCP endpoints, IPv4 and IPv6. libzmq reads a socket's ZMQ_IPV6 option at each connect and bind. The option is set
//! only for IPv6 addresses, because with it libzmq opens IPv6 sockets for IPv4 addresses too, and a host may have IPv4 alone.

use std::net::SocketAddr;

/// The ZeroMQ endpoint of an address.
pub fn endpoint(address: SocketAddr) -> String {
    format!("tcp://{address}")
}

/// Connects a socket to an address, in addition to its other ones.
pub fn connect(socket: &zmq::Socket, address: SocketAddr) -> zmq::Result<()> {
    socket.set_ipv6(address.is_ipv6())?;
    socket.connect(&endpoint(address))
}

/// Binds a socket to an endpoint: `tcp://` with an IP address, or another transport. `[::]` accepts IPv4 too.
pub fn bind(socket: &zmq::Socket, endpoint: &str) -> zmq::Result<()> {
    socket.set_ipv6(endpoint.starts_with("tcp://["))?;
    socket.bind(endpoint)
}

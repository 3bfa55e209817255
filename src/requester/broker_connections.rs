//! A requester worker's connections to brokers: one socket per broker.
//!
//! libzmq does not report by which connection of a socket a message left. With a socket per broker, a lost connection identifies
//! the messages to send again. With ZMQ_IMMEDIATE a socket is writable only while its peer is connected, so that the
//! connection's state needs no monitor. A connection that is lost and made again between two looks is not noticed: libzmq counts
//! connections nowhere else, and a monitor for each socket would be two more sockets. Its messages wait for
//! `requester.retry_after`.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::runtime::InstanceStatus;
use crate::runtime::zeromq::{ConnectionChange, Contexts, Frames, PeerEvent, Renewal, Socket, connect, poll_peer};

/// The type of a requester worker's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequesterSocket {
    /// REQ with RELAXED and CORRELATE: one message in flight.
    Req,
    /// DEALER: up to this number of messages in flight.
    Dealer(usize),
}

impl RequesterSocket {
    /// Maximum messages in flight at a time.
    pub fn window(self) -> usize {
        match self {
            Self::Req => 1,
            Self::Dealer(window) => window,
        }
    }
}

struct Broker {
    address: SocketAddr,
    socket: Socket,
    connection: Renewal,
    /// It has replied that it is shutting down.
    draining: bool,
    /// Its address was removed from DNS. A swarm removes a task from DNS before it stops it, so the broker may still reply to
    /// messages in flight; it gets no new ones.
    removed: bool,
}

impl Broker {
    fn takes_messages(&self) -> bool {
        self.connection.is_up() && !self.draining && !self.removed
    }
}

/// One worker's sockets.
pub struct Brokers {
    kind: RequesterSocket,
    contexts: Arc<Contexts>,
    status: Arc<InstanceStatus>,
    all: Vec<Broker>,
    /// Reports failed handshakes for all workers of the instance.
    monitors: bool,
    /// Index at which the search for the next broker starts; each worker begins with another one.
    next: usize,
}

impl Brokers {
    /// `monitors`: reports failed handshakes to the instance status and the log. One worker of an instance is enough, because
    /// all connect to the same brokers, and each monitor needs two sockets.
    pub fn new(
        kind: RequesterSocket,
        contexts: Arc<Contexts>,
        status: Arc<InstanceStatus>,
        next: usize,
        monitors: bool,
    ) -> Self {
        Self { kind, contexts, status, all: vec![], monitors, next }
    }

    /// Connects to new addresses. Brokers whose address is missing get no new messages, and [`Self::close_removed`] closes their
    /// sockets. Fails if no file descriptor is free.
    pub fn set(&mut self, addresses: &BTreeSet<SocketAddr>) -> io::Result<()> {
        for broker in &mut self.all {
            let removed = !addresses.contains(&broker.address);
            if std::mem::replace(&mut broker.removed, removed) == removed {
                continue;
            }
            if removed {
                self.status.forget_peer(broker.address);
            } else {
                self.status.know_peer(broker.address);
                if broker.connection.is_up() {
                    self.status.peer(broker.address, true);
                }
            }
        }
        for address in addresses {
            if !self.all.iter().any(|broker| broker.address == *address) {
                let socket = self.connect(*address)?;
                self.status.know_peer(*address);
                let connection = Renewal::new(self.contexts.renewal());
                self.all.push(Broker { address: *address, socket, connection, draining: false, removed: false });
            }
        }
        Ok(())
    }

    /// Closes the sockets to brokers whose address was removed and that owe no reply, or are not connected.
    pub fn close_removed(&mut self, owes_reply: impl Fn(SocketAddr) -> bool) {
        self.all.retain(|broker| !broker.removed || (broker.connection.is_up() && owes_reply(broker.address)));
    }

    /// When [`Self::renew`] has to be called next.
    pub fn next_renewal(&self) -> Option<Instant> {
        self.all.iter().filter_map(|broker| broker.connection.due()).min()
    }

    /// Replaces connections that have been down for too long, each by a new socket: libzmq may still attach the abandoned
    /// connection to the old socket, and would lose messages sent on it.
    pub fn renew(&mut self) -> io::Result<()> {
        for index in 0..self.all.len() {
            if self.all[index].connection.take_turn() {
                self.all[index].socket = self.connect(self.all[index].address)?;
            }
        }
        Ok(())
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        let make = |kind| match self.monitors {
            true => {
                let status = self.status.clone();
                let on_change = move |address, change| match change {
                    // `poll_next` reports these two, for the sockets of all workers.
                    ConnectionChange::Up | ConnectionChange::Lost => {}
                    change => status.connection_change(address, change),
                };
                self.contexts.watched_socket(kind, "requester worker", on_change)
            }
            false => self.contexts.socket(kind),
        };
        let socket = match self.kind {
            RequesterSocket::Req => {
                let socket = make(zmq::REQ)?;
                // RELAXED: a new message may be sent while a reply is missing. CORRELATE: if that reply arrives later, it is
                // not matched with the new message.
                socket.set_req_relaxed(true)?;
                socket.set_req_correlate(true)?;
                socket
            }
            RequesterSocket::Dealer(_) => make(zmq::DEALER)?,
        };
        // No high-water mark, so that not writable means not connected. The window bounds the messages in flight.
        socket.set_sndhwm(0)?;
        socket.set_immediate(true)?;
        connect(&socket, address)?;
        Socket::attach(socket)
    }

    /// The next broker, in turn, that takes messages; [`Self::send`] moves on to the one after it.
    pub fn choose(&self) -> Option<SocketAddr> {
        let count = self.all.len();
        let mut order = (0..count).map(|step| (self.next + step) % count);
        order.find(|index| self.all[*index].takes_messages()).map(|next| self.all[next].address)
    }

    /// True if any broker takes messages.
    pub fn any(&self) -> bool {
        self.all.iter().any(Broker::takes_messages)
    }

    /// Sends frames to a broker. False if its connection is lost; a [`PeerEvent::Disconnected`] follows.
    pub fn send(&mut self, address: SocketAddr, frames: Frames) -> io::Result<bool> {
        let Some(index) = self.all.iter().position(|broker| broker.address == address) else { return Ok(false) };
        // Not in `choose`, which is also called when there is nothing to send: brokers would be skipped.
        self.next = index + 1;
        Ok(self.all[index].socket.try_send(frames)?.is_none())
    }

    /// Marks a broker as shutting down: it gets no new messages.
    pub fn set_draining(&mut self, address: SocketAddr) {
        self.all.iter_mut().filter(|broker| broker.address == address).for_each(|broker| broker.draining = true);
    }

    fn disconnect(&mut self, address: SocketAddr) {
        for broker in self.all.iter_mut().filter(|broker| broker.address == address && broker.connection.is_up()) {
            broker.connection.set(false);
            self.status.peer(address, false);
        }
    }

    /// Ready with the next event of any of the sockets.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(SocketAddr, PeerEvent)>> {
        let (address, event) = ready!(self.poll_sockets(cx))?;
        match event {
            PeerEvent::Received(_) => {}
            PeerEvent::Disconnected => self.disconnect(address),
            PeerEvent::Connected => {
                self.all.iter_mut().filter(|broker| broker.address == address).for_each(|broker| {
                    broker.connection.set(true);
                    broker.draining = false;
                });
                self.status.peer(address, true);
            }
        }
        Poll::Ready(Ok((address, event)))
    }

    fn poll_sockets(&self, cx: &mut Context<'_>) -> Poll<io::Result<(SocketAddr, PeerEvent)>> {
        for broker in &self.all {
            if let Poll::Ready(event) = poll_peer(&broker.socket, broker.connection.is_up(), cx)? {
                return Poll::Ready(Ok((broker.address, event)));
            }
        }
        Poll::Pending
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        let connected: Vec<_> =
            self.all.iter().filter(|broker| broker.connection.is_up()).map(|broker| broker.address).collect();
        connected.into_iter().for_each(|address| self.disconnect(address));
    }
}

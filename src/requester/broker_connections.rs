//! The brokers a requester worker can send to: a socket for each.
//!
//! One socket per broker, because libzmq does not tell by which of a socket's connections a request left: so the loss
//! of a broker says exactly which messages have to be sent again. With IMMEDIATE a socket is writable just while its
//! peer is connected, so that no monitor is needed to know.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::runtime::InstanceStatus;
use crate::runtime::zeromq::{Contexts, Frames, PeerEvent, PeerNews, Renewal, Socket, connect, poll_peer};

/// Which socket a requester worker sends by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequesterSocket {
    /// REQ with RELAXED and CORRELATE: one message in flight.
    Req,
    /// DEALER: up to so many messages in flight.
    Dealer(usize),
}

impl RequesterSocket {
    /// Messages in flight at one time.
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
    /// It said that it is shutting down.
    draining: bool,
    /// Its address is not behind the name any more. A swarm takes a task out of its DNS before it tells it to stop: what
    /// was sent may well be answered, but nothing more is sent.
    left: bool,
}

impl Broker {
    fn takes_messages(&self) -> bool {
        self.connection.is_up() && !self.draining && !self.left
    }
}

/// One worker's sockets.
pub struct Brokers {
    kind: RequesterSocket,
    contexts: Arc<Contexts>,
    status: Arc<InstanceStatus>,
    all: Vec<Broker>,
    /// This worker hears for all why a broker can't be talked to.
    listens: bool,
    /// Where the search for the next one starts; each worker begins elsewhere.
    turn: usize,
}

impl Brokers {
    /// `listens`: it hears why a broker can't be talked to, and writes it to the instance status and the log. One worker for all, because
    /// they connect alike and each monitor has two sockets.
    pub fn new(
        kind: RequesterSocket,
        contexts: Arc<Contexts>,
        status: Arc<InstanceStatus>,
        turn: usize,
        listens: bool,
    ) -> Self {
        Self { kind, contexts, status, all: vec![], listens, turn }
    }

    /// Connects to addresses that are new. Brokers that are not among the addresses any more are sent nothing new, and
    /// are left by [`Self::leave`]. Fails without a free file descriptor.
    pub fn set(&mut self, addresses: &BTreeSet<SocketAddr>) -> io::Result<()> {
        for broker in &mut self.all {
            let left = !addresses.contains(&broker.address);
            if std::mem::replace(&mut broker.left, left) == left {
                continue;
            }
            if left {
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
                self.all.push(Broker { address: *address, socket, connection, draining: false, left: false });
            }
        }
        Ok(())
    }

    /// Closes the sockets to brokers whose address is gone and that have nothing to answer any more.
    pub fn leave(&mut self, has_to_answer: impl Fn(SocketAddr) -> bool) {
        self.all.retain(|broker| !broker.left || (broker.connection.is_up() && has_to_answer(broker.address)));
    }

    /// When [`Self::renew`] has to be called.
    pub fn next_renewal(&self) -> Option<Instant> {
        self.all.iter().filter_map(|broker| broker.connection.due()).min()
    }

    /// Makes the connections anew that have been down for too long, each with a new socket: to the old one, libzmq may still
    /// attach the connection that was given up, and lose what is sent by it.
    pub fn renew(&mut self) -> io::Result<()> {
        for index in 0..self.all.len() {
            if self.all[index].connection.take_turn() {
                self.all[index].socket = self.connect(self.all[index].address)?;
            }
        }
        Ok(())
    }

    fn connect(&self, address: SocketAddr) -> io::Result<Socket> {
        let make = |kind| match self.listens {
            true => {
                let status = self.status.clone();
                let told = move |address, news| match news {
                    // Whether it is up the socket tells by itself, as those of the other workers do.
                    PeerNews::Up | PeerNews::Lost => {}
                    news => status.peer_news(address, news),
                };
                self.contexts.watched_socket(kind, "requester worker", told)
            }
            false => self.contexts.socket(kind),
        };
        let socket = match self.kind {
            RequesterSocket::Req => {
                let socket = make(zmq::REQ)?;
                // RELAXED: a new message may be sent although a reply is missing. CORRELATE: that reply, when it
                // comes after all, is not taken for the new message's.
                socket.set_req_relaxed(true)?;
                socket.set_req_correlate(true)?;
                socket
            }
            RequesterSocket::Dealer(_) => make(zmq::DEALER)?,
        };
        // The window bounds what is in flight; with no other limit, not writable means not connected.
        socket.set_sndhwm(0)?;
        socket.set_immediate(true)?;
        connect(&socket, address)?;
        Socket::attach(socket)
    }

    /// The broker whose turn it is, of those that take messages; [`Self::send`] ends its turn.
    pub fn choose(&self) -> Option<SocketAddr> {
        let count = self.all.len();
        let mut order = (0..count).map(|step| (self.turn + step) % count);
        order.find(|index| self.all[*index].takes_messages()).map(|next| self.all[next].address)
    }

    /// True when [`Self::choose`] has a choice.
    pub fn any(&self) -> bool {
        self.all.iter().any(Broker::takes_messages)
    }

    /// Sends frames to a broker. False when its connection is lost, of which news will come.
    pub fn send(&mut self, address: SocketAddr, frames: Frames) -> io::Result<bool> {
        let Some(index) = self.all.iter().position(|broker| broker.address == address) else { return Ok(false) };
        // Only here: a turn that ended when there was nothing to send would pass a broker by, always the same one where
        // messages come one at a time.
        self.turn = index + 1;
        Ok(self.all[index].socket.try_send(frames)?.is_none())
    }

    /// The broker said that it is shutting down.
    pub fn set_draining(&mut self, address: SocketAddr) {
        self.all.iter_mut().filter(|broker| broker.address == address).for_each(|broker| broker.draining = true);
    }

    fn disconnect(&mut self, address: SocketAddr) {
        for broker in self.all.iter_mut().filter(|broker| broker.address == address && broker.connection.is_up()) {
            broker.connection.set(false);
            self.status.peer(address, false);
        }
    }

    /// Ready when any of the sockets has something to say.
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

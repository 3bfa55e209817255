//! The connections of a responder worker to its brokers: a DEALER socket for each.
//!
//! The worker behaves like the REP socket of the article's program: it takes one message at a time, and replies with the
//! message's envelope. A DEALER can also announce itself, which least-busy dispatch needs. Each broker has its own socket,
//! because a DEALER sends to several peers in turn. With ZMQ_IMMEDIATE, a socket is writable only while its peer is connected.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::BrokerAddress;
use crate::runtime::InstanceStatus;
use crate::runtime::zeromq::{
    ConnectionChange, Contexts, Frames, PeerEvent, Renewal, Socket, connect, poll_peer, renew,
};
use crate::wire::{LEAVE, READY, RETURNED_MESSAGE};

/// The result of [`BrokerConnections::poll_next`].
pub enum FromBroker {
    /// A message, without its envelope.
    Message(Frames),
    /// A connection has changed: [`BrokerConnections::follow`] has to be called.
    Changed,
}

/// One worker's connections to brokers.
pub struct BrokerConnections {
    contexts: Arc<Contexts>,
    status: Arc<InstanceStatus>,
    /// This worker's sockets have monitors.
    monitors: bool,
    all: Vec<Connection>,
    /// Index of the connection where the search for the next message starts.
    turn: usize,
    next_id: u64,
    /// Where the reply to the current message goes.
    reply_to: Option<ReplyTo>,
}

struct ReplyTo {
    connection: u64,
    envelope: Frames,
}

struct Connection {
    id: u64,
    broker: BrokerAddress,
    socket: Socket,
    /// `None` if the connection is not over TCP.
    renewal: Option<Renewal>,
    up: bool,
    /// The broker has answered READY, so its dispatch is least-busy and it confirms LEAVE. In-process brokers: by their dispatch.
    is_least_busy: bool,
    /// LEAVE was sent, and the broker has not confirmed it.
    leaving: bool,
}

impl BrokerConnections {
    /// `monitors`: monitors report in the instance's status and the log why connections fail. One worker of an instance does it
    /// for all, because each monitor needs two sockets.
    pub fn new(contexts: Arc<Contexts>, status: Arc<InstanceStatus>, monitors: bool) -> Self {
        Self { contexts, status, monitors, all: vec![], turn: 0, next_id: 0, reply_to: None }
    }

    /// Moves the sockets to the current arbiter.
    pub fn attach_here(&mut self) -> io::Result<()> {
        self.all.iter_mut().try_for_each(|connection| connection.socket.attach_here())
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Connects to new brokers, and renews connections that have been down for too long. Leaves a broker of this process that is
    /// not in the list any more. A TCP broker that is not in the list is left when its connection is down: a swarm removes a
    /// task from its DNS before it stops it, and until then the broker still sends messages. `returned` makes the reply that
    /// returns a message. Returns the addresses of the TCP brokers that were left.
    pub fn follow(
        &mut self,
        brokers: &[BrokerAddress],
        returned: impl Fn(&Frames) -> io::Result<Vec<u8>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut gone = vec![];
        for connection in std::mem::take(&mut self.all) {
            let address = connection.broker.tcp();
            if brokers.contains(&connection.broker) || connection.leaving {
                self.all.push(connection);
            } else if address.is_none() {
                self.all.extend(connection.leave(&returned)?);
            } else if connection.up {
                self.all.push(connection);
            } else {
                gone.extend(address);
            }
        }
        self.all.retain(|connection| connection.up || !connection.leaving);
        for address in &gone {
            self.status.forget_peer(*address);
        }
        for connection in &mut self.all {
            if let (Some(renewal), Some(address)) = (&mut connection.renewal, connection.broker.tcp())
                && renewal.take_turn()
            {
                renew(connection.socket.raw(), address)?;
            }
        }
        for broker in brokers {
            if !self.all.iter().any(|connection| connection.broker == *broker && !connection.leaving) {
                self.add(broker)?;
            }
        }
        Ok(gone)
    }

    fn add(&mut self, broker: &BrokerAddress) -> io::Result<()> {
        let socket = match broker {
            BrokerAddress::Inproc { .. } => self.contexts.inproc_socket(zmq::DEALER)?,
            BrokerAddress::Tcp(_) if self.monitors => {
                let status = self.status.clone();
                let told = move |address, change| match change {
                    // Read from the sockets of all workers instead, by `poll_peer`.
                    ConnectionChange::Up | ConnectionChange::Lost => {}
                    change => status.connection_change(address, change),
                };
                self.contexts.watched_socket(zmq::DEALER, "worker", told)?
            }
            BrokerAddress::Tcp(_) | BrokerAddress::Ipc(_) => self.contexts.socket(zmq::DEALER)?,
        };
        // libzmq sends READY first on each connection, also after it has reconnected.
        socket.set_probe_router(true)?;
        socket.set_immediate(true)?;
        // No limit, so that a socket that is not writable is not connected. The worker sends one reply at a time.
        socket.set_sndhwm(0)?;
        match broker {
            BrokerAddress::Inproc { endpoint, .. } => socket.connect(endpoint)?,
            BrokerAddress::Ipc(endpoint) => socket.connect(endpoint)?,
            BrokerAddress::Tcp(address) => {
                connect(&socket, *address)?;
                self.status.know_peer(*address);
            }
        }
        self.next_id += 1;
        self.all.push(Connection {
            id: self.next_id,
            socket: Socket::attach(socket)?,
            renewal: broker.tcp().map(|_| Renewal::new(self.contexts.renewal())),
            up: false,
            is_least_busy: matches!(broker, BrokerAddress::Inproc { dealer: None, .. }),
            leaving: false,
            broker: broker.clone(),
        });
        Ok(())
    }

    /// The latest time for the next call of [`Self::follow`]; `None` while every TCP connection is up.
    pub fn next_renewal(&self) -> Option<Instant> {
        self.all.iter().filter_map(|connection| connection.renewal.as_ref()?.due()).min()
    }

    /// Leaves every broker. A least-busy broker confirms it, and may send a message until then, which [`Self::poll_next`]
    /// returns. A round-robin broker gets back the messages that have arrived. What a round-robin broker in another process
    /// sends to this worker later is lost, and its requester sends it again: a worker cannot stop a DEALER from sending to it.
    pub fn leave(&mut self, returned: impl Fn(&Frames) -> io::Result<Vec<u8>>) -> io::Result<()> {
        for connection in std::mem::take(&mut self.all) {
            let up_at = connection.up_at();
            match connection.leave(&returned)? {
                Some(connection) => self.all.push(connection),
                None => up_at.into_iter().for_each(|address| self.status.peer(address, false)),
            }
        }
        Ok(())
    }

    /// Ready with the next message, or when a connection has changed.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<FromBroker>> {
        let count = self.all.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let connection = &mut self.all[index];
            while let Poll::Ready(event) = poll_peer(&connection.socket, connection.up, cx)? {
                let frames = match event {
                    // Reported before the connection's first message, because `follow` leaves connections that are down.
                    PeerEvent::Connected => {
                        connection.set_up(true, &self.status);
                        return Poll::Ready(Ok(FromBroker::Changed));
                    }
                    PeerEvent::Disconnected => {
                        connection.set_up(false, &self.status);
                        return Poll::Ready(Ok(FromBroker::Changed));
                    }
                    PeerEvent::Received(frames) => frames,
                };
                match connection.take(frames) {
                    Taken::Nothing => {}
                    Taken::Left => {
                        let left = self.all.remove(index);
                        left.up_at().into_iter().for_each(|address| self.status.peer(address, false));
                        return Poll::Ready(Ok(FromBroker::Changed));
                    }
                    Taken::Message(reply_to, message) => {
                        (self.reply_to, self.turn) = (Some(reply_to), index + 1);
                        return Poll::Ready(Ok(FromBroker::Message(message)));
                    }
                }
            }
        }
        Poll::Pending
    }

    /// Sends the reply to the last message. False, and the reply is dropped, if the message's broker is not connected: a
    /// least-busy broker has requeued the message, and for others the requester sends it again.
    pub fn reply(&mut self, reply: Frames) -> io::Result<bool> {
        let Some(ReplyTo { connection, envelope: mut frames }) = self.reply_to.take() else { return Ok(false) };
        frames.extend(reply);
        match self.all.iter().find(|each| each.id == connection) {
            Some(connection) => Ok(connection.socket.try_send(frames)?.is_none()),
            None => Ok(false),
        }
    }

    /// When to call [`Self::beat`] next during the work on the last message; `None` if its broker needs no heartbeats.
    pub fn next_beat(&self) -> Option<Instant> {
        self.needs_heartbeats().map(|_| Instant::now() + self.contexts.heartbeat())
    }

    /// Sends a heartbeat to the broker of the last message.
    pub fn beat(&self) -> io::Result<()> {
        if let Some(connection) = self.needs_heartbeats() {
            connection.socket.try_send(vec![READY.into()])?;
        }
        Ok(())
    }

    /// The last message's connection, if its broker needs heartbeats: a least-busy broker in another process takes silence for
    /// the loss of the worker.
    fn needs_heartbeats(&self) -> Option<&Connection> {
        let id = self.reply_to.as_ref()?.connection;
        let connection = self.all.iter().find(|connection| connection.id == id)?;
        let is_local = matches!(connection.broker, BrokerAddress::Inproc { .. });
        (connection.is_least_busy && !is_local).then_some(connection)
    }
}

impl Drop for BrokerConnections {
    fn drop(&mut self) {
        let up = self.all.iter().filter_map(Connection::up_at);
        up.for_each(|address| self.status.peer(address, false));
    }
}

/// The meaning of frames from a broker.
enum Taken {
    Message(ReplyTo, Frames),
    /// The broker has confirmed LEAVE.
    Left,
    Nothing,
}

impl Connection {
    /// The broker's address while its TCP connection is up.
    fn up_at(&self) -> Option<SocketAddr> {
        self.broker.tcp().filter(|_| self.up)
    }

    fn set_up(&mut self, up: bool, status: &InstanceStatus) {
        self.up = up;
        if let (Some(renewal), Some(address)) = (&mut self.renewal, self.broker.tcp()) {
            renewal.set(up);
            // After reconnecting, the broker may be another one.
            self.is_least_busy = false;
            status.peer(address, up);
        }
    }

    fn take(&mut self, mut frames: Frames) -> Taken {
        match &frames[..] {
            [only] if &only[..] == LEAVE => return Taken::Left,
            [only] if &only[..] == READY => self.is_least_busy = true,
            _ => {}
        }
        if frames.len() > 1
            && let BrokerAddress::Inproc { dealer: Some(dealer), .. } = &self.broker
        {
            dealer.received();
        }
        let empty = frames.iter().position(|frame| frame.is_empty());
        match empty.map(|empty| frames.split_off(empty + 1)) {
            Some(message) if !message.is_empty() => {
                Taken::Message(ReplyTo { connection: self.id, envelope: frames }, message)
            }
            // No envelope: dropped, as by a REP.
            _ => Taken::Nothing,
        }
    }

    /// Leaves the broker. Returns the connection if it has to wait for the broker's confirmation.
    fn leave(mut self, returned: impl Fn(&Frames) -> io::Result<Vec<u8>>) -> io::Result<Option<Self>> {
        if self.is_least_busy {
            let is_sent = self.leaving || self.socket.try_send(vec![LEAVE.into()])?.is_none();
            (self.leaving, self.up) = (true, is_sent);
            return Ok(is_sent.then_some(self));
        }
        let broker = self.broker.clone();
        let (endpoint, dealer) = match &broker {
            BrokerAddress::Inproc { endpoint, dealer } => (Some(endpoint), dealer.as_ref()),
            _ => (None, None),
        };
        let _lock = dealer.map(|dealer| dealer.lock());
        while let Some(frames) = self.socket.try_recv()? {
            if let Taken::Message(ReplyTo { envelope: mut reply, .. }, message) = self.take(frames) {
                reply.extend([returned(&message)?.into(), RETURNED_MESSAGE.into()]);
                reply.extend(message);
                self.socket.try_send(reply)?;
            }
        }
        if let Some(endpoint) = endpoint {
            self.socket.raw().disconnect(endpoint)?;
        }
        Ok(None)
    }
}

//! The brokers that a responder worker works for: a DEALER socket for each.
//!
//! The worker behaves as a REP, which the article's has: it takes one message at a time, and the reply goes back with the
//! message's envelope. A DEALER can also announce itself, which least-busy dispatch needs. One socket per broker, because a
//! DEALER with several peers sends to each in turn; with IMMEDIATE it is writable just while its peer is connected.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::time::Instant;

use super::BrokerAddress;
use crate::runtime::InstanceStatus;
use crate::runtime::zeromq::{Contexts, Frames, PeerEvent, PeerNews, Renewal, Socket, connect, poll_peer, renew};
use crate::wire::{LEAVE, READY, RETURNED};

/// What [`BrokerConnections::poll_next`] brings.
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
    /// This worker hears for all why a broker can't be talked to.
    listens: bool,
    all: Vec<Connection>,
    /// Where the search for the next message starts.
    turn: usize,
    next_id: u64,
    /// Where the reply to the message in hand goes.
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
    /// Of a connection by TCP.
    renewal: Option<Renewal>,
    up: bool,
    /// The broker deals by credit, and confirms that a worker has left: it has greeted.
    has_greeted: bool,
    /// It was asked to confirm that.
    leaving: bool,
}

impl BrokerConnections {
    /// `listens`: it hears why a broker can't be talked to, and writes it to the instance's status and the log. One worker
    /// does for all: a monitor has two sockets.
    pub fn new(contexts: Arc<Contexts>, status: Arc<InstanceStatus>, listens: bool) -> Self {
        Self { contexts, status, listens, all: vec![], turn: 0, next_id: 0, reply_to: None }
    }

    /// Moves the sockets to the current arbiter.
    pub fn attach_here(&mut self) -> io::Result<()> {
        self.all.iter_mut().try_for_each(|connection| connection.socket.attach_here())
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Connects to brokers that are new, and makes connections anew that have been down for too long. Leaves a broker of
    /// this process that is not among them any more. A broker elsewhere is left when its connection is down: a swarm takes a
    /// task out of its DNS before it tells it to stop, and what it deals out is still to be done. `returned` makes the
    /// reply with which a message is returned. The brokers that were left are the result.
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
            BrokerAddress::Tcp(_) if self.listens => {
                let status = self.status.clone();
                let told = move |address, news| match news {
                    // Whether it is up the socket tells by itself, as those of the other workers do.
                    PeerNews::Up | PeerNews::Lost => {}
                    news => status.peer_news(address, news),
                };
                self.contexts.watched_socket(zmq::DEALER, "worker", told)?
            }
            BrokerAddress::Tcp(_) | BrokerAddress::Ipc(_) => self.contexts.socket(zmq::DEALER)?,
        };
        // libzmq announces the worker by each new connection, those that it makes again too.
        socket.set_probe_router(true)?;
        socket.set_immediate(true)?;
        // One reply at a time is sent; with no other limit, not writable means not connected.
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
            has_greeted: matches!(broker, BrokerAddress::Inproc { dealer: None, .. }),
            leaving: false,
            broker: broker.clone(),
        });
        Ok(())
    }

    /// When [`Self::follow`] has to be called at latest, for a connection that is down.
    pub fn next_renewal(&self) -> Option<Instant> {
        self.all.iter().filter_map(|connection| connection.renewal.as_ref()?.due()).min()
    }

    /// Leaves every broker. One that deals by credit confirms it: until then there may be messages, which
    /// [`Self::poll_next`] brings. To any other, messages that are here are returned. What a separate broker's DEALER deals to this worker
    /// after that is lost, and sent again by its requester: libzmq offers nothing to tell a DEALER.
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

    /// Ready with the next message, or news of a connection.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<FromBroker>> {
        let count = self.all.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let connection = &mut self.all[index];
            while let Poll::Ready(event) = poll_peer(&connection.socket, connection.up, cx)? {
                let frames = match event {
                    // Before its first message: follow() gives up connections that are down.
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

    /// Sends the reply to the last message, unless the connection that it came by is lost: then its broker has another
    /// worker do it, or is gone. True when it was sent.
    pub fn reply(&mut self, reply: Frames) -> io::Result<bool> {
        let Some(ReplyTo { connection, envelope: mut frames }) = self.reply_to.take() else { return Ok(false) };
        frames.extend(reply);
        match self.all.iter().find(|each| each.id == connection) {
            Some(connection) => Ok(connection.socket.try_send(frames)?.is_none()),
            None => Ok(false),
        }
    }

    /// When to [`Self::beat`] next while the last message is worked on; none: its broker needs no heartbeats.
    pub fn next_beat(&self) -> Option<Instant> {
        self.beating().map(|_| Instant::now() + self.contexts.heartbeat())
    }

    /// Sends a heartbeat to the broker of the last message.
    pub fn beat(&self) -> io::Result<()> {
        if let Some(connection) = self.beating() {
            connection.socket.try_send(vec![READY.into()])?;
        }
        Ok(())
    }

    /// The connection that the last message came by, where its broker is elsewhere and deals by credit: it takes silence for
    /// the loss of the worker.
    fn beating(&self) -> Option<&Connection> {
        let id = self.reply_to.as_ref()?.connection;
        let connection = self.all.iter().find(|connection| connection.id == id)?;
        let is_elsewhere = !matches!(connection.broker, BrokerAddress::Inproc { .. });
        (connection.has_greeted && is_elsewhere).then_some(connection)
    }
}

impl Drop for BrokerConnections {
    fn drop(&mut self) {
        let up = self.all.iter().filter_map(Connection::up_at);
        up.for_each(|address| self.status.peer(address, false));
    }
}

/// What frames from a broker were.
enum Taken {
    Message(ReplyTo, Frames),
    /// The broker has confirmed that the worker left.
    Left,
    Nothing,
}

impl Connection {
    /// The address that it is up to, as the instance's status counts.
    fn up_at(&self) -> Option<SocketAddr> {
        self.broker.tcp().filter(|_| self.up)
    }

    fn set_up(&mut self, up: bool, status: &InstanceStatus) {
        self.up = up;
        if let (Some(renewal), Some(address)) = (&mut self.renewal, self.broker.tcp()) {
            renewal.set(up);
            // The broker behind a new connection may be another one.
            self.has_greeted = false;
            status.peer(address, up);
        }
    }

    fn take(&mut self, mut frames: Frames) -> Taken {
        match &frames[..] {
            [only] if &only[..] == LEAVE => return Taken::Left,
            [only] if &only[..] == READY => self.has_greeted = true,
            _ => {}
        }
        if frames.len() > 1
            && let BrokerAddress::Inproc { dealer: Some(dealer), .. } = &self.broker
        {
            dealer.taken();
        }
        let empty = frames.iter().position(|frame| frame.is_empty());
        match empty.map(|empty| frames.split_off(empty + 1)) {
            Some(message) if !message.is_empty() => {
                Taken::Message(ReplyTo { connection: self.id, envelope: frames }, message)
            }
            // A REP drops what has no envelope too.
            _ => Taken::Nothing,
        }
    }

    /// Leaves the broker; the connection, if that is not done yet.
    fn leave(mut self, returned: impl Fn(&Frames) -> io::Result<Vec<u8>>) -> io::Result<Option<Self>> {
        if self.has_greeted {
            let is_sent = self.leaving || self.socket.try_send(vec![LEAVE.into()])?.is_none();
            (self.leaving, self.up) = (true, is_sent);
            return Ok(is_sent.then_some(self));
        }
        let broker = self.broker.clone();
        let (endpoint, dealer) = match &broker {
            BrokerAddress::Inproc { endpoint, dealer } => (Some(endpoint), dealer.as_ref()),
            _ => (None, None),
        };
        let _dealing = dealer.map(|dealer| dealer.lock());
        while let Some(frames) = self.socket.try_recv()? {
            if let Taken::Message(ReplyTo { envelope: mut reply, .. }, message) = self.take(frames) {
                reply.extend([returned(&message)?.into(), RETURNED.into()]);
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

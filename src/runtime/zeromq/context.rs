//! ZeroMQ contexts and the options every socket of ours has.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use slog::Logger;

use super::{
    CONNECTIONS, Connections, FRAME_OVERHEAD, PeerNews, REFUSALS, RefusalLog, RenewalPolicy, Told, bind_with,
    bound_unfinished, connect_with, context_for, monitor, refusal, set_tcp_user_timeout, start_authenticator, watch,
};
use crate::config::CurveKey;

/// The shortest time for which a connection may be down before it is made anew: a round trip and a handshake fit in.
const SHORTEST_RENEWAL: Duration = Duration::from_millis(200);

/// How the sockets of an instance treat their connections.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    pub connect_timeout: Duration,
    /// Between ZMTP heartbeats, or, where a socket listens, TCP's probes.
    pub heartbeat: Duration,
    /// Silence after which a connection counts as dead.
    pub heartbeat_timeout: Duration,
    pub reconnect_min: Duration,
    pub reconnect_max: Duration,
    /// The largest frame taken, in bytes; a peer that sends a larger one is disconnected.
    pub max_frame_bytes: u64,
    /// Messages queued per connection and direction before a send has to wait; 0: no limit.
    pub high_water_mark: u32,
    /// How long a closed socket may go on sending what it holds.
    pub linger: Duration,
}

/// Sockets that meet over `inproc://`: those of 10,000 workers, twice, because closed ones last for a moment.
const MAX_INPROC_SOCKETS: i32 = 20_480;

/// A growing set of contexts: one that has its 1,023 sockets is followed by another. Sockets that meet over `inproc://` must
/// come from one context: the first is theirs alone, and holds more.
pub struct Contexts {
    all: Mutex<Vec<zmq::Context>>,
    options: SocketOptions,
    /// What both ends of a connection between processes have to have.
    key: Option<CurveKey>,
    /// The authenticator of the first context, once there is something to guard.
    authenticator: Once,
    log: Logger,
}

impl Contexts {
    pub fn new(options: SocketOptions, key: Option<CurveKey>, log: Logger) -> Self {
        bound_unfinished(options.max_frame_bytes);
        Self { all: Mutex::new(vec![context_for(MAX_INPROC_SOCKETS)]), options, key, authenticator: Once::new(), log }
    }

    /// The context that sockets meet in over `inproc://`.
    pub fn first(&self) -> zmq::Context {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)[0].clone()
    }

    /// A socket with the instance's options that will connect, in whichever context but the first has room. Fails when the
    /// process is out of file descriptors.
    pub fn socket(&self, kind: zmq::SocketType) -> io::Result<zmq::Socket> {
        self.with_room(|context| self.connecting(context.socket(kind)?))
    }

    /// The same, and `told` hears what becomes of its connections; those to peers that can't be talked to are logged.
    /// `here` says in the log which socket it is. Needs an actix system.
    pub fn watched_socket(
        &self,
        kind: zmq::SocketType,
        here: &'static str,
        mut told: impl FnMut(SocketAddr, PeerNews) + 'static,
    ) -> io::Result<zmq::Socket> {
        let (socket, events) = self.with_room(|context| {
            let socket = self.connecting(context.socket(kind)?)?;
            let events = monitor(&socket, context, CONNECTIONS)?;
            Ok((socket, events))
        })?;
        let mut connections = Connections::new(self.key.is_some());
        let mut refusals = RefusalLog::new(here, self.log.clone());
        watch(events, self.log.clone(), move |event| {
            if let Told::Closed = event {
                connections.close().into_iter().for_each(|address| told(address, PeerNews::Lost));
            }
            let Some((address, news)) = connections.take(&event) else { return };
            if let PeerNews::Refused(reason) = news {
                refusals.tell(reason, Some(address));
            }
            told(address, news);
        })?;
        Ok(socket)
    }

    /// What `make` makes in the first context that has room for it, of those not kept for `inproc://`.
    fn with_room<T>(&self, make: impl Fn(&zmq::Context) -> zmq::Result<T>) -> io::Result<T> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // Each of them: sockets that were closed leave room behind.
        for context in all.iter().skip(1) {
            match make(context) {
                Err(zmq::Error::EMFILE) => {}
                other => return Ok(other?),
            }
        }
        let next = zmq::Context::new();
        let made = make(&next)?;
        all.push(next);
        Ok(made)
    }

    /// A socket with the instance's options in the first context, for `inproc://` or to connect.
    pub fn inproc_socket(&self, kind: zmq::SocketType) -> io::Result<zmq::Socket> {
        Ok(self.connecting(self.first().socket(kind)?)?)
    }

    /// A socket with the instance's options in the first context, for other processes to connect to. `here` says in the
    /// log which one it is. Needs an actix system.
    pub fn server_socket(&self, kind: zmq::SocketType, here: &'static str) -> io::Result<zmq::Socket> {
        let mut socket = self.first().socket(kind)?;
        self.options.apply(&socket)?;
        self.options.notice_dead_peers(&mut socket)?;
        match &self.key {
            Some(key) => {
                let mut started = Ok(());
                self.authenticator
                    .call_once(|| started = start_authenticator(&self.first(), key.clone(), self.log.clone()));
                started?;
                bind_with(key, &socket)?;
            }
            None => refuse_old_peers(&socket)?,
        }
        let (has_key, mut refusals) = (self.key.is_some(), RefusalLog::new(here, self.log.clone()));
        watch(monitor(&socket, &self.first(), REFUSALS)?, self.log.clone(), move |told| {
            if let Told::Event { event, value, .. } = told
                && let Some(reason) = refusal(event, value, has_key)
            {
                refusals.tell(reason, None);
            }
        })?;
        Ok(socket)
    }

    /// The time between heartbeats.
    pub fn heartbeat(&self) -> Duration {
        self.options.heartbeat
    }

    /// When a connection that is down is made anew.
    pub fn renewal(&self) -> RenewalPolicy {
        let SocketOptions { connect_timeout, reconnect_min, reconnect_max, .. } = self.options;
        RenewalPolicy {
            // libzmq's first tries to connect again come after one and three times `reconnect_min`, with jitter.
            first: (reconnect_min * 4).max(SHORTEST_RENEWAL),
            longest: reconnect_max.max(connect_timeout + self.options.handshake()),
        }
    }

    fn connecting(&self, socket: zmq::Socket) -> zmq::Result<zmq::Socket> {
        self.options.apply(&socket)?;
        self.options.beat(&socket)?;
        match &self.key {
            Some(key) => connect_with(key, &socket)?,
            None => refuse_old_peers(&socket)?,
        }
        Ok(socket)
    }
}

impl SocketOptions {
    /// The longest handshake. libzmq's default is 30 s, far longer than a peer of ours takes.
    fn handshake(&self) -> Duration {
        self.connect_timeout.max(Duration::from_secs(3))
    }

    /// Has a socket that connects send ZMTP heartbeats. libzmq ends the whole process where a heartbeat is due on a
    /// connection that was lost while its input was stopped, because more waited than its RCVHWM (4.3.4, `timer_event` and
    /// the assertion in `out_event` of stream_engine_base.cpp). So these have none: what comes to them is bounded by what
    /// they asked for, and by `broker.queue_bytes`.
    fn beat(&self, socket: &zmq::Socket) -> zmq::Result<()> {
        socket.set_rcvhwm(0)?;
        socket.set_heartbeat_ivl(millis(self.heartbeat))?;
        socket.set_heartbeat_timeout(millis(self.heartbeat_timeout))
    }

    /// Has a socket that listens give up peers that are gone without a word. It answers heartbeats and sends none, see
    /// [`Self::beat`]: strangers can stop its input. TCP's own probes count in whole seconds.
    fn notice_dead_peers(&self, socket: &mut zmq::Socket) -> zmq::Result<()> {
        let seconds = i32::try_from(self.heartbeat.as_secs().max(1)).unwrap_or(i32::MAX);
        socket.set_tcp_keepalive(1)?;
        socket.set_tcp_keepalive_idle(seconds)?;
        socket.set_tcp_keepalive_intvl(seconds)?;
        set_tcp_user_timeout(socket, self.heartbeat_timeout)
    }

    fn apply(&self, socket: &zmq::Socket) -> zmq::Result<()> {
        socket.set_linger(millis(self.linger))?;
        socket.set_connect_timeout(millis(self.connect_timeout))?;
        socket.set_handshake_ivl(millis(self.handshake()))?;
        socket.set_reconnect_ivl(millis(self.reconnect_min))?;
        socket.set_reconnect_ivl_max(millis(self.reconnect_max))?;
        socket.set_maxmsgsize(i64::try_from(self.max_frame_bytes + FRAME_OVERHEAD).unwrap_or(i64::MAX))?;
        let mark = i32::try_from(self.high_water_mark).unwrap_or(i32::MAX);
        socket.set_sndhwm(mark)?;
        socket.set_rcvhwm(mark)?;
        // With the default of 100, a burst of a thousand workers' connections stalls for seconds.
        socket.set_backlog(4096)
    }
}

/// With a domain libzmq refuses what is not ZMTP 3. Else it takes any program's first bytes for ZMTP 1, and the connection
/// for one to exchange messages by; and it does not tell by which connection a frame came.
fn refuse_old_peers(socket: &zmq::Socket) -> zmq::Result<()> {
    socket.set_zap_domain("swarmq")
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::runtime::zeromq::Socket;

    fn contexts(heartbeat: Duration) -> Contexts {
        let second = Duration::from_secs(1);
        let options = SocketOptions {
            connect_timeout: second,
            heartbeat,
            heartbeat_timeout: second,
            reconnect_min: second,
            reconnect_max: second,
            max_frame_bytes: 1000,
            high_water_mark: 10,
            linger: Duration::ZERO,
        };
        Contexts::new(options, None, Logger::root(slog::Discard, slog::o!()))
    }

    #[test]
    fn a_full_context_is_followed_by_another() {
        rlimit::increase_nofile_limit(8192).unwrap();
        let contexts = contexts(Duration::from_secs(1));
        let sockets: Vec<_> = (0..1100).map(|_| contexts.socket(zmq::REQ).unwrap()).collect();
        assert_eq!((sockets.len(), contexts.all.lock().unwrap().len()), (1100, 3));
        let workers: Vec<_> = (0..2000).map(|_| contexts.inproc_socket(zmq::REP).unwrap()).collect();
        assert_eq!(workers.len(), 2000);
    }

    /// A DEALER that has shaken hands, by ZMTP 3.0 without security (ZeroMQ RFC 23).
    fn dealer(address: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut greeting = [0; 64];
        (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
        greeting[12..16].copy_from_slice(b"NULL");
        stream.write_all(&greeting).unwrap();
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER").unwrap();
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        stream.read_exact(&mut vec![0; head[1].into()]).unwrap();
        stream
    }

    /// libzmq ended the process in this case, see [`SocketOptions::beat`].
    #[actix_rt::test]
    async fn a_peer_that_is_lost_with_more_sent_than_is_taken_does_no_harm() {
        const HEARTBEAT: Duration = Duration::from_millis(20);
        let contexts = contexts(HEARTBEAT);
        let router = contexts.server_socket(zmq::ROUTER, "test").unwrap();
        router.set_rcvhwm(1).unwrap();
        router.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = router.get_last_endpoint().unwrap().unwrap();
        let address = endpoint.strip_prefix("tcp://").unwrap();
        let mut lost = dealer(address);
        // Far more than the mark, and than libzmq reads at once.
        let messages = [&[0, 200][..], &[b'x'; 200]].concat().repeat(100);
        lost.write_all(&messages).unwrap();
        let router = Socket::attach(router).unwrap();
        assert_eq!(router.recv().await.unwrap()[1].len(), 200);
        // Closed so that the other side sees an error, and not an end that it would have to read to.
        socket2::SockRef::from(&lost).set_linger(Some(Duration::ZERO)).unwrap();
        drop(lost);
        // Whatever heartbeats are due come in this time, to which no event answers.
        assert!(timeout(HEARTBEAT * 10, sleep(Duration::MAX)).await.is_err());
        let mut next = dealer(address);
        next.write_all(b"\x00\x04next").unwrap();
        while &router.recv().await.unwrap()[1][..] != b"next" {}
    }

    /// Sends frames to a peer until it closes the connection.
    fn send_until_closed(mut stream: TcpStream, frame: &[u8]) {
        let frames = frame.repeat((64 << 10) / frame.len());
        while stream.write_all(&frames).is_ok() {}
    }

    #[actix_rt::test]
    async fn a_message_without_end_ends_its_connection_and_no_other() {
        for kind in [zmq::ROUTER, zmq::DEALER] {
            let contexts = contexts(Duration::from_secs(1));
            let server = contexts.server_socket(kind, "test").unwrap();
            server.bind("tcp://127.0.0.1:*").unwrap();
            let endpoint = server.get_last_endpoint().unwrap().unwrap();
            let address = endpoint.strip_prefix("tcp://").unwrap();
            let server = Socket::attach(server).unwrap();
            let mut honest = dealer(address);
            honest.write_all(b"\x01\x05begin").unwrap();
            let large = [&[1, 200][..], &[b'x'; 200]].concat();
            for frame in [&large[..], b"\x01\x00"] {
                send_until_closed(dealer(address), frame);
            }
            honest.write_all(b"\x00\x03end").unwrap();
            let message = server.recv().await.unwrap();
            assert!(message.ends_with(&crate::runtime::zeromq::frames_of([b"begin", b"end"])), "{message:?}");
            dealer(address).write_all(b"\x00\x04next").unwrap();
            assert_eq!(&server.recv().await.unwrap().pop().unwrap()[..], b"next");
            assert!(server.try_recv().unwrap().is_none());
        }
    }

    #[actix_rt::test]
    async fn peers_of_an_older_protocol_are_refused() {
        let server = contexts(Duration::from_secs(1)).server_socket(zmq::ROUTER, "test").unwrap();
        server.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = server.get_last_endpoint().unwrap().unwrap();
        // By their first ten bytes; and ZMTP 2.0, a DEALER without an id.
        for greeting in [&b"GET / HTTP"[..], b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0"] {
            let mut stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
            // Sooner than the handshake's time is over, which would end it too.
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            stream.write_all(greeting).unwrap();
            let end = stream.read_to_end(&mut vec![]).map_err(|error| error.kind());
            assert!(matches!(end, Ok(_) | Err(io::ErrorKind::ConnectionReset)), "{end:?}");
        }
    }
}

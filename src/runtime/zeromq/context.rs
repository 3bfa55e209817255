//! ZeroMQ contexts, and the options that all sockets have.

use std::io;
use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

use parking_lot::Mutex;
use slog::Logger;

use super::{
    CONNECTIONS, ConnectionChange, Connections, FRAME_OVERHEAD, REFUSALS, RefusalLog, RenewalPolicy, Told, bind_with,
    bound_unfinished, connect_with, context_for, monitor, refusal, set_tcp_user_timeout, start_authenticator, watch,
};
use crate::config::CurveKey;

/// Minimum time after which a connection that is down is renewed: enough for a round trip and a handshake.
const MIN_RENEWAL: Duration = Duration::from_millis(200);

/// Options of all sockets of an instance.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    pub connect_timeout: Duration,
    /// Interval of ZMTP heartbeats on sockets that connect, and of TCP keep-alive probes on sockets that bind.
    pub heartbeat: Duration,
    /// Silence after which a connection is closed.
    pub heartbeat_timeout: Duration,
    /// First wait of libzmq before it reconnects.
    pub reconnect_min: Duration,
    /// Maximum wait of libzmq before it reconnects.
    pub reconnect_max: Duration,
    /// Maximum size of a received frame, in bytes. A peer that sends a larger one is disconnected.
    pub max_frame_bytes: u64,
    /// Messages queued per connection and direction before a send has to wait; 0: no limit.
    pub high_water_mark: u32,
    /// How long a closed socket continues to send its queued messages.
    pub linger: Duration,
}

/// Maximum sockets of the first context: 10,000 workers, twice, because libzmq removes a closed socket only after a moment.
const MAX_INPROC_SOCKETS: i32 = 20_480;

/// The contexts of a process. Sockets that connect to one another over `inproc://` must be in one context: the first one is for
/// them and for sockets that bind, with up to [`MAX_INPROC_SOCKETS`]. Other sockets are in further contexts with up to 1,023
/// each; if all are full, another context is made.
pub struct Contexts {
    all: Mutex<Vec<zmq::Context>>,
    options: SocketOptions,
    /// The CURVE key, the same at both ends of a connection. `None`: no encryption.
    key: Option<CurveKey>,
    /// Starts the first context's authenticator with the first socket that will bind.
    authenticator: Once,
    log: Logger,
}

impl Contexts {
    pub fn new(options: SocketOptions, key: Option<CurveKey>, log: Logger) -> Self {
        bound_unfinished(options.max_frame_bytes);
        Self { all: Mutex::new(vec![context_for(MAX_INPROC_SOCKETS)]), options, key, authenticator: Once::new(), log }
    }

    /// The context for `inproc://`.
    pub fn first(&self) -> zmq::Context {
        self.all.lock()[0].clone()
    }

    /// A socket that will connect, with the instance's options, in a context that has room.
    ///
    /// # Errors
    /// No file descriptor is free.
    pub fn socket(&self, kind: zmq::SocketType) -> io::Result<zmq::Socket> {
        self.with_room(|context| self.connecting(context.socket(kind)?))
    }

    /// Like [`Self::socket`], with a monitor: calls `told` for each change of a connection, and logs failed handshakes.
    /// `here`: the socket's name in the log. Needs an actix system.
    pub fn watched_socket(
        &self,
        kind: zmq::SocketType,
        here: &'static str,
        mut told: impl FnMut(SocketAddr, ConnectionChange) + 'static,
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
                connections.close().into_iter().for_each(|address| told(address, ConnectionChange::Lost));
            }
            let Some((address, change)) = connections.take(&event) else { return };
            if let ConnectionChange::Refused(reason) = change {
                refusals.tell(reason, Some(address));
            }
            told(address, change);
        })?;
        Ok(socket)
    }

    /// Calls `make` with a context that has room, other than the first one.
    fn with_room<T>(&self, make: impl Fn(&zmq::Context) -> zmq::Result<T>) -> io::Result<T> {
        let mut all = self.all.lock();
        // Not only the last one: closed sockets leave room in earlier ones.
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

    /// A socket for `inproc://`, with the instance's options.
    pub fn inproc_socket(&self, kind: zmq::SocketType) -> io::Result<zmq::Socket> {
        Ok(self.connecting(self.first().socket(kind)?)?)
    }

    /// A socket that will bind, with the instance's options, for other processes to connect to. `name`: the socket's name in the
    /// log. Needs an actix system.
    pub fn server_socket(&self, kind: zmq::SocketType, name: &'static str) -> io::Result<zmq::Socket> {
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
        let (has_key, mut refusals) = (self.key.is_some(), RefusalLog::new(name, self.log.clone()));
        watch(monitor(&socket, &self.first(), REFUSALS)?, self.log.clone(), move |message| {
            if let Told::Event { event, value, .. } = message
                && let Some(reason) = refusal(event, value, has_key)
            {
                refusals.tell(reason, None);
            }
        })?;
        Ok(socket)
    }

    /// Interval of ZMTP heartbeats.
    pub fn heartbeat(&self) -> Duration {
        self.options.heartbeat
    }

    /// When a connection that is down is renewed.
    pub fn renewal(&self) -> RenewalPolicy {
        let SocketOptions { connect_timeout, reconnect_min, reconnect_max, .. } = self.options;
        RenewalPolicy {
            // libzmq's first attempts to reconnect come after one and three times `reconnect_min`, with jitter.
            first: (reconnect_min * 4).max(MIN_RENEWAL),
            longest: reconnect_max.max(connect_timeout + self.options.handshake()),
        }
    }

    fn connecting(&self, socket: zmq::Socket) -> zmq::Result<zmq::Socket> {
        self.options.apply(&socket)?;
        self.options.send_heartbeats(&socket)?;
        match &self.key {
            Some(key) => connect_with(key, &socket)?,
            None => refuse_old_peers(&socket)?,
        }
        Ok(socket)
    }
}

impl SocketOptions {
    /// Timeout of the handshake. libzmq's default is 30 s, far more than a peer of this program needs.
    fn handshake(&self) -> Duration {
        self.connect_timeout.max(Duration::from_secs(3))
    }

    /// Makes a socket that connects send ZMTP heartbeats. libzmq aborts the process if a heartbeat is due on a connection that
    /// was lost while libzmq did not read it because RCVHWM was reached (4.3.4, `timer_event` and the assertion in `out_event`
    /// of stream_engine_base.cpp). So these sockets have no RCVHWM: `broker.queue_bytes` and the messages that they have sent
    /// limit what they receive.
    fn send_heartbeats(&self, socket: &zmq::Socket) -> zmq::Result<()> {
        socket.set_rcvhwm(0)?;
        socket.set_heartbeat_ivl(millis(self.heartbeat))?;
        socket.set_heartbeat_timeout(millis(self.heartbeat_timeout))
    }

    /// Makes a socket that binds close the connections of dead peers, by TCP keep-alive, whose times are whole seconds. The
    /// socket answers ZMTP heartbeats and sends none, see [`Self::send_heartbeats`]: any peer can make it reach its RCVHWM.
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

/// Makes libzmq refuse peers that do not use ZMTP 3, by a ZAP domain. Otherwise it takes the first bytes of any program for
/// ZMTP 1, exchanges messages with it, and does not report on which connection its frames arrive.
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
        assert_eq!((sockets.len(), contexts.all.lock().len()), (1100, 3));
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

    /// libzmq ended the process in this case, see [`SocketOptions::send_heartbeats`].
    #[actix_rt::test]
    async fn the_loss_of_a_peer_whose_input_is_paused_does_not_end_the_process() {
        const HEARTBEAT: Duration = Duration::from_millis(20);
        let contexts = contexts(HEARTBEAT);
        let router = contexts.server_socket(zmq::ROUTER, "test").unwrap();
        router.set_rcvhwm(1).unwrap();
        router.bind("tcp://127.0.0.1:*").unwrap();
        let endpoint = router.get_last_endpoint().unwrap().unwrap();
        let address = endpoint.strip_prefix("tcp://").unwrap();
        let mut lost = dealer(address);
        // Far more than RCVHWM, and than libzmq reads at once.
        let messages = [&[0, 200][..], &[b'x'; 200]].concat().repeat(100);
        lost.write_all(&messages).unwrap();
        let router = Socket::attach(router).unwrap();
        assert_eq!(router.recv().await.unwrap()[1].len(), 200);
        // Reset, so that libzmq sees an error without reading the rest.
        socket2::SockRef::from(&lost).set_linger(Some(Duration::ZERO)).unwrap();
        drop(lost);
        // Time for several heartbeats to become due. There is no event to wait for.
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
    async fn a_message_without_end_closes_its_own_connection_only() {
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
        // Ten bytes that libzmq would take for ZMTP 1, and the greeting of a ZMTP 2.0 DEALER.
        for greeting in [&b"GET / HTTP"[..], b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x05\0\0"] {
            let mut stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
            // Shorter than the timeout of the handshake, which would close the connection too.
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            stream.write_all(greeting).unwrap();
            let end = stream.read_to_end(&mut vec![]).map_err(|error| error.kind());
            assert!(matches!(end, Ok(_) | Err(io::ErrorKind::ConnectionReset)), "{end:?}");
        }
    }
}

//! A ZeroMQ socket in an async task.
//!
//! ZMQ_FD is edge-triggered, and any call on the socket can consume an edge. Hence the rules: one task owns a socket; it reads
//! ZMQ_EVENTS before and after each wait; and it waits for the descriptor to be readable, for sending too (zmq_getsockopt(3)).

use std::ffi::{CStr, c_void};
use std::io;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, RawFd};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{Interest, unix::AsyncFd};
use zmq::PollEvents;
use zmq_sys::zmq_msg_t;

use super::{Weight, forget, log_closed, weigh};

/// The frames of one multipart message, in order.
pub type Frames = Vec<zmq::Message>;

/// Makes frames from byte strings.
pub fn frames_of<const N: usize>(parts: [&[u8]; N]) -> Frames {
    parts.into_iter().map(zmq::Message::from).collect()
}

/// Estimated overhead of a frame in libzmq, in bytes.
const PER_FRAME: usize = 128;

/// Memory of a message, in bytes, with libzmq's overhead for each frame.
pub fn memory(frames: &Frames) -> usize {
    frames.iter().map(|frame| frame.len() + PER_FRAME).sum()
}

/// The result of sending a message to a peer of a ROUTER.
#[derive(Debug)]
pub enum Routed {
    Sent,
    /// The peer's queue is full; the message is returned.
    Full(Frames),
    /// The peer is not connected any more.
    Gone,
}

/// Closes a TCP connection whose peer has acknowledged nothing for `time` (ZMQ_TCP_MAXRT, Linux's TCP_USER_TIMEOUT). The
/// `zmq` crate lacks this option.
pub fn set_tcp_user_timeout(socket: &mut zmq::Socket, time: Duration) -> zmq::Result<()> {
    let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the socket is open as long as it is borrowed, and libzmq copies the four bytes that the option has.
    let status = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            zmq_sys::ZMQ_TCP_MAXRT as i32,
            (&raw const millis).cast(),
            size_of::<i32>(),
        )
    };
    // SAFETY: errno is this thread's own.
    if status == 0 { Ok(()) } else { Err(zmq::Error::from_raw(unsafe { zmq_sys::zmq_errno() })) }
}

// Two functions of libzmq. The linker redirects libzmq's calls of them to our `__wrap_` functions (`--wrap`, see build.rs).
unsafe extern "C" {
    /// `bool zmq::pipe_t::write (const msg_t *)`
    #[link_name = "__real__ZN3zmq6pipe_t5writeEPKNS_5msg_tE"]
    fn write_pipe(pipe: *mut c_void, frame: *mut zmq_msg_t) -> bool;
    /// `void zmq::pipe_t::rollback () const`: removes the frames of an incomplete message.
    #[link_name = "__real__ZNK3zmq6pipe_t8rollbackEv"]
    fn roll_back_pipe(pipe: *const c_void);
}

/// Closes a connection whose incomplete message exceeds the limit (`unfinished.rs`), and drops the message's further frames.
#[unsafe(export_name = "__wrap__ZN3zmq6pipe_t5writeEPKNS_5msg_tE")]
unsafe extern "C" fn write_bounded(pipe: *mut c_void, frame: *mut zmq_msg_t) -> bool {
    // SAFETY: libzmq passes an initialised frame, which no other code uses until it is in the pipe.
    let (more, bytes) = unsafe { (zmq_sys::zmq_msg_more(frame) != 0, zmq_sys::zmq_msg_size(frame)) };
    let weight = weigh(pipe.addr(), bytes + PER_FRAME, more);
    // SAFETY: as above. Frames that this process sends have no such properties.
    if weight != Weight::Allowed
        && let Some(fd) = unsafe { property(frame, c"__fd") }.and_then(|fd| fd.parse().ok())
    {
        if weight == Weight::Exceeds {
            log_closed(unsafe { property(frame, c"Peer-Address") }.unwrap_or("unknown"));
            // SAFETY: this is the connection's I/O thread, the only one that closes the descriptor. It sees the end of the
            // connection next, and rolls the message back.
            let connection = unsafe { BorrowedFd::borrow_raw(fd) };
            let connection = socket2::SockRef::from(&connection);
            // Linger 0 resets the connection: a peer that only sends would not notice an orderly end. An error means that it is
            // closed already.
            let _ = connection.set_linger(Some(Duration::ZERO)).and_then(|()| connection.shutdown(Shutdown::Both));
        }
        // SAFETY: the caller has given the frame away, and initialises it again before its next use.
        unsafe { zmq_sys::zmq_msg_close(frame) };
        return true;
    }
    // SAFETY: these are the arguments of libzmq's own call.
    let is_written = unsafe { write_pipe(pipe, frame) };
    // libzmq refuses only the first frame of a message, and writes it again later.
    if !is_written || !more {
        forget(pipe.addr());
    }
    is_written
}

#[unsafe(export_name = "__wrap__ZNK3zmq6pipe_t8rollbackEv")]
unsafe extern "C" fn roll_back(pipe: *const c_void) {
    forget(pipe.addr());
    // SAFETY: this is the argument of libzmq's own call.
    unsafe { roll_back_pipe(pipe) }
}

/// A property of the connection that a frame was received on, see zmq_msg_gets(3); `__fd` is its descriptor.
///
/// # Safety
/// The frame must be initialised, and outlive the returned text.
unsafe fn property<'a>(frame: *const zmq_msg_t, name: &CStr) -> Option<&'a str> {
    // SAFETY: the frame is initialised, and the name ends in a zero.
    let value = unsafe { zmq_sys::zmq_msg_gets(frame, name.as_ptr()) };
    // SAFETY: the string ends in a zero and lives as long as the frame.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_str().ok()).flatten()
}

/// Operations that a socket can do without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Events {
    /// A message can be received.
    pub readable: bool,
    /// A message can be sent. On a REQ or DEALER with IMMEDIATE: a peer is connected.
    pub writable: bool,
}

/// A socket registered with the runtime of the thread it was attached on.
pub struct Socket {
    // Before the socket: the descriptor must leave the reactor before ZeroMQ closes it.
    fd: Option<AsyncFd<RawFd>>,
    inner: zmq::Socket,
}

impl Socket {
    /// Registers a socket with the current runtime. Fails outside a runtime or without a free file descriptor.
    pub fn attach(inner: zmq::Socket) -> io::Result<Self> {
        let mut socket = Self { fd: None, inner };
        socket.attach_here()?;
        Ok(socket)
    }

    /// Registers with the current runtime instead of the previous one, so that the reactor of the task's own thread wakes it.
    pub fn attach_here(&mut self) -> io::Result<()> {
        // Deregister first: a reactor refuses to register a descriptor twice.
        self.fd = None;
        // SAFETY: the descriptor is ZeroMQ's and stays open as long as its socket, which this struct owns together with
        // the registration and, by the order of its fields, drops after it.
        let fd = unsafe { AsyncFd::register_with_interest(self.inner.get_fd()?, Interest::READABLE) };
        self.fd = Some(fd.map_err(io::Error::from)?);
        Ok(())
    }

    /// The socket itself, to bind, connect and set options.
    pub fn raw(&self) -> &zmq::Socket {
        &self.inner
    }

    /// Reads ZMQ_EVENTS. Act on every event of the result before waiting: a second read may consume the edge of a message that
    /// arrived in between.
    pub fn events(&self) -> io::Result<Events> {
        let events = self.inner.get_events()?;
        Ok(Events { readable: events.contains(PollEvents::POLLIN), writable: events.contains(PollEvents::POLLOUT) })
    }

    /// Receives a message without waiting; `None` if there is none.
    pub fn try_recv(&self) -> io::Result<Option<Frames>> {
        let mut frames = Frames::with_capacity(4);
        loop {
            // If the first frame has arrived, the others have too: ZeroMQ delivers multipart messages atomically.
            match self.inner.recv_msg(zmq::DONTWAIT) {
                Ok(frame) => {
                    let more = frame.get_more();
                    frames.push(frame);
                    if !more {
                        return Ok(Some(frames));
                    }
                }
                Err(zmq::Error::EAGAIN) if frames.is_empty() => return Ok(None),
                Err(zmq::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Ready with the next message.
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<Frames>> {
        loop {
            if self.events()?.readable
                && let Some(frames) = self.try_recv()?
            {
                return Poll::Ready(Ok(frames));
            }
            ready!(self.poll_edge(cx))?;
        }
    }

    /// Ready when the socket's events may have changed; the caller then reads them and polls again.
    pub fn poll_edge(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut guard = ready!(fd.poll_read_ready(cx))?;
        guard.clear_ready();
        Poll::Ready(Ok(()))
    }

    /// Receives the next message. Cancel-safe.
    pub async fn recv(&self) -> io::Result<Frames> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Sends a message without waiting; returns the frames if ZeroMQ would have to wait.
    pub fn try_send(&self, frames: Frames) -> io::Result<Option<Frames>> {
        // Check first: `send_multipart` consumes the frames even if ZeroMQ refuses them.
        if !self.events()?.writable {
            return Ok(Some(frames));
        }
        self.inner.send_multipart(frames, zmq::DONTWAIT)?;
        Ok(None)
    }

    /// Sends a message on a ROUTER with ROUTER_MANDATORY, to the peer whose routing id is its first frame.
    pub fn try_route(&self, mut frames: Frames) -> io::Result<Routed> {
        // ZeroMQ looks the peer up by the first frame. Sending a copy of it keeps `frames` whole if the peer can't take them.
        match self.inner.send(&frames[0][..], zmq::DONTWAIT | zmq::SNDMORE) {
            Err(zmq::Error::EAGAIN) => return Ok(Routed::Full(frames)),
            Err(zmq::Error::EHOSTUNREACH) => return Ok(Routed::Gone),
            other => other?,
        }
        self.inner.send_multipart(frames.drain(1..), zmq::DONTWAIT)?;
        Ok(Routed::Sent)
    }

    /// Sends a copy of a message on a ROUTER with ROUTER_MANDATORY; false if the peer is not connected, or its queue is full.
    pub fn try_route_to<'a>(&self, peer: &[u8], frames: impl IntoIterator<Item = &'a [u8]>) -> io::Result<bool> {
        match self.inner.send(peer, zmq::DONTWAIT | zmq::SNDMORE) {
            Err(zmq::Error::EAGAIN | zmq::Error::EHOSTUNREACH) => return Ok(false),
            other => other?,
        }
        self.inner.send_multipart(frames, zmq::DONTWAIT)?;
        Ok(true)
    }

    /// Sends a message, waiting while the queue is full. Dropping the future before it is ready sends nothing.
    pub async fn send(&self, frames: Frames) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            while !self.events()?.writable {
                ready!(self.poll_edge(cx))?;
            }
            Poll::Ready(io::Result::Ok(()))
        })
        .await?;
        self.inner.send_multipart(frames, zmq::DONTWAIT)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    fn pair(context: &zmq::Context) -> (zmq::Socket, zmq::Socket) {
        let (left, right) = (context.socket(zmq::PAIR).unwrap(), context.socket(zmq::PAIR).unwrap());
        left.bind("inproc://pair").unwrap();
        right.connect("inproc://pair").unwrap();
        (left, right)
    }

    #[tokio::test]
    async fn messages_cross_whole_and_in_order() {
        let context = zmq::Context::new();
        let (left, right) = pair(&context);
        let (left, right) = (Socket::attach(left).unwrap(), Socket::attach(right).unwrap());
        for round in 0..3_000_u32 {
            left.send(frames_of([b"", &round.to_le_bytes()])).await.unwrap();
            let frames = timeout(Duration::from_secs(5), right.recv()).await.expect("an edge was lost").unwrap();
            assert_eq!((frames.len(), &frames[1][..]), (2, &round.to_le_bytes()[..]));
        }
    }

    #[tokio::test]
    async fn a_dropped_receive_loses_nothing() {
        let context = zmq::Context::new();
        let (left, right) = pair(&context);
        let (left, right) = (Socket::attach(left).unwrap(), Socket::attach(right).unwrap());
        assert!(timeout(Duration::from_millis(1), right.recv()).await.is_err());
        left.send(frames_of([b"a"])).await.unwrap();
        assert_eq!(&right.recv().await.unwrap()[0][..], b"a");
    }

    #[tokio::test]
    async fn a_socket_that_is_attached_again_keeps_its_messages() {
        let context = zmq::Context::new();
        let (left, right) = pair(&context);
        left.send("kept", 0).unwrap();
        let mut right = Socket::attach(right).unwrap();
        right.attach_here().unwrap();
        assert_eq!(&right.recv().await.unwrap()[0][..], b"kept");
    }

    #[tokio::test]
    async fn a_request_socket_shows_whether_its_peer_is_connected_while_it_waits_for_a_reply() {
        let context = zmq::Context::new();
        let router = context.socket(zmq::ROUTER).unwrap();
        router.set_linger(0).unwrap();
        router.bind("tcp://127.0.0.1:*").unwrap();
        let address = router.get_last_endpoint().unwrap().unwrap();
        let request = context.socket(zmq::REQ).unwrap();
        request.set_linger(0).unwrap();
        request.set_req_relaxed(true).unwrap();
        request.set_req_correlate(true).unwrap();
        request.set_immediate(true).unwrap();
        request.connect(&address).unwrap();
        let request = Socket::attach(request).unwrap();
        request.send(frames_of([b"hello"])).await.unwrap();
        assert!(request.events().unwrap().writable);
        drop(router);
        let gone = std::future::poll_fn(|cx| {
            while request.events().unwrap().writable {
                ready!(request.poll_edge(cx)).unwrap();
            }
            Poll::Ready(())
        });
        timeout(Duration::from_secs(5), gone).await.expect("the loss of the peer was not reported");
    }
}

//! Peers in plain sockets, as the article's Node.js program would be.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use swarmq::runtime::zeromq::{Frames, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::in_time;

/// One end of a TCP connection on which JSON objects are exchanged.
pub struct Peer {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::of(in_time("a connection", TcpStream::connect(address)).await.unwrap())
    }

    /// One that can hold so many bytes of what it has not read.
    pub async fn connect_with(address: SocketAddr, receive_buffer: u32) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(receive_buffer).unwrap();
        Self::of(in_time("a connection", socket.connect(address)).await.unwrap())
    }

    pub async fn accept(listener: &TcpListener) -> Self {
        Self::of(in_time("a connection", listener.accept()).await.unwrap().0)
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![] }
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        in_time("room to send", self.stream.write_all(text.as_ref())).await.unwrap();
    }

    /// The next object; none at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let mut objects = serde_json::Deserializer::from_slice(&self.buffer).into_iter();
            match objects.next() {
                Some(Ok(object)) => {
                    let end = objects.byte_offset();
                    self.buffer.drain(..end);
                    return Some(object);
                }
                Some(Err(error)) => assert!(error.is_eof(), "{error}: {}", String::from_utf8_lossy(&self.buffer)),
                None => {}
            }
            // A reset is an end too.
            if in_time("an object", self.stream.read_buf(&mut self.buffer)).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next object, which must come.
    #[track_caller]
    pub fn object(&mut self) -> impl Future<Output = Map<String, Value>> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Some(Value::Object(object)) => object,
                other => panic!("{caller}: no object: {other:?}"),
            }
        }
    }
}

/// A ZeroMQ socket that leaves nothing behind, bound to a port of its own or connected.
pub fn zmq_socket(kind: zmq::SocketType, connect: Option<SocketAddr>) -> (Socket, SocketAddr) {
    let socket = zmq::Context::new().socket(kind).unwrap();
    socket.set_linger(0).unwrap();
    let address = match connect {
        Some(address) => {
            socket.connect(&format!("tcp://{address}")).unwrap();
            address
        }
        None => {
            socket.bind("tcp://127.0.0.1:*").unwrap();
            socket.get_last_endpoint().unwrap().unwrap().strip_prefix("tcp://").unwrap().parse().unwrap()
        }
    };
    (Socket::attach(socket).unwrap(), address)
}

/// Frames to send.
pub fn frames<const N: usize>(parts: [&[u8]; N]) -> Frames {
    swarmq::runtime::zeromq::frames_of(parts)
}

/// The reply of the article's responder to a message: its own fields, then the message's.
pub fn article_reply(message: &[u8], body: &str) -> Value {
    let message: Map<String, Value> = serde_json::from_slice(message).unwrap();
    let mut reply = Map::new();
    reply.insert("responderId".into(), json!(23_096));
    reply.insert("requesterId".into(), message["requesterId"].clone());
    reply.insert("respondedAt".into(), message["requestedAt"].clone());
    reply.insert("body".into(), json!(body));
    reply.insert("responseType".into(), json!("Response"));
    for name in ["requestId", "messageId", "requestedAt"] {
        reply.insert(name.into(), message[name].clone());
    }
    reply.insert("filename".into(), json!("../../target.txt"));
    Value::Object(reply)
}

/// The article's response tier: a ROUTER that answers as its REP workers would, once each.
pub struct ArticleTier {
    pub socket: Socket,
    pub address: SocketAddr,
}

impl ArticleTier {
    pub fn bind() -> Self {
        let (socket, address) = zmq_socket(zmq::ROUTER, None);
        Self { socket, address }
    }

    /// The next message: its envelope, and its JSON.
    pub async fn message(&self) -> (Vec<Vec<u8>>, Vec<u8>) {
        let frames = in_time("a message", self.socket.recv()).await.unwrap();
        let empty = frames.iter().skip(1).position(|frame| frame.is_empty()).unwrap() + 1;
        let envelope = frames[..=empty].iter().map(|frame| frame.to_vec()).collect();
        (envelope, frames[empty + 1].to_vec())
    }

    /// Sends a reply, with nothing but JSON behind the envelope.
    pub async fn reply(&self, envelope: &[Vec<u8>], reply: &Value) {
        let mut frames: Frames = envelope.iter().map(zmq::Message::from).collect();
        frames.push(reply.to_string().into_bytes().into());
        self.socket.send(frames).await.unwrap();
    }
}

//! CURVE encryption and authentication: only holders of the deployment's key can connect.
//!
//! All instances share one key pair, and each end of a connection proves that it has it. A socket that binds is a CURVE server
//! with that key; a socket that connects is a client that uses the same pair as its own key. The ZAP authenticator (ZeroMQ
//! RFC 27) refuses every other client key: without it, any client that knows the public key could connect.

use std::io;
use std::net::SocketAddr;

use slog::{Logger, warn};

use super::{Frames, Socket, frames_of};
use crate::config::CurveKey;
use crate::runtime::LogLimit;
use crate::runtime::supervision::guarded;

/// Bytes that CURVE adds to each frame (ZeroMQ RFC 26): the command's name, a nonce, the box's authenticator, flags.
pub const FRAME_OVERHEAD: u64 = 8 + 8 + 16 + 1;

/// The endpoint where libzmq sends its ZAP requests.
const ZAP_ENDPOINT: &str = "inproc://zeromq.zap.01";
const ZAP_VERSION: &[u8] = b"1.0";

/// Values of the event HANDSHAKE_FAILED_PROTOCOL (zmq_socket_monitor(3)).
const CRYPTOGRAPHIC: u32 = 0x1100_0001;
const MECHANISM_MISMATCH: u32 = 0x1100_0002;

/// Makes a socket a CURVE client with the key.
pub fn connect_with(key: &CurveKey, socket: &zmq::Socket) -> zmq::Result<()> {
    socket.set_curve_publickey(key.public())?;
    socket.set_curve_secretkey(key.secret())?;
    socket.set_curve_serverkey(key.public())
}

/// Makes a socket a CURVE server with the key. Its context needs an authenticator before the socket is bound.
pub fn bind_with(key: &CurveKey, socket: &zmq::Socket) -> zmq::Result<()> {
    socket.set_curve_server(true)?;
    socket.set_curve_publickey(key.public())?;
    socket.set_curve_secretkey(key.secret())
}

/// Starts a context's ZAP authenticator, which accepts only clients with the key. Call it once for each context; it runs
/// until the runtime ends.
pub fn start_authenticator(context: &zmq::Context, key: CurveKey, log: Logger) -> io::Result<()> {
    let socket = context.socket(zmq::REP)?;
    socket.set_linger(0)?;
    socket.bind(ZAP_ENDPOINT)?;
    let socket = Socket::attach(socket)?;
    actix_rt::spawn(async move {
        let refusals = LogLimit::default();
        while let Ok(call) = socket.recv().await {
            // The loop continues after a panic: without it, no peer would be admitted.
            let answer = guarded("the authenticator", &log, || authenticate(&call, &key));
            let answer = answer.unwrap_or_else(|| {
                let frames = answer_to(&call, b"500", b"a fault in the authenticator");
                Answer { admitted: false, frames }
            });
            if !answer.admitted
                && let Some(times) = refusals.allow("")
            {
                let peer = call.get(3).and_then(|frame| frame.as_str()).unwrap_or("unknown").to_owned();
                warn!(log, "a peer was refused: it knows the deployment's public key, but authenticates with another key pair";
                    "peer" => peer, "times" => times);
            }
            // An error means that the context was terminated.
            let Ok(()) = socket.send(answer.frames).await else { return };
        }
    });
    Ok(())
}

struct Answer {
    admitted: bool,
    frames: Frames,
}

/// Answers `[version, id, domain, address, identity, mechanism, client's public key]`.
fn authenticate(call: &Frames, key: &CurveKey) -> Answer {
    let part = |index: usize| call.get(index).map_or(&[][..], |frame| &frame[..]);
    let admitted = part(0) == ZAP_VERSION && part(5) == b"CURVE" && part(6) == key.public();
    let (status, text): (&[u8], &[u8]) = match admitted {
        true => (b"200", b"OK"),
        false => (b"400", b"this is not the deployment's key"),
    };
    Answer { admitted, frames: answer_to(call, status, text) }
}

fn answer_to(call: &Frames, status: &[u8], text: &[u8]) -> Frames {
    let id = call.get(1).map_or(&[][..], |frame| &frame[..]);
    frames_of([ZAP_VERSION, id, status, text, b"", b""])
}

/// The monitor events that [`refusal`] explains.
pub const REFUSALS: u16 =
    zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL as u16 | zmq::SocketEvent::HANDSHAKE_FAILED_AUTH as u16;

/// Why a handshake failed; `None` if the cause is something else than the keys.
pub fn refusal(event: u16, value: u32, has_key: bool) -> Option<&'static str> {
    const AUTH: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_AUTH as u16;
    match (event, value) {
        (AUTH, _) => Some("it does not accept the key that is set here (curve.key, curve.key_file)"),
        (_, CRYPTOGRAPHIC) => Some("it has another key than is set here (curve.key, curve.key_file)"),
        (_, MECHANISM_MISMATCH) if has_key => Some("it has no key, and one is set here (curve.key, curve.key_file)"),
        (_, MECHANISM_MISMATCH) => Some("it has a key, and none is set here (curve.key, curve.key_file)"),
        _ => None,
    }
}

/// Logs why handshakes with peers fail. `name`: the socket's name in the log.
pub struct RefusalLog {
    name: &'static str,
    log: Logger,
    limit: LogLimit,
}

impl RefusalLog {
    pub fn new(name: &'static str, log: Logger) -> Self {
        Self { name, log, limit: LogLimit::default() }
    }

    /// `peer`: the address that the socket connects to; `None` if it listens.
    pub fn tell(&mut self, reason: &'static str, peer: Option<SocketAddr>) {
        if let Some(times) = self.limit.allow(reason) {
            let peer = peer.map(|peer| peer.to_string());
            warn!(self.log, "the handshake with a peer failed: {}", reason;
                "socket" => self.name, "peer" => peer, "times" => times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(public: &str) -> CurveKey {
        CurveKey::parse(&format!("{} {}", public.repeat(40), "1".repeat(40))).unwrap()
    }

    #[test]
    fn libzmq_is_compiled_with_curve() {
        assert_eq!(zmq::has("curve"), Some(true));
    }

    #[test]
    fn the_authenticator_accepts_only_the_deployments_public_key() {
        let own = key("0");
        let call = |version: &[u8], mechanism: &[u8], shown: &[u8]| {
            authenticate(&frames_of([version, b"7", b"", b"10.0.0.2", b"", mechanism, shown]), &own)
        };
        let answer = call(b"1.0", b"CURVE", own.public());
        let status: Vec<_> = answer.frames.iter().take(3).map(|frame| frame.to_vec()).collect();
        assert!(answer.admitted);
        assert_eq!((status, answer.frames.len()), (vec![b"1.0".to_vec(), b"7".to_vec(), b"200".to_vec()], 6));
        let refused = [
            call(b"1.0", b"CURVE", key("2").public()),
            call(b"1.0", b"CURVE", b""),
            call(b"1.0", b"PLAIN", own.public()),
            call(b"2.0", b"CURVE", own.public()),
            authenticate(&frames_of([b"1.0", b"7"]), &own),
        ];
        assert!(refused.iter().all(|answer| !answer.admitted && &answer.frames[2][..] == b"400"));
    }

    #[test]
    fn only_failures_of_handshakes_by_keys_are_explained() {
        const PROTOCOL: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL as u16;
        const AUTH: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_AUTH as u16;
        assert!(refusal(AUTH, 400, true).unwrap().starts_with("it does not accept the key that is set here"));
        assert!(refusal(PROTOCOL, CRYPTOGRAPHIC, true).unwrap().contains("another key"));
        assert_ne!(refusal(PROTOCOL, MECHANISM_MISMATCH, true), refusal(PROTOCOL, MECHANISM_MISMATCH, false));
        assert_eq!(refusal(PROTOCOL, 0x1000_0001, true), None);
    }
}

//! CURVE: ZeroMQ between processes encrypted, and for those alone that have the deployment's key.
//!
//! All instances share one key pair, and each end of a connection proves that it has it: whoever binds is the CURVE
//! server under that key, whoever connects is a client that knows the server's key and shows the same one. The doorman
//! admits no other (ZAP, ZeroMQ RFC 27): without it a client could make up a key of its own.

use std::io;

use slog::{Logger, warn};

use super::{Frames, LogLimit, Socket, Told, frames_of};
use crate::process::CurveKey;

/// What CURVE adds to each frame, in bytes (ZeroMQ RFC 26): the command's name, a nonce, the box's authenticator, flags.
pub const FRAME_OVERHEAD: u64 = 8 + 8 + 16 + 1;

/// Where libzmq asks whether a client may come in.
const DOORMAN: &str = "inproc://zeromq.zap.01";
const ZAP_VERSION: &[u8] = b"1.0";

/// Of HANDSHAKE_FAILED_PROTOCOL (zmq_socket_monitor(3)).
const CRYPTOGRAPHIC: u32 = 0x1100_0001;
const MECHANISM_MISMATCH: u32 = 0x1100_0002;

/// Makes a socket one that connects to those with the key.
pub fn connect_with(key: &CurveKey, socket: &zmq::Socket) -> zmq::Result<()> {
    socket.set_curve_publickey(key.public())?;
    socket.set_curve_secretkey(key.secret())?;
    socket.set_curve_serverkey(key.public())
}

/// Makes a socket one that those with the key can connect to. Its context needs a doorman before it is bound.
pub fn bind_with(key: &CurveKey, socket: &zmq::Socket) -> zmq::Result<()> {
    socket.set_curve_server(true)?;
    socket.set_curve_publickey(key.public())?;
    socket.set_curve_secretkey(key.secret())
}

/// Starts to admit those with the key, and nobody else, to what binds in a context. One for each context, until the
/// runtime ends.
pub fn start_doorman(context: &zmq::Context, key: CurveKey, log: Logger) -> io::Result<()> {
    let socket = context.socket(zmq::REP)?;
    socket.set_linger(0)?;
    socket.bind(DOORMAN)?;
    let socket = Socket::attach(socket)?;
    actix_rt::spawn(async move {
        let refusals = LogLimit::default();
        while let Ok(call) = socket.recv().await {
            let answer = admit(&call, &key);
            if !answer.admitted
                && let Some(times) = refusals.tell("")
            {
                let peer = call.get(3).and_then(|frame| frame.as_str()).unwrap_or("unknown").to_owned();
                warn!(log, "a peer was refused: it knows the public key, but shows another one than the deployment's";
                    "peer" => peer, "times" => times);
            }
            // An error is the end of the context.
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
fn admit(call: &Frames, key: &CurveKey) -> Answer {
    let part = |index: usize| call.get(index).map_or(&[][..], |frame| &frame[..]);
    let admitted = part(0) == ZAP_VERSION && part(5) == b"CURVE" && part(6) == key.public();
    let (status, text): (&[u8], &[u8]) = match admitted {
        true => (b"200", b"OK"),
        false => (b"400", b"this is not the deployment's key"),
    };
    Answer { admitted, frames: frames_of([ZAP_VERSION, part(1), status, text, b"", b""]) }
}

/// The events that [`tell_refusals`] needs.
pub const REFUSALS: u16 =
    zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL as u16 | zmq::SocketEvent::HANDSHAKE_FAILED_AUTH as u16;

/// What logs handshakes that fail for want of the same key on both sides. `here` says which socket it is.
pub fn tell_refusals(here: &'static str, has_key: bool, log: Logger) -> impl FnMut(&Told) + 'static {
    // Each reason by itself: one peer's must not hide another's.
    let refusals = LogLimit::default();
    move |told| {
        if let Told::Event { event, value, .. } = *told
            && let Some(reason) = reason(event, value, has_key)
            && let Some(times) = refusals.tell(reason)
        {
            warn!(log, "a peer can't be talked to: {}", reason;
                "socket" => here, "times" => times, "settings" => "curve.key, curve.key_file");
        }
    }
}

/// Why a handshake failed, where it is for a key.
fn reason(event: u16, value: u32, has_key: bool) -> Option<&'static str> {
    const AUTH: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_AUTH as u16;
    match (event, value) {
        (AUTH, _) => Some("it does not accept the key that is set here"),
        (_, CRYPTOGRAPHIC) => Some("it has another key than is set here"),
        (_, MECHANISM_MISMATCH) if has_key => Some("it has no key, and one is set here"),
        (_, MECHANISM_MISMATCH) => Some("it has a key, and none is set here"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(public: &str) -> CurveKey {
        CurveKey::parse(&format!("{} {}", public.repeat(40), "1".repeat(40))).unwrap()
    }

    #[test]
    fn the_doorman_admits_the_deployments_public_key_alone() {
        let own = key("0");
        let call = |version: &[u8], mechanism: &[u8], shown: &[u8]| {
            admit(&frames_of([version, b"7", b"", b"10.0.0.2", b"", mechanism, shown]), &own)
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
            admit(&frames_of([b"1.0", b"7"]), &own),
        ];
        assert!(refused.iter().all(|answer| !answer.admitted && &answer.frames[2][..] == b"400"));
    }

    #[test]
    fn handshakes_that_fail_for_other_reasons_than_a_key_are_not_told() {
        const PROTOCOL: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_PROTOCOL as u16;
        const AUTH: u16 = zmq::SocketEvent::HANDSHAKE_FAILED_AUTH as u16;
        assert_eq!(reason(AUTH, 400, true), Some("it does not accept the key that is set here"));
        assert_eq!(reason(PROTOCOL, CRYPTOGRAPHIC, true), Some("it has another key than is set here"));
        assert_ne!(reason(PROTOCOL, MECHANISM_MISMATCH, true), reason(PROTOCOL, MECHANISM_MISMATCH, false));
        assert_eq!(reason(PROTOCOL, 0x1000_0001, true), None);
    }
}

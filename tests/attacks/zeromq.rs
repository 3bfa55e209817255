//! Attacks on the broker's port.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use crate::deployment::{Site, is_before};
use crate::net::{at_once, hold, megabytes};

/// Messages of these frames behind an empty one, from DEALERs that read nothing; the bytes that were sent.
fn send(
    site: &Site,
    dealers: usize,
    most: usize,
    until: Instant,
    frames: impl Fn() -> Vec<Vec<u8>> + Sync,
) -> Result<usize> {
    let context = zmq::Context::new();
    let sent = at_once(dealers, |_| {
        let socket = context.socket(zmq::DEALER)?;
        socket.set_linger(0)?;
        socket.set_rcvhwm(1)?;
        socket.set_rcvbuf(4_096)?;
        socket.set_sndhwm(4)?;
        socket.set_sndtimeo(200)?;
        socket.connect(&format!("tcp://{}", site.broker))?;
        let mut bytes = 0;
        while is_before(until) && bytes < most {
            let frames = frames();
            let length = frames.iter().map(Vec::len).sum::<usize>();
            match socket.send_multipart([vec![]].into_iter().chain(frames), 0) {
                Ok(()) => bytes += length,
                // It is not read from, or connects again.
                Err(zmq::Error::EAGAIN) => {}
                Err(error) => return Err(error),
            }
        }
        // What was sent is not taken back by a close.
        hold(until);
        Ok(bytes)
    });
    sent.into_iter().sum::<zmq::Result<usize>>().context("a DEALER")
}

fn message(payload: &str) -> Vec<u8> {
    let id = || uuid::Uuid::new_v4().to_string();
    let message = json!({
        "requestId": id(), "messageId": id(), "requesterId": id(), "requestedAt": 1,
        "task": "echo", "parameters": { "payload": payload },
    });
    message.to_string().into_bytes()
}

/// Messages whose replies nobody reads.
pub fn deaf_dealers(site: &Site, until: Instant) -> Result<String> {
    let payload = "x".repeat(100_000);
    let bytes = send(site, 4, 1_500 << 20, until, || vec![message(&payload)])?;
    Ok(format!("{} messages of 100 kB from 4 DEALERs that do not read", bytes / 100_000))
}

/// Messages of hundreds of frames, each below the limit.
pub fn many_frames(site: &Site, until: Instant) -> Result<String> {
    let frames = || [message("x")].into_iter().chain((0..300).map(|_| vec![0; 1_000_000])).collect();
    let bytes = send(site, 1, 3_000 << 20, until, frames)?;
    Ok(format!("{} MB in messages of 300 frames of 1 MB", megabytes(bytes as u64)))
}

//! Attacks by WebSocket: frames the server has no use for, and dashboards that do not read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::deployment::{Site, is_before};
use crate::http::ask;
use crate::net::{at_once, connect, connect_deaf, megabytes, pour};

/// The most that is sent on one connection, in bytes: more than the limit of the web tier's memory.
const MOST: usize = 300 << 20;

fn upgrade(mut stream: TcpStream, web: SocketAddr) -> Result<TcpStream> {
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {web}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        ensure!(stream.read(&mut byte)? == 1 && head.len() < 4_096, "no answer to the upgrade");
        head.extend(byte);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// A frame's head, masked with zeros: its first byte and the length it announces.
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first, 0xff];
    head.extend(length.to_be_bytes());
    head.extend([0; 4]);
    head
}

/// Sends these bytes, then those again and again, on connections that follow each other; how many bytes were taken.
fn send(site: &Site, first: &[u8], then: &[u8], until: Instant) -> (usize, usize) {
    let sent = at_once(2, |_| {
        let (mut bytes, mut connections) = (0, 0);
        while is_before(until) {
            // It may be cut off at any moment.
            let Ok(mut stream) = connect(site.web).and_then(|stream| upgrade(stream, site.web)) else { continue };
            connections += 1;
            if stream.write_all(first).is_ok() {
                bytes += pour(&stream, then, MOST, until);
            }
        }
        (bytes, connections)
    });
    sent.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
}

/// Frames of a terabyte, as their head says, and then as much of it as is taken.
pub fn announced_frames(site: &Site, until: Instant) -> Result<String> {
    let (bytes, connections) = send(site, &head(0x82, 1 << 40), &vec![0; 1 << 20], until);
    Ok(format!("{connections} frames announced with 1 TiB, {} MB of them taken", megabytes(bytes as u64)))
}

/// Whole frames of 10 MB.
pub fn complete_frames(site: &Site, until: Instant) -> Result<String> {
    let mut frame = head(0x82, 10 << 20);
    frame.resize(frame.len() + (10 << 20), 0);
    let (bytes, connections) = send(site, &[], &frame, until);
    Ok(format!("frames of 10 MB on {connections} connections, {} MB of them taken", megabytes(bytes as u64)))
}

/// One message in fragments that never ends, each small enough.
pub fn endless_fragments(site: &Site, until: Instant) -> Result<String> {
    let fragment = |first| {
        let mut frame = head(first, 32 << 10);
        frame.resize(frame.len() + (32 << 10), 0);
        frame
    };
    let (bytes, connections) = send(site, &fragment(0x02), &fragment(0x00), until);
    Ok(format!("messages without an end on {connections} connections, {} MB of them taken", megabytes(bytes as u64)))
}

/// Dashboards that read nothing, while there is much to be shown.
pub fn silent_dashboards(site: &Site, until: Instant) -> Result<String> {
    /// There may be a limit, which is the point: a few more tries are enough then.
    const LEAST: usize = 200;
    const MOST: usize = 1_000;
    let large = json!({ "task": "echo", "parameters": { "bytes": 16_384 } });
    let (mut open, mut refused) = (Vec::new(), 0);
    for number in (0..MOST).take_while(|number| is_before(until) || *number < LEAST) {
        match connect_deaf(site.web).and_then(|stream| upgrade(stream, site.web)) {
            Ok(stream) => open.push(stream),
            Err(_) if refused > LEAST => break,
            Err(_) => refused += 1,
        }
        if number % 5 == 0 {
            let _ = ask(site.web, &large);
        }
    }
    while is_before(until) {
        let _ = ask(site.web, &large);
    }
    Ok(format!("{} dashboards that do not read, {refused} refused, over replies of 16 KiB", open.len()))
}

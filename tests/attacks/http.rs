//! HTTP calls, each on a connection of its own.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::net::connect;

/// The largest answer that is read, in bytes.
const LARGEST: u64 = 64 << 20;

/// Longest wait for an answer: more than any request may take by default.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a server answered.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    /// The beginning of the body.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        format!("{}: {}", self.status, text.chars().take(200).collect::<String>())
    }
}

/// Makes a call; headers given here stand in for the usual ones.
pub fn call(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
    let mut stream = connect(address)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let (host, length) = (address.to_string(), body.len().to_string());
    let usual =
        [("host", &*host), ("connection", "close"), ("content-type", "application/json"), ("content-length", &*length)];
    let is_given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in usual.iter().filter(|(name, _)| !is_given(name)).chain(headers) {
        head += &format!("{name}: {value}\r\n");
    }
    // A server that refuses what it was not sent yet closes; what it said is there to be read.
    let sent = stream.write_all((head + "\r\n").as_bytes()).and_then(|()| stream.write_all(body));
    let mut read = Vec::new();
    let heard = stream.take(LARGEST).read_to_end(&mut read);
    let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let Some(end) = end else {
        sent?;
        heard?;
        anyhow::bail!("the connection was closed without an answer");
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok(Answer { status, head, body: read.split_off(end + 4) })
}

pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    call(address, "GET", path, &[], b"")
}

/// Asks for a request and waits for its end.
pub fn ask(web: SocketAddr, request: &Value) -> Result<Answer> {
    let mut request = request.clone();
    request["wait"] = true.into();
    call(web, "POST", "/api/v1/requests", &[], request.to_string().as_bytes())
}

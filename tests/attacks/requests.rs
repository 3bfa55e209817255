//! Attacks by requests that any client may send.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::deployment::{Site, is_before};
use crate::http::ask;
use crate::net::{at_once, connect, hold};

/// Sends one object to the requester tier; its answer, and whether it came.
fn object(requester: SocketAddr, object: &str) -> Result<Value> {
    let mut stream = connect(requester)?;
    // More than any request may take by default.
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    stream.set_write_timeout(Some(Duration::from_secs(15)))?;
    stream.write_all(object.as_bytes())?;
    let mut read = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut chunk).context("no answer")?;
        ensure!(count > 0, "the connection was closed without an answer");
        read.extend_from_slice(&chunk[..count]);
        match serde_json::from_slice(&read) {
            Ok(answer) => return Ok(answer),
            Err(error) => ensure!(error.is_eof(), "{error}"),
        }
    }
}

/// Fails unless an answer is whole, or an error that names a limit.
fn names_the_limit(what: &str, answer: &Value) -> Result<()> {
    let text = answer.to_string();
    let is_response = text.contains(r#""responseType":"Response""#) && !text.contains(r#""responseType":"Error""#);
    let beginning: String = text.chars().take(300).collect();
    ensure!(is_response || text.contains("max_") || text.contains("bytes"), "{what}: no limit is named: {beginning}");
    Ok(())
}

/// A file and a payload that are within the limits, and as JSON several times as long.
pub fn replies_above_the_limit(site: &Site, until: Instant) -> Result<String> {
    let mut count = 0;
    // Odd ones are backslashes, each of which is one more in JSON.
    let backslashes = "\\\\".repeat(300_000);
    while is_before(until) || count == 0 {
        for name in ["zeros", "fewer-zeros"] {
            let answer = ask(site.web, &json!({ "task": "file", "filename": name, "timeoutMs": 1_000 }))?;
            names_the_limit(&format!("the file {name}"), &answer.json()?)?;
        }
        let id = uuid::Uuid::new_v4();
        let request = format!(r#"{{"requestId":"{id}","task":"echo","parameters":{{"x":"{backslashes}"}}}}"#);
        names_the_limit("an echo of backslashes", &object(site.requester, &request)?)?;
        count += 3;
    }
    Ok(format!("{count} requests whose replies are up to six times as long as JSON"))
}

/// Objects that just fit on the TCP hop: the messages made of them are longer.
pub fn messages_at_the_limit(site: &Site, until: Instant) -> Result<String> {
    const LIMIT: usize = 1 << 20;
    let mut count = 0;
    while is_before(until) || count == 0 {
        for spare in [0, 1, 50, 150, 300, 1_000, 10_000] {
            let head = format!(r#"{{"requestId":"{}","task":"echo","parameters":{{"x":""#, uuid::Uuid::new_v4());
            let request = format!("{head}{}\"}}}}", "x".repeat(LIMIT - spare - head.len() - 3));
            names_the_limit(&format!("an object of {} bytes", request.len()), &object(site.requester, &request)?)?;
            count += 1;
        }
    }
    Ok(format!("{count} objects of about 1 MiB"))
}

/// Fields that are the program's own, brought in from outside.
pub fn reserved_fields(site: &Site, until: Instant) -> Result<String> {
    const FIELDS: [(&str, &str); 11] = [
        ("messageId", r#""m""#),
        ("requesterId", r#""r""#),
        ("requestedAt", "7"),
        ("responderId", "7"),
        ("respondedAt", "7"),
        ("responseType", r#""Error""#),
        ("body", r#""b""#),
        ("timings", "[]"),
        ("node", "7"),
        ("service", "7"),
        ("code", r#""overloaded""#),
    ];
    let mut count = 0;
    // Each occupied a worker until its deadline, which is an hour at most and far behind the end of the attack.
    let mut open = Vec::new();
    while is_before(until) && count < 2_000 || count == 0 {
        for (field, value) in FIELDS {
            let id = uuid::Uuid::new_v4();
            let request = format!(
                r#"{{"requestId":"{id}","task":"echo","fanOut":"one","timeoutMs":3600000,"parameters":{{"payload":"own"}},"{field}":{value}}}"#
            );
            let mut stream = connect(site.requester)?;
            stream.write_all(request.as_bytes())?;
            open.push(stream);
            count += 1;
        }
        // Room for the next ones: they have all been taken in.
        if open.len() > 100 {
            open.clear();
        }
    }
    hold(until);
    Ok(format!("{count} objects with {} fields of the program's own", FIELDS.len()))
}

/// The longest timeouts that can be written, with a field that made the reply unattributable, then gone.
pub fn endless_timeouts(site: &Site, until: Instant) -> Result<String> {
    let mut count = 0;
    while is_before(until) && count < 2_000 || count == 0 {
        for field in ["", r#","messageId":"m""#, r#","requestedAt":1"#] {
            let id = uuid::Uuid::new_v4();
            let request = format!(
                r#"{{"requestId":"{id}","task":"echo","fanOut":"one","timeoutMs":18446744073709551615{field}}}"#
            );
            connect(site.requester)?.write_all(request.as_bytes())?;
            count += 1;
        }
    }
    hold(until);
    Ok(format!("{count} objects with a timeout of 584 million years"))
}

/// Small requests with the largest replies, which the web tier keeps.
pub fn kept_replies(site: &Site, until: Instant) -> Result<String> {
    /// Of each client: together more than the limit, where all are kept.
    const LEAST: usize = 60;
    let latest = until + Duration::from_secs(30);
    let counts = at_once(4, |_| {
        let mut count = 0;
        for _ in (0..2_000).take_while(|number| is_before(until) || (*number < LEAST && is_before(latest))) {
            let asked = ask(site.web, &json!({ "task": "echo", "parameters": { "bytes": 262_144 } }));
            count += usize::from(asked.is_ok_and(|answer| answer.status == 200));
        }
        count
    });
    Ok(format!("{} requests with 3 replies of 256 KiB", counts.iter().sum::<usize>()))
}

/// As much hashing as a message may ask for, by ten clients that do not wait for it.
pub fn cpu_rounds(site: &Site, until: Instant) -> Result<String> {
    // Up to what is refused: the limit is a setting.
    let allowed = |rounds: &u64| {
        let answer = ask(site.web, &json!({ "task": "cpu", "fanOut": "one", "parameters": { "rounds": rounds } }));
        answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.body).contains(r#""responseType":"Response""#))
    };
    let rounds = [10_000_000, 5_000_000, 2_000_000, 1_000_000, 500_000, 200_000, 100_000].into_iter().find(allowed);
    let rounds = rounds.context("no cpu task is done")?;
    let mut count = 0;
    while is_before(until) || count == 0 {
        let request = json!({ "task": "cpu", "parameters": { "rounds": rounds }, "timeoutMs": 1_000 });
        at_once(10, |_| ask(site.web, &request));
        count += 10;
    }
    Ok(format!("{count} requests of {rounds} rounds, ten at a time"))
}

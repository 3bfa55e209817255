//! Attacks on the requester's TCP port.

use std::fmt::Write as _;
use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::deployment::{Site, is_before};
use crate::http::{ask, get};
use crate::net::{at_once, connect, connect_deaf, hold, megabytes, pour, wait_for};

/// The most that one connection sends, in bytes.
const MOST: usize = 64 << 20;

/// Pours objects into many connections, again on new ones when they end; the bytes that were taken.
fn flood(site: &Site, connections: usize, until: Instant, objects: impl Fn() -> String + Sync) -> usize {
    let sent = at_once(connections, |_| {
        let mut bytes = 0;
        while is_before(until) && bytes < MOST {
            let Ok(stream) = connect_deaf(site.requester) else { continue };
            let objects = objects();
            let count = pour(&stream, objects.as_bytes(), objects.len().min(MOST - bytes), until);
            bytes += count;
            if count == objects.len() {
                // All was taken, and the answers are not read: they are kept, or the connection is given up.
                let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
                let _ = (&stream).read(&mut [0]);
            }
        }
        bytes
    });
    sent.iter().sum()
}

/// Small requests without number, whose replies nobody reads.
pub fn unread_replies(site: &Site, until: Instant) -> Result<String> {
    let objects = || {
        let mut text = String::new();
        for _ in 0..20_000 {
            let id = uuid::Uuid::new_v4();
            let _ = writeln!(text, r#"{{"requestId":"{id}","task":"echo","parameters":{{"payload":"x"}}}}"#);
        }
        text
    };
    let bytes = flood(site, 16, until, objects);
    Ok(format!("about {} requests on 16 connections that do not read", bytes / 96))
}

/// Objects of 1 MB, as fast as they are taken.
pub fn large_objects(site: &Site, until: Instant) -> Result<String> {
    let payload = "x".repeat(1_000_000);
    let objects = || {
        let object = |_| {
            let id = uuid::Uuid::new_v4();
            format!(r#"{{"requestId":"{id}","task":"echo","parameters":{{"payload":"{payload}"}}}}"#)
        };
        (0..8).map(object).collect()
    };
    let bytes = flood(site, 16, until, objects);
    Ok(format!("{} objects of 1 MB on 16 connections that do not read", megabytes(bytes as u64)))
}

/// On as many connections as there may be, all but the end of an object of 1 MB.
pub fn unfinished_objects(site: &Site, until: Instant) -> Result<String> {
    let mut object = br#"{"requestId":"unfinished","task":"echo","parameters":{"payload":""#.to_vec();
    object.resize(1_000_000, b'x');
    let counts = at_once(255, |_| {
        let mut bytes = 0;
        while is_before(until) && bytes < MOST {
            let Ok(stream) = connect(site.requester) else { continue };
            let _ = stream
                .set_read_timeout(Some(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))));
            bytes += pour(&stream, &object, object.len(), until);
            // Until it is given up.
            let _ = (&stream).read(&mut [0]);
        }
        bytes
    });
    Ok(format!("{} MB of objects without an end on 255 connections", megabytes(counts.iter().sum::<usize>() as u64)))
}

/// Connections that say nothing, before the web tier comes.
pub fn idle_connections(site: &Site, until: Instant) -> Result<String> {
    /// For the web tier to get through, in seconds: idle ones are not waited for for ever.
    const LONGEST: Duration = Duration::from_secs(19);
    let open: Vec<_> = (0..300).filter_map(|_| connect(site.requester).ok()).collect();
    let begun = Instant::now();
    let connected = get(site.web, "/api/v1/dispatcher/connect")?;
    let probe = json!({ "task": "echo", "parameters": { "payload": "x" } });
    if connected.status == 200 {
        // It says that it is connected, so it has to be.
        let answer = ask(site.web, &probe)?;
        ensure!(answer.status == 200, "connect says 200, and the next request gets {}", answer.text());
    }
    let served = || {
        get(site.web, "/api/v1/dispatcher/connect").ok().filter(|answer| answer.status == 200)?;
        ask(site.web, &probe).ok().filter(|answer| answer.status == 200)
    };
    let served = wait_for(LONGEST, served);
    ensure!(served.is_some(), "{} idle connections keep the web tier out for {} s", open.len(), LONGEST.as_secs());
    let took = begun.elapsed();
    hold(until);
    Ok(format!("{} idle connections; the web tier was through after {:.1} s", open.len(), took.as_secs_f64()))
}

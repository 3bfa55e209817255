//! Attacks on HTTP: what is served to whom, and connections to web tier and admin servers.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::deployment::{SECRET, Site, is_before};
use crate::http::{ask, call};
use crate::net::{at_once, connect, hold, wait_for};

/// Asks for the program's own files by all the names they have.
pub fn secrets(site: &Site, until: Instant) -> Result<String> {
    const NAMES: [&str; 10] = [
        "token",
        "curve.key",
        "link",
        "config/default.toml",
        "config/local.toml",
        "experiments/run/plan.toml",
        ".env",
        ".git/config",
        ".hidden/x",
        "files/.hidden/x",
    ];
    const WAYS: [&str; 5] = ["", "./", "files/../", "config/../", "../"];
    let mut count = 0;
    while is_before(until) || count == 0 {
        for (way, name) in WAYS.iter().flat_map(|way| NAMES.iter().map(move |name| (way, name))) {
            let filename = format!("{way}{name}");
            let answer = ask(site.web, &json!({ "task": "file", "filename": filename, "fanOut": "one" }))?;
            let body = String::from_utf8_lossy(&answer.body);
            ensure!(!body.contains(SECRET), "{filename} was served");
            count += 1;
        }
    }
    Ok(format!("{count} requests for secrets and settings, under {} names", NAMES.len() * WAYS.len()))
}

/// Server, method, path, headers and body.
type Call<'a> = (SocketAddr, &'a str, &'a str, Vec<(&'a str, &'a str)>, &'a [u8]);

/// What a page of another site can make a browser do.
pub fn foreign_pages(site: &Site, until: Instant) -> Result<String> {
    const ORIGIN: (&str, &str) = ("origin", "http://evil.example");
    const HOST: (&str, &str) = ("host", "evil.example");
    let own = site.web.to_string();
    let upgrade = |headers: &[(&'static str, &'static str)]| {
        let mut all = vec![
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        all.extend(headers);
        all
    };
    let panic = "/api/v1/control/instances/attacked-responder/workers/0/panic";
    let admin_panic = "/control/attacked-responder/workers/0/panic";
    let load = br#"{"count":1}"#;
    let delay = br#"{"kind":"fixed","meanMs":60000}"#;
    let no_type = |origin| vec![origin, ("content-type", "")];
    let calls: Vec<Call<'_>> = vec![
        (site.web, "GET", "/ws", upgrade(&[ORIGIN]), b""),
        (site.web, "GET", "/ws", upgrade(&[ORIGIN, HOST]), b""),
        (site.web, "POST", "/api/v1/dispatcher/disconnect", no_type(ORIGIN), b""),
        (site.web, "POST", panic, no_type(ORIGIN), b""),
        (site.admins[2], "POST", admin_panic, no_type(ORIGIN), b""),
        (site.web, "POST", "/api/v1/load", vec![ORIGIN], load),
        (site.web, "PUT", "/api/v1/control/delay", vec![ORIGIN], delay),
        // A name of the attacker's that resolves to this machine: then the origin is the host.
        (site.web, "GET", "/api/v1/topology", vec![HOST], b""),
        (site.web, "POST", "/api/v1/dispatcher/disconnect", vec![HOST, ORIGIN], b""),
        (site.web, "POST", "/api/v1/load", vec![HOST, ORIGIN], load),
        (site.web, "PUT", "/api/v1/control/delay", vec![HOST, ORIGIN], delay),
        (site.admins[2], "POST", admin_panic, vec![HOST, ORIGIN], b""),
    ];
    let mut count = 0;
    let mut served = Vec::new();
    while is_before(until) || count == 0 {
        for (address, method, path, headers, body) in &calls {
            let answer = call(*address, method, path, headers, body)?;
            count += 1;
            let told = format!("{method} {path} with {headers:?}: {}", answer.status);
            if answer.status < 400 && !served.contains(&told) {
                served.push(told);
            }
        }
    }
    ensure!(served.is_empty(), "served to pages of others ({own}): {}", served.join("; "));
    Ok(format!("{count} calls of {} kinds with a foreign Origin or Host", calls.len()))
}

/// Calls that change something, from someone who does not have the token.
pub fn calls_without_permission(site: &Site, until: Instant) -> Result<String> {
    const WRONG: (&str, &str) = ("authorization", "Bearer wrong");
    let of = |path: &str| format!("/api/v1/control/instances/attacked-responder/{path}");
    let calls: [(&str, String, &[u8]); 9] = [
        ("POST", "/api/v1/dispatcher/disconnect".to_owned(), b""),
        ("PUT", "/api/v1/control/delay".to_owned(), br#"{"kind":"fixed","meanMs":60000}"#),
        ("PUT", of("workers"), br#"{"workers":0}"#),
        ("PUT", of("faults"), br#"{"errorRate":1}"#),
        ("POST", of("workers/0/panic"), b""),
        ("POST", of("workers/0/stall"), br#"{"ms":60000}"#),
        ("POST", "/api/v1/load".to_owned(), br#"{"count":1}"#),
        ("POST", "/api/v1/experiments/runs".to_owned(), br#"{"plan":""}"#),
        ("POST", "/api/v1/experiments/check".to_owned(), br#"{"plan":""}"#),
    ];
    let mut count = 0;
    let mut served = Vec::new();
    while is_before(until) || count == 0 {
        for (method, path, body) in &calls {
            for headers in [&[][..], &[WRONG]] {
                let answer = call(site.web, method, path, headers, body)?;
                count += 1;
                let told = format!("{method} {path}: {}", answer.status);
                if !matches!(answer.status, 401 | 403) && !served.contains(&told) {
                    served.push(told);
                }
            }
        }
    }
    ensure!(served.is_empty(), "not refused for want of permission: {}", served.join("; "));
    Ok(format!("{count} calls of {} kinds without the token", calls.len()))
}

/// Bodies that are a thousand times as long once they are inflated.
pub fn gzip_bombs(site: &Site, until: Instant) -> Result<String> {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..60 {
        bomb.write_all(&vec![b' '; 1 << 20])?;
    }
    let bomb = bomb.finish()?;
    let paths = [(site.web, "POST", "/api/v1/requests"), (site.admins[2], "PUT", "/control/attacked-responder/delay")];
    let counts = at_once(20, |number| {
        let mut count = 0;
        while (is_before(until) || count < 3) && count < 1_000 {
            let (address, method, path) = paths[number % 2];
            // Most are cut off before they are read.
            let _ = call(address, method, path, &[("content-encoding", "gzip")], &bomb);
            count += 1;
        }
        count
    });
    Ok(format!("{} bodies of {} kB, 60 MB inflated, 20 at a time", counts.iter().sum::<usize>(), bomb.len() / 1_000))
}

/// Bodies that never come. Each holds a descriptor until it is cut off, as it has to be.
pub fn slow_bodies(site: &Site, until: Instant) -> Result<String> {
    const EACH: usize = 150;
    /// Long enough for anybody who means to send a body.
    const LONGEST: Duration = Duration::from_secs(45);
    let mut open = Vec::new();
    let [web_admin, .., responder_admin] = site.admins[..] else { return Ok("nothing".to_owned()) };
    for (address, path) in [
        (site.web, "POST /api/v1/requests"),
        (web_admin, "PUT /control/attacked-web/workers"),
        (responder_admin, "PUT /control/attacked-responder/delay"),
    ] {
        for _ in 0..EACH {
            let mut stream = connect(address)?;
            let head = "content-type: application/json\r\ncontent-length: 60\r\n\r\n{";
            stream.write_all(format!("{path} HTTP/1.1\r\nhost: {address}\r\n{head}").as_bytes())?;
            stream.set_nonblocking(true)?;
            open.push(stream);
        }
    }
    let (count, begun) = (open.len(), Instant::now());
    wait_for(LONGEST, || {
        open.retain_mut(|stream| match stream.read(&mut [0; 4_096]) {
            // The end, or a byte of the answer before it.
            Ok(_) => false,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        });
        open.is_empty().then_some(())
    });
    ensure!(open.is_empty(), "{} of {count} bodies were still waited for after {} s", open.len(), LONGEST.as_secs());
    let cut = begun.elapsed().as_secs();
    hold(until);
    Ok(format!("{count} bodies of which one byte came, cut off within {cut} s"))
}

/// Thousands of connections, many at once, to every port that clients reach.
pub fn many_connections(site: &Site, until: Instant) -> Result<String> {
    const EACH: usize = 3_000;
    const THREADS: usize = 30;
    let mut count = 0;
    while is_before(until) || count == 0 {
        let open = at_once(THREADS, |number| {
            let address = [site.web, site.requester, site.broker][number % 3];
            let left = (0..EACH * 3 / THREADS).take_while(|_| is_before(until));
            left.filter_map(|_| connect(address).ok()).collect::<Vec<_>>()
        });
        count += open.iter().map(Vec::len).sum::<usize>().max(1);
    }
    Ok(format!("{count} connections, up to {} open at once", 3 * EACH))
}

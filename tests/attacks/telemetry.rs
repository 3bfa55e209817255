//! Attacks on the web tier's telemetry port: what a stranger tells of instances, links and messages.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::TOKEN;
use crate::deployment::{Site, is_before};
use crate::http::{ask, call, get};
use crate::net::{at_once, hold};

/// Between two messages, of many events each: a PUB socket drops what is too fast.
const PAUSE: Duration = Duration::from_millis(1);

/// A peer that leaves has been there for so long.
const STAY: Duration = Duration::from_millis(700);

/// Tells events, an array of so many at a time, until a time or until there are `most`; how many were told.
fn tell(site: &Site, at_a_time: usize, most: usize, until: Instant, event: impl Fn(usize) -> String) -> Result<usize> {
    let context = zmq::Context::new();
    let socket = context.socket(zmq::PUB)?;
    socket.set_linger(0)?;
    socket.set_sndhwm(100)?;
    socket.connect(&format!("tcp://{}", site.telemetry))?;
    let mut told = 0;
    while is_before(until) && told < most {
        let events: Vec<_> = (told..told + at_a_time).map(&event).collect();
        told += events.len();
        socket.send(&*format!("[{}]", events.join(",")), 0)?;
        thread::sleep(PAUSE);
    }
    // What the other end has not taken yet would end with the socket.
    hold(until);
    Ok(told)
}

/// A real instance's snapshot.
fn snapshot(site: &Site, id: &str) -> Result<Value> {
    let mut snapshot = get(site.web, "/api/v1/topology")?.json()?["instances"][id].take();
    snapshot.as_object_mut().with_context(|| format!("{id} is not in the topology"))?.remove("seenAt");
    Ok(snapshot)
}

/// Instances that are not there, with an admin server that collects tokens, and real ones that are said to have it.
pub fn forged_admin_servers(site: &Site, until: Instant) -> Result<String> {
    let trap = TcpListener::bind("127.0.0.1:0")?;
    trap.set_nonblocking(true)?;
    let address = trap.local_addr()?;
    let real = snapshot(site, "attacked-responder")?;
    let forge = |id: &str, admin: String| {
        let mut forged = real.clone();
        forged["instance"]["id"] = id.into();
        forged["instance"]["admin"] = admin.into();
        json!({ "type": "instance", "snapshot": forged }).to_string()
    };
    let (caught, over, calls) = (Mutex::new(Vec::new()), AtomicBool::new(false), Mutex::new(0));
    let authorization = format!("Bearer {TOKEN}");
    let told = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if let Ok((mut stream, _)) = trap.accept() {
                    let mut read = vec![0; 4_096];
                    let _ = stream.set_nonblocking(false);
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                    let count = stream.read(&mut read).unwrap_or(0);
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                    caught.lock().unwrap().push(String::from_utf8_lossy(&read[..count]).into_owned());
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        // The operator, meanwhile.
        scope.spawn(|| {
            let own = "/api/v1/control/instances/attacked-responder/workers";
            let forged = "/api/v1/control/instances/forged/workers";
            while is_before(until) {
                for (path, body) in [
                    ("/api/v1/control/delay", r#"{"kind":"none"}"#),
                    (own, r#"{"workers":3}"#),
                    (forged, r#"{"workers":3}"#),
                ] {
                    let _ = call(site.web, "PUT", path, &[("authorization", &authorization)], body.as_bytes());
                    *calls.lock().unwrap() += 1;
                }
            }
        });
        let forged = [
            forge("forged", address.to_string()),
            forge("forged-with-a-path", format!("{address}/control/x?y=")),
            forge("attacked-responder", address.to_string()),
        ];
        let told = tell(site, 3, usize::MAX, until, |number| forged[number % 3].clone());
        over.store(true, Ordering::Relaxed);
        told
    })?;
    let caught = caught.into_inner().unwrap_or_default();
    let with_token = caught.iter().filter(|call| call.contains(TOKEN)).count();
    ensure!(
        with_token == 0,
        "{with_token} calls with the operator's token went to the attacker, first: {:?}",
        caught.iter().find(|call| call.contains(TOKEN))
    );
    let calls = calls.into_inner().unwrap_or_default();
    Ok(format!(
        "{told} forged snapshots while an operator made {calls} calls; {} went astray, without the token",
        caught.len()
    ))
}

/// Instances that are not there.
pub fn forged_instances(site: &Site, until: Instant) -> Result<String> {
    let mut forged = snapshot(site, "attacked-responder")?;
    forged["instance"]["id"] = "@".into();
    let forged = json!({ "type": "instance", "snapshot": forged }).to_string();
    let told = tell(site, 100, 500_000, until, |number| forged.replace('@', &format!("forged-{number}")))?;
    let text = get(site.web, "/api/v1/topology")?;
    Ok(format!("{told} forged instances; the topology is {} kB", text.body.len() / 1_000))
}

/// Instances that are not there, told by peers that are gone before all they told is taken in, and come again.
pub fn leaving_peers(site: &Site, until: Instant) -> Result<String> {
    let forged = json!({ "type": "instance", "snapshot": snapshot(site, "attacked-responder")? }).to_string();
    let forged = forged.replace("attacked-responder", "forged");
    let left = at_once(8, |_| {
        let mut left = 0;
        while is_before(until) {
            left += usize::from(tell(site, 100, 20_000, Instant::now() + STAY, |_| forged.clone()).is_ok());
        }
        left
    });
    Ok(format!("{} peers that came and left in the midst of what they told", left.iter().sum::<usize>()))
}

/// Links that the web tier is said to have.
pub fn forged_links(site: &Site, until: Instant) -> Result<String> {
    let told = tell(site, 400, 1_000_000, until, |number| {
        let address = format!("10.{}.{}.{}:5678", number >> 16 & 255, number >> 8 & 255, number & 255);
        format!(r#"{{"type":"link","instance":"attacked-web","address":"{address}","at":1,"state":"connecting"}}"#)
    })?;
    let topology = get(site.web, "/api/v1/topology")?;
    Ok(format!("{told} forged links; the topology is {} kB", topology.body.len() / 1_000))
}

/// Messages and replies of a request that has ended, and of requests that never were.
pub fn forged_messages(site: &Site, until: Instant) -> Result<String> {
    let view = ask(site.web, &json!({ "task": "echo", "parameters": { "payload": "x" } }))?.json()?;
    let own = view["requestId"].as_str().context("no request")?;
    let body = "x".repeat(10_000);
    let mut reply = view["replies"][0].clone();
    reply["requestId"] = "@request".into();
    reply["messageId"] = "@message".into();
    reply["body"] = body.clone().into();
    let kinds = [
        json!({ "type": "reply", "at": 1, "reply": reply }),
        json!({
            "type": "dispatched", "requestId": "@request", "messageId": "@message", "requesterId": "r", "instance": "i",
            "at": 1, "attempt": 1, "broker": "b",
        }),
        json!({
            "type": "request", "requestId": "@request", "at": 1, "task": body, "fanOut": "all", "timeoutMs": null,
            "links": 1,
        }),
        json!({
            "type": "accepted", "requestId": "@request", "at": 1,
            "accepted": { "instance": "i", "messages": [{ "messageId": "@message", "requesterId": "r" }] },
        }),
    ];
    let kinds = kinds.map(|kind| kind.to_string());
    let told = tell(site, 40, 300_000, until, |number| {
        let request = if number % 2 == 0 { own } else { &format!("forged-{}", number / 16) };
        let message = format!("forged-{number}");
        kinds[number / 2 % kinds.len()].replace("@request", request).replace("@message", &message)
    })?;
    Ok(format!("{told} forged events of messages, most of 10 kB or to one request"))
}

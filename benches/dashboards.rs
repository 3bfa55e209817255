//! The cost of open dashboards: many WebSockets watch the program, in a separate process, while it emits about a thousand
//! events per second. Prints the server's CPU time, and its memory after its stores are full. Fails if a dashboard misses the
//! last state.
//! Run it with `cargo bench --bench dashboards [DASHBOARDS] [SECONDS]`.

use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_rt::time::{sleep, timeout};
use awc::ws::Frame;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};

/// Requests per second: each is about ten events (request, acceptance, three sendings, three replies, outcome).
const RATE: u64 = 110;

/// Additional dashboards that never read.
const STUCK: usize = 10;

/// Time until twice the thousand requests that the server keeps have been sent.
const WARM_UP: Duration = Duration::from_secs(20);

/// Prefix of a snapshot's JSON.
const SNAPSHOT: &[u8] = br#"{"type":"snapshot""#;

/// Number of memory samples.
const SAMPLES: u32 = 6;

/// Clock ticks per second in /proc: always 100 on Linux (USER_HZ).
const TICKS: f64 = 100.0;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let dashboards = numbers.first().copied().unwrap_or(1_000);
    let seconds = numbers.get(1).copied().unwrap_or(90) as u64;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let (server, address) = start(dashboards);
    let server = Killed(server);
    actix_rt::System::new().block_on(run(server.0.id(), &address, dashboards, Duration::from_secs(seconds)));
}

/// Kills the server when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

/// Starts the program; returns its process and the web server's address.
fn start(dashboards: usize) -> (Child, String) {
    let places = dashboards + STUCK;
    let mut server = Command::new(env!("CARGO_BIN_EXE_swarmq"))
        .args(["--profile", "test", "--set", "log.level=info", "--set", "log.format=json", "--set", "web.batch=50ms"])
        .args(["--set", "telemetry.interval=500ms", "--set", "telemetry.events_per_second=5000"])
        .args(["--set", &format!("web.max_dashboards={places}")])
        .args(["--set", &format!("web.max_connections={}", places + 100)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .find(|line| line["what"] == "web tier, http")
        .and_then(|line| Some(line["address"].as_str()?.to_owned()))
        .expect("the program ended before it logged its address");
    (server, address)
}

async fn run(pid: u32, address: &str, dashboards: usize, time: Duration) {
    // The connector's default limit is 100 connections.
    let connector = awc::Connector::new().limit(0);
    let client = awc::Client::builder().connector(connector).timeout(Duration::from_secs(30)).finish();
    let (last, bytes) = (Rc::new(vec![const { Cell::new(0_u64) }; dashboards]), Rc::new(Cell::new(0_u64)));
    let snapshots = Rc::new(Cell::new(0_u64));
    let mut stuck = vec![];
    for _ in 0..STUCK {
        stuck.push(client.ws(format!("{address}/ws")).connect().await.unwrap());
    }
    for number in 0..dashboards {
        let (_, mut socket) = client.ws(format!("{address}/ws")).max_frame_size(64 << 20).connect().await.unwrap();
        let (last, bytes, snapshots) = (last.clone(), bytes.clone(), snapshots.clone());
        actix_rt::spawn(async move {
            while let Some(Ok(frame)) = socket.next().await {
                match frame {
                    Frame::Text(text) => {
                        bytes.set(bytes.get() + text.len() as u64);
                        let before = last[number].replace(seq(&text));
                        snapshots.set(snapshots.get() + u64::from(before > 0 && text.starts_with(SNAPSHOT)));
                    }
                    Frame::Ping(data) => drop(socket.send(awc::ws::Message::Pong(data)).await),
                    _ => {}
                }
            }
        });
    }
    let idle = resident_kb(pid);
    let load = json!({ "rate": RATE, "request": { "task": "echo" } });
    client.post(format!("{address}/api/v1/load")).send_json(&load).await.unwrap();
    sleep(WARM_UP).await;
    let (cpu, received, begun) = (cpu_s(pid), bytes.get(), Instant::now());
    let mut memory = vec![resident_kb(pid)];
    for _ in 0..SAMPLES {
        sleep(time / SAMPLES).await;
        memory.push(resident_kb(pid));
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let (cpu, received) = (cpu_s(pid) - cpu, bytes.get() - received);
    let load = client.delete(format!("{address}/api/v1/load")).send().await.unwrap().body().await.unwrap();
    println!("dashboards          {dashboards}, and {STUCK} that never read");
    println!("server CPU          {:.2} cores over {elapsed:.0} s", cpu / elapsed);
    println!("received by all     {:.1} MB/s", received as f64 / 1e6 / elapsed);
    println!("load                {}", String::from_utf8_lossy(&load));
    println!("server memory       {:.1} MB before the load; MB from {} s on:", idle as f64 / 1e3, WARM_UP.as_secs());
    println!(
        "                    {}",
        memory.iter().map(|kb| format!("{:.1}", *kb as f64 / 1e3)).collect::<Vec<_>>().join(", ")
    );
    // A new dashboard gets the last state, which all others must reach.
    let end = loop {
        let (_, mut newcomer) = client.ws(format!("{address}/ws")).max_frame_size(64 << 20).connect().await.unwrap();
        let Some(Ok(Frame::Text(snapshot))) = newcomer.next().await else { panic!("no snapshot") };
        if !contains(&snapshot, b"\"status\":\"pending\"") {
            break seq(&snapshot);
        }
    };
    let arrived = async {
        while last.iter().any(|seq| seq.get() < end) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let missing = || last.iter().filter(|seq| seq.get() < end).count();
    if timeout(Duration::from_secs(30), arrived).await.is_err() {
        panic!("{} dashboards missed the last state", missing());
    }
    println!("all have batch      {end}; snapshots after the first: {}", snapshots.get());
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The number of a batch or snapshot, without reading the rest.
fn seq(text: &[u8]) -> u64 {
    const KEY: &[u8] = b"\"seq\":";
    let at = text.windows(KEY.len()).position(|window| window == KEY).expect("every message has its number");
    let digits = text[at + KEY.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// CPU time a process has used, in seconds (proc_pid_stat(5): utime and stime).
fn cpu_s(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS
}

/// Resident memory of a process, in kB.
fn resident_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

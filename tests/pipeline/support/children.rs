//! Processes of the program itself.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{self, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::sync::mpsc;

use super::{PATIENT, Web, eventually, in_time};

const PROGRAM: &str = env!("CARGO_BIN_EXE_swarmq");

/// A running `swarmq`, killed at the end of the test.
pub struct Child {
    process: process::Child,
    lines: mpsc::UnboundedReceiver<Value>,
    seen: Vec<Value>,
}

impl Child {
    /// Starts a process with the test profile, but patient, and reads its log.
    pub fn start(args: &[&str], changes: &[(&str, &str)]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(args).args(["--profile", "test", "--set", "log.level=info", "--set", "log.format=json"]);
        for (key, value) in PATIENT.iter().chain(changes) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::unbounded_channel();
        thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                let line = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                // Nobody listens when the test is over.
                let _ = sender.send(line);
            }
        });
        Self { process, lines, seen: vec![] }
    }

    /// Starts a command that is not read and that has no log.
    pub fn command(args: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { process: command.spawn().unwrap(), lines: mpsc::unbounded_channel().1, seen: vec![] }
    }

    /// The first line of the log, past or to come, in which something is found.
    pub async fn line<T>(&mut self, what: &str, find: impl Fn(&Value) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(&find) {
            return found;
        }
        loop {
            let line = in_time(what, self.lines.recv()).await;
            let line = line.unwrap_or_else(|| panic!("the process ended before: {what}; its log: {:#?}", self.seen));
            let found = find(&line);
            self.seen.push(line);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// A line with this message.
    pub async fn message(&mut self, text: &str) -> Value {
        self.line(text, |line| line["msg"].as_str().is_some_and(|msg| msg.contains(text)).then(|| line.clone())).await
    }

    /// Where it listens for something.
    async fn address(&mut self, what: &str) -> SocketAddr {
        self.line(what, |line| {
            let listens = line["msg"] == "listening" && line["what"] == what;
            listens.then(|| line["address"].as_str()?.split("//").nth(1)?.parse().ok()).flatten()
        })
        .await
    }

    pub async fn web(&mut self) -> Web {
        Web::at(self.address("web tier, http").await)
    }

    pub async fn admin(&mut self) -> Web {
        Web::at(self.address("admin, http").await)
    }

    /// The socket master's address.
    pub async fn requester(&mut self) -> SocketAddr {
        self.address("socket master, tcp").await
    }

    /// The ROUTER's address.
    pub async fn broker(&mut self) -> SocketAddr {
        self.address("broker for requesters, zeromq").await
    }

    /// The DEALER's address.
    pub async fn backend(&mut self) -> SocketAddr {
        self.address("broker for workers, zeromq").await
    }

    /// The SUB's address.
    pub async fn telemetry(&mut self) -> SocketAddr {
        self.address("telemetry, zeromq").await
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id() as i32), signal).unwrap();
    }

    /// Ends it as a power failure would.
    pub async fn kill(mut self) {
        self.process.kill().unwrap();
        self.exit().await;
    }

    /// Waits for its end.
    pub async fn exit(&mut self) -> ExitStatus {
        eventually("the end of a process", async || self.process.try_wait().unwrap()).await
    }

    /// Asks it to end, and waits until it has, with status 0.
    pub async fn stop(mut self) {
        // Before its first line it has no handlers for signals.
        self.message("swarmq").await;
        self.signal(Signal::SIGTERM);
        let status = self.exit().await;
        assert!(status.success(), "{status}: {:#?}", self.seen);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the program to its end.
pub async fn run(args: &[&str]) -> Output {
    run_into(args, Stdio::piped()).await
}

/// Runs the program to its end, with its stdout going elsewhere.
pub async fn run_into(args: &[&str], stdout: Stdio) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.spawn()?.wait_with_output());
    in_time("the end of a command", output).await.unwrap().unwrap()
}

/// A free port that stays free while its server is away: below those that the system gives to connections. For
/// servers that are started again, and those whose peers must know the address before they start.
pub fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (process::id() % 300) as u16 * 64;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

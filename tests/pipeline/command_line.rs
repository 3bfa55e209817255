//! What people and scripts are used to: pipes whose reader leaves, full disks, signals, addresses in other forms.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write, pipe};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use nix::sys::signal::Signal;
use swarmq::wire::Tier;

use crate::support::{Child, Running, run, run_into};

/// Commands that only print.
const PRINT: [&[&str]; 5] = [
    &["config"],
    &["config", "--json"],
    &["completions", "bash"],
    &["experiment", "plans"],
    &["experiment", "quick", "--dry-run", "--progress", "json"],
];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[actix_rt::test]
async fn a_command_whose_reader_leaves_ends_quietly() {
    for args in PRINT {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = run_into(args, writer.into()).await;
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[actix_rt::test]
async fn a_full_disk_is_one_line_and_status_1() {
    for args in PRINT {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = run_into(args, full.into()).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("the output can't be written: No space left") && said.lines().count() == 1, "{said}");
    }
}

/// With a handler of its own a command ends so also as process 1, which signals without one do not reach.
#[actix_rt::test]
async fn a_command_that_waits_ends_at_once_by_a_handler_of_its_own() {
    let slow = [("task.delay.kind", "fixed"), ("task.delay.mean", "600s")];
    let app = Running::all(&slow).await;
    for (number, (signal, status)) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)].into_iter().enumerate() {
        let mut command = Child::command(&["request", "--url", &app.web().base]);
        app.until("its request", || app.ledger(Tier::Web).in_flight as usize == number + 1).await;
        command.signal(signal);
        assert_eq!(command.exit().await.code(), Some(status));
    }
    app.end().await;
}

#[actix_rt::test]
async fn an_address_in_another_form_is_told_as_what_it_is() {
    for (url, reason) in
        [("https://127.0.0.1:3000", "swarmq speaks plain HTTP"), ("127.0.0.1:3000", "give http://127.0.0.1:3000")]
    {
        for command in [&["request"][..], &["experiment", "quick", "--target", "running"]] {
            let output = run(&[command, &["--url", url]].concat()).await;
            let said = text(&output.stderr);
            assert!(!output.status.success() && said.contains(reason), "{said}");
        }
    }
}

#[actix_rt::test]
async fn what_a_server_between_answers_is_told_as_what_it_is() {
    let html = "content-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\noops";
    for (answer, reason) in [
        (format!("HTTP/1.1 502 Bad Gateway\r\n{html}"), "502 Bad Gateway with text/html"),
        (format!("HTTP/1.1 200 OK\r\n{html}"), "which does not come from a web tier"),
        (format!("HTTP/1.1 401 Unauthorized\r\n{html}"), "requires a password"),
        (
            format!("HTTP/1.1 301 Moved\r\nlocation: https://pi-1/\r\n{html}"),
            "to https://pi-1/, which comes from a proxy",
        ),
    ] {
        let address = stub(answer);
        let output = run(&["request", "--url", &format!("http://{address}")]).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(reason), "{said}");
    }
}

#[actix_rt::test]
async fn a_run_that_goes_on_refuses_what_it_would_ignore() {
    for flag in [
        ["--repetitions", "3"],
        ["--duration", "1s"],
        ["--warm-up", "1s"],
        ["--count", "5"],
        ["--seed", "2"],
        ["--order", "sequential"],
        ["--stack", "other"],
        ["--name", "other"],
    ] {
        let output = run(&["experiment", "--resume", "nowhere", flag[0], flag[1]]).await;
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("cannot be used with"), "{flag:?}: {said}");
    }
    let output = run(&["experiment", "--resume", "nowhere", "--set", "web.threads=2"]).await;
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("keeps its plan's settings"), "{said}");
}

#[actix_rt::test]
async fn a_folder_in_which_an_experiment_is_at_work_takes_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let at_work = File::open(folder.path()).unwrap();
    at_work.lock().unwrap();
    let output = run(&["experiment", "quick", "--out", folder.path().to_str().unwrap()]).await;
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("another experiment is at work in"), "{said}");
    assert!(folder.path().read_dir().unwrap().next().is_none());
}

/// A server that gives each connection the same answer. Where it listens.
fn stub(answer: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            // The request fits in what is read at once, and is not looked at.
            let _ = connection.read(&mut [0; 4096]);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    address
}

//! `swarmq request` and `swarmq healthcheck`, as a script sees them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Child, Running, run};

#[actix_rt::test]
async fn an_error_among_the_replies_is_status_1() {
    let app = Running::all(&[]).await;
    let output = run(&["request", "--url", &app.web().base, "--filename", "nowhere.txt"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ENOENT: no such file or directory, open 'nowhere.txt'"), "{text}");
    assert!(text.contains("0 responses, 3 errors, 0 timeouts"), "{text}");
    app.stop().await;
}

#[actix_rt::test]
async fn what_is_refused_is_status_1_with_the_reason() {
    let app = Running::all(&[]).await;
    for (args, reason) in [
        (["--task", "sleep"], "there is no task 'sleep'"),
        (["--timeout", "2h"], "give 1 to 3600000"),
        (["--param", "rounds"], "give NAME=VALUE"),
    ] {
        let output = run(&["request", "--url", &app.web().base, args[0], args[1]]).await;
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(reason), "{text}");
    }
    app.stop().await;
    let output = run(&["request", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("start a web tier with `swarmq`"));
}

#[actix_rt::test]
async fn replies_of_many_bytes_are_printed_as_they_were_sent() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("x{}", "é→".repeat(30_000));
    std::fs::write(folder.path().join("big.txt"), &body).unwrap();
    let app = Running::all(&[("task.root", folder.path().to_str().unwrap()), ("task.file", "big.txt")]).await;
    let output = run(&["request", "--url", &app.web().base, "--json"]).await;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let replies: Vec<Value> = text.lines().take(3).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(replies.iter().all(|reply| reply["body"] == body.as_str()), "a character was cut in two");
    app.stop().await;
}

#[actix_rt::test]
async fn a_health_check_asks_the_admin_server() {
    let mut web = Child::start(&["web", "--requester", "127.0.0.1:1"], &[]);
    let admin = web.admin().await.base;
    let address = admin.strip_prefix("http://").unwrap();
    let alive = run(&["healthcheck", "--address", address]).await;
    assert!(alive.status.success());
    let ready = run(&["healthcheck", "--ready", "--address", address]).await;
    assert_eq!(ready.status.code(), Some(1));
    assert!(String::from_utf8(ready.stdout).unwrap().contains("no connection to 127.0.0.1:1"));
    web.stop().await;
    let gone = run(&["healthcheck", "--address", address]).await;
    assert_eq!(gone.status.code(), Some(1));
}

#[actix_rt::test]
async fn the_banner_stands_together_and_requests_are_told_at_debug_alone() {
    for (level, tells_requests) in [("trace", true), ("info", false)] {
        let (shown, terminal) = std::io::pipe().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_swarmq"))
            .args(["--profile", "test", "--set", "log.format=terminal", "--set", &format!("log.level={level}")])
            .stdin(Stdio::null())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(shown).lines().map(Result::unwrap);
        let url = lines.find_map(|line| line.strip_prefix("swarmq is running: ").map(str::to_owned)).unwrap();
        let banner: Vec<_> = lines.by_ref().take(4).collect();
        assert!(banner.iter().all(|line| line.starts_with("  ")) && banner[3].ends_with("Ctrl-C"), "{banner:#?}");
        assert!(banner[0].contains(env!("CARGO_BIN_EXE_swarmq")), "it can be copied: {banner:#?}");
        let answered = run(&["request", "--url", &url]).await;
        assert!(answered.status.success(), "what the banner proposes works at once: {answered:?}");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        let rest: Vec<_> = lines.collect();
        assert_eq!(rest.iter().any(|line| line.contains("requestId")), tells_requests, "{rest:#?}");
        assert!(rest.iter().any(|line| line.contains("shutting down")), "{rest:#?}");
        assert!(child.wait().unwrap().success());
    }
}

#[actix_rt::test]
async fn a_folder_without_the_file_gives_the_one_that_comes_with_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let app = Running::all(&[("task.root", folder.path().to_str().unwrap())]).await;
    let output = run(&["request", "--url", &app.web().base]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("Hello Paul"), "{text}");
    app.stop().await;
}

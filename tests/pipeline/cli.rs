//! `swarmq request` and `swarmq healthcheck`, as a script sees them.

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
    assert!(String::from_utf8(output.stderr).unwrap().contains("is the web tier running?"));
}

#[actix_rt::test]
async fn replies_of_many_bytes_are_printed_as_they_were_sent() {
    let folder = tempfile::tempdir().unwrap();
    let body = format!("x{}", "é→".repeat(40_000));
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

//! Logs of a whole process, from its own lines to a panic.

use std::process::{Command, Output};

use swarmq::config::LogFormat;
use swarmq::runtime::logging;

use super::Setup;

/// Runs the test `name` again as a process of its own, since logging is set up once per process. In that process, logs
/// and exits.
fn in_a_process(name: &str, format: LogFormat) -> Output {
    if std::env::var_os("LOGGING_CHILD").is_some() {
        log_and_exit(format);
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("LOGGING_CHILD", "1")
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(7));
    child
}

#[test]
fn lines_for_people_go_to_stderr() {
    let child = in_a_process("logs::lines_for_people_go_to_stderr", LogFormat::Terminal);
    let [output, lines] = [child.stdout, child.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for text in ["from slog", "worker: 3", "from log", "from tracing", "panic: out of luck"] {
        assert!(lines.contains(text), "no {text:?}");
        assert!(!output.contains(text), "{text:?} on stdout");
    }
    assert_eq!(lines.matches("one of many").count(), 5_000);
}

#[test]
fn all_lines_are_json_at_one_level_and_none_is_lost_at_exit() {
    let name = "logs::all_lines_are_json_at_one_level_and_none_is_lost_at_exit";
    let child = in_a_process(name, LogFormat::Json);
    let output = String::from_utf8(child.stdout).unwrap();
    let lines: Vec<serde_json::Value> = output
        .lines()
        .filter_map(|line| {
            // The test runner begins the first line with the name of the test.
            serde_json::from_str(&line[line.find('{')?..]).ok()
        })
        .collect();
    let find = |text: &str| lines.iter().find(|line| line["msg"].as_str().is_some_and(|msg| msg.contains(text)));

    let own = find("from slog").unwrap();
    assert_eq!((&own["tier"], &own["level"], &own["worker"]), (&"web".into(), &"INFO".into(), &3.into()));
    assert_eq!(find("from log").unwrap()["level"], "WARN");
    assert_eq!(find("from tracing").unwrap()["level"], "ERRO");
    let panic = find("panic: out of luck").unwrap();
    assert_eq!(panic["level"], "ERRO");
    assert!(panic["location"].as_str().unwrap().contains("tests/configuration/logs.rs:"));
    assert!(find("too fine").is_none());
    assert!(find("stream error").is_none(), "a client's fault is no line of ours");
    assert_eq!(lines.iter().filter(|line| line["msg"] == "one of many").count(), 5_000);
    assert!(!String::from_utf8(child.stderr).unwrap().contains("out of luck"), "the panic is logged, not printed");
}

fn log_and_exit(format: LogFormat) -> ! {
    let mut settings = Setup::new().load().settings.log;
    settings.format = format;
    let (logger, guard) = logging::init(&settings, "web").unwrap();
    assert!(logging::init(&settings, "web").is_err());
    slog::info!(logger, "from slog"; "worker" => 3);
    log::warn!("from log");
    tracing::error!("from tracing");
    tracing::error!(target: "actix_http::h1::dispatcher", "stream error: nonsense");
    slog::debug!(logger, "too fine");
    log::debug!("too fine");
    tracing::debug!("too fine");
    std::thread::spawn(|| panic!("out of {}", "luck")).join().unwrap_err();
    for _ in 0..5_000 {
        slog::info!(logger, "one of many");
    }
    drop(guard);
    std::process::exit(7)
}

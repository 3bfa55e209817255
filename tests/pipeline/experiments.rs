//! `swarmq experiment` as its users run it: each target that one machine has, cut off and gone on with, and what it
//! refuses.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child as Process, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use swarmq::experiment::plan::Factor;
use swarmq::experiment::run::{Results, read_results};
use swarmq::wire::{Hop, Tier};

use crate::support::{Child, eventually, run};

/// Two combinations of a few requests each, however long a busy machine takes for them.
const SHORT: [&str; 8] = [
    "quick",
    "--repetitions=1",
    "--duration=30s",
    "--count=40",
    "--warm-up=0s",
    "--factor=responders=1,2",
    "--factor=delay=fixed 5ms",
    "--seed=7",
];

/// Runs a short experiment with more flags.
async fn experiment(folder: &Path, flags: &[&str]) -> Output {
    let out = folder.to_str().unwrap();
    run(&[&["experiment", "--out", out], &SHORT[..], flags].concat()).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What every trial without trouble has in common.
#[track_caller]
fn assert_sound(results: &Results, trials: usize) {
    assert_eq!(results.trials.len(), trials);
    assert!(results.finished_at.is_some());
    for trial in &results.trials {
        assert_eq!(trial.problem, None);
        assert!(trial.requests.complete > 0 && trial.requests.complete == trial.requests.sent, "{:?}", trial.requests);
        assert_eq!(trial.latency.count(), trial.requests.complete);
        assert!(trial.requests_per_s > 0.0);
        assert!(trial.ledger.balanced, "{:?}", trial.ledger);
        assert_eq!(trial.ledger.tiers[&Tier::Requester].sent, trial.ledger.client_messages);
        // One message each: so many were served for 5 ms or longer.
        let service = &trial.hops[&Hop::Service];
        assert_eq!(service.count(), trial.requests.complete);
        assert!(service.quantile_us(0.0) >= 5_000, "{}", service.quantile_us(0.0));
        assert!(trial.latency.quantile_us(0.0) >= service.quantile_us(0.0));
        let answered: u64 = trial.shares.responders.values().sum();
        assert_eq!(answered, trial.requests.complete);
        let workers: usize = results.plan.cells[trial.cell].levels[&Factor::Responders].parse().unwrap();
        assert_eq!(trial.shares.responders.len(), workers);
    }
}

#[actix_rt::test]
async fn in_one_process_every_trial_has_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let output = experiment(folder.path(), &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("requests/s"), "{}", text(&output.stdout));
    let results = read_results(folder.path()).unwrap();
    assert_sound(&results, 2);
    for trial in &results.trials {
        let (steadiness, machine) = (trial.steadiness.as_ref().unwrap(), trial.machine.as_ref().unwrap());
        assert_eq!((steadiness.due, steadiness.under_way[0]), (40, 0), "{steadiness:?}");
        assert!(machine.busy > 0.0 && machine.busy <= 1.0 && machine.steal < 1.0, "{machine:?}");
    }
    assert!(!results.environment.build.is_empty());
    let usage = &results.trials[0].usage[0];
    assert_eq!(usage.tiers, [Tier::Web, Tier::Requester, Tier::Broker, Tier::Responder]);
    let path = folder.path().to_str().unwrap();
    let output = run(&["experiment", "compare", path, path, "--fail-if", "p99 > 1.2x"]).await;
    assert!(output.status.success() && text(&output.stdout).ends_with("The rule holds.\n"), "{output:?}");
    // One trial has no interval that could be beyond a limit, and one run does not show how much runs differ.
    let by_interval = ["experiment", "compare", path, path, "--fail-if", "p99 > 9x", "--by-interval"];
    let output = run(&by_interval).await;
    assert!(!output.status.success() && text(&output.stdout).contains("has no interval"), "{output:?}");
    let output = run(&["experiment", "compare", path, path, "--aa", path]).await;
    assert!(text(&output.stderr).contains("give --aa twice or more"), "{output:?}");
    let output = run(&["experiment", "compare", path, path, "--aa", path, "--aa", path]).await;
    assert!(output.status.success() && text(&output.stdout).contains("2 runs of the first program"), "{output:?}");
    // Into the same folder, it would mix two runs.
    let output = experiment(folder.path(), &[]).await;
    assert!(!output.status.success() && text(&output.stderr).contains("--resume"), "{}", text(&output.stderr));
}

#[actix_rt::test]
async fn with_a_process_for_each_instance_each_is_found_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let instances = [
        "--target=processes",
        "--factor=responder_instances=2",
        "--factor=responders=1",
        "--factor=requester_instances=1,2",
    ];
    let output = experiment(folder.path(), &instances).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let results = read_results(folder.path()).unwrap();
    assert_eq!(results.trials.len(), 2);
    for trial in &results.trials {
        assert!(trial.problem.is_none() && trial.ledger.balanced, "{trial:?}");
        assert_eq!(trial.shares.responders.len(), 2, "each broker has its share");
        let processes = |tier| trial.usage.iter().find(|usage| usage.tiers.contains(&tier)).unwrap().processes;
        assert_eq!((processes(Tier::Web), processes(Tier::Responder)), (1, 2));
        assert_eq!(processes(Tier::Requester), trial.cell + 1);
    }
}

/// Eight clients that think for 50 ms on average and are served for 5 ms make fewer requests than those that do not think.
#[actix_rt::test]
async fn clients_that_think_send_later() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--factor=responders=8", "--factor=requesters=8", "--factor=load=closed 8 think 50ms"];
    let output = experiment(folder.path(), &flags).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let results = read_results(folder.path()).unwrap();
    let trial = &results.trials[0];
    assert!(trial.requests.complete == trial.requests.sent && trial.requests.sent >= 40, "{:?}", trial.requests);
    // Without thinking 40 requests of 8 clients take five services; so many think times take five of them on average.
    assert!(
        trial.measured_ms > 60.0 && results.plan.cells[0].setup.load.to_string() == "closed 8 think 50ms",
        "{trial:?}"
    );
    let cut = experiment(tempfile::tempdir().unwrap().path(), &["--factor=load=closed 8 think"]).await;
    assert!(cut.status.code() == Some(2) && text(&cut.stderr).contains("closed CLIENTS think TIME"), "{cut:?}");
}

/// The ways between the tiers, each measured by a run of its own.
#[actix_rt::test]
async fn runs_of_one_plan_against_two_targets_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["in-process", "processes"].map(|target| (target, folder.path().join(target).display().to_string()));
    for (target, out) in &runs {
        let short = ["--repetitions=1", "--duration=30s", "--count=40", "--warm-up=0s", "--factor=load=closed 4"];
        let output =
            run(&[&["experiment", "network-cost", "--target", target, "--out", out], &short[..]].concat()).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let output = run(&["experiment", "compare", &runs[0].1, &runs[1].1]).await;
    let said = text(&output.stdout);
    assert!(said.contains("16384 payload bytes") && said.contains("target: in-process against processes"), "{said}");
}

#[actix_rt::test]
async fn a_deployment_that_runs_is_changed_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = Child::start(&[], &[("requester.workers", "2"), ("responder.workers", "5")]);
    let web = app.web().await;
    let output = experiment(folder.path(), &["--target=running", "--url", &web.base]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_sound(&read_results(folder.path()).unwrap(), 2);
    eventually("the workers that were there before", async || {
        let topology = web.topology().await;
        let workers = |tier| topology.living(tier).map(|view| view.snapshot.workers.len()).sum::<usize>();
        ((workers(Tier::Requester), workers(Tier::Responder)) == (2, 5)).then_some(())
    })
    .await;
    // What this deployment refuses is told with its reason.
    let folder = tempfile::tempdir().unwrap();
    let large = ["--target=running", "--url", &web.base, "--factor=payload_bytes=100000"];
    let output = experiment(folder.path(), &large).await;
    assert!(text(&output.stdout).contains("most often: too-large"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("web.max_body_bytes"), "{}", text(&output.stdout));
    app.stop().await;
    // Nobody is there: nothing is begun.
    let folder = tempfile::tempdir().unwrap();
    let output = experiment(folder.path(), &["--target=running", "--url=http://127.0.0.1:1"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr).matches("no answer").count(), 1, "{}", text(&output.stderr));
    assert!(read_results(folder.path()).is_err());
}

/// An experiment that is under way, and the events that it tells.
struct UnderWay {
    process: Process,
    events: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl UnderWay {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swarmq"));
        command.args(["experiment", "--progress=json", "--out", folder.to_str().unwrap()]).args(SHORT);
        command.args(["--repetitions=50", "--order=sequential"]);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, events }
    }

    /// Waits for an event.
    fn until(&mut self, event: &str) -> serde_json::Value {
        loop {
            let line = self.events.next().expect("it ended before").unwrap();
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["event"] == event {
                return line;
            }
        }
    }
}

#[actix_rt::test]
async fn what_is_cut_off_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let measured = tokio::task::spawn_blocking(move || {
        let mut cut = UnderWay::start(&path);
        cut.until("trial-ended");
        cut.until("trial-started");
        cut.until("load");
        cut.process.kill().unwrap();
        cut.process.wait().unwrap();
        read_results(&path).unwrap()
    });
    let before = measured.await.unwrap();
    assert_eq!((before.trials.len(), before.finished_at), (1, None));
    // Fewer trials are enough to see that it goes on: the plan is the folder's own.
    let mut plan = before.clone();
    plan.plan.repetitions = 1;
    std::fs::write(folder.path().join("results.json"), serde_json::to_vec(&plan).unwrap()).unwrap();
    let output = run(&["experiment", "--resume", folder.path().to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let after = read_results(folder.path()).unwrap();
    assert_sound(&after, 2);
    assert_eq!(after.trials[0], before.trials[0]);
    // With nothing left to do, it makes the files again that are made of the results.
    std::fs::remove_file(folder.path().join("results.csv")).unwrap();
    let output = run(&["experiment", "--resume", folder.path().to_str().unwrap()]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(folder.path().join("results.csv").exists());
    assert_eq!(read_results(folder.path()).unwrap(), after);
}

#[actix_rt::test]
async fn in_another_environment_a_run_is_resumed_only_if_that_is_allowed_and_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = experiment(folder.path(), &["--factor=responders=1,2"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut results = read_results(folder.path()).unwrap();
    results.environment.version = "0.0.1".to_owned();
    results.trials.pop();
    std::fs::write(folder.path().join("results.json"), serde_json::to_vec(&results).unwrap()).unwrap();
    let resume = ["experiment", "--resume", folder.path().to_str().unwrap()];
    let output = run(&resume).await;
    let said = text(&output.stderr);
    assert!(
        !output.status.success() && said.contains("version: 0.0.1 against") && said.contains("--allow-changes"),
        "{said}"
    );
    let output = run(&[&resume[..], &["--allow-changes"]].concat()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("resumed elsewhere, and 1 trial was measured there"), "{output:?}");
    let resumed = read_results(folder.path()).unwrap();
    assert_eq!((resumed.trials.len(), resumed.resumed.len()), (2, 1));
    assert_eq!(resumed.environment.version, "0.0.1", "that of the first part");
    // Now this is the environment of the last part.
    let output = run(&resume).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[actix_rt::test]
async fn the_largest_payload_of_a_plan_reaches_the_responders() {
    let folder = tempfile::tempdir().unwrap();
    let output = experiment(folder.path(), &["--factor=payload_bytes=1048576", "--factor=responders=1"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    // How fast is no matter here: in the time that counts none may have ended.
    let trial = &read_results(folder.path()).unwrap().trials[0];
    assert_eq!(trial.problem, None);
    assert!(trial.requests.complete > 0 && trial.requests.complete == trial.requests.sent, "{trial:?}");
}

#[actix_rt::test]
async fn told_to_stop_it_keeps_what_is_measured() {
    for reader_goes in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let stopped = tokio::task::spawn_blocking(move || {
            let mut stopped = UnderWay::start(&path);
            stopped.until("trial-ended");
            match reader_goes {
                true => {
                    drop(stopped.events);
                    stopped.process.wait().unwrap().code()
                }
                false => {
                    kill(Pid::from_raw(stopped.process.id() as i32), Signal::SIGINT).unwrap();
                    let end = stopped.until("finished");
                    assert_eq!(end["stopped"], true);
                    stopped.process.wait().unwrap().code()
                }
            }
        });
        assert_eq!(stopped.await.unwrap(), Some(130), "reader gone: {reader_goes}");
        let results = read_results(folder.path()).unwrap();
        assert!(!results.trials.is_empty() && results.finished_at.is_none());
    }
}

#[actix_rt::test]
async fn a_plan_that_cannot_be_carried_out_is_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("bad.toml");
    for (lines, reason) in [
        ("[factors]\nresponderz = [1]", "line 2: `responderz` is not a factor; did you mean responders?"),
        ("[factors]\nresponders = []", "line 2: responders has no level"),
        ("duration = \"0s\"", "line 1"),
        ("[settings]\nrequester.windows = 3", "from [settings]"),
        ("[factors]\nrequesters = [1, 2]\nresponders = [1, 2]\n[fixed]\ndelay = \"never\"", "line 5"),
    ] {
        std::fs::write(&plan, lines).unwrap();
        let out = folder.path().join("out");
        let output = run(&["experiment", plan.to_str().unwrap(), "--out", out.to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(2), "{lines}");
        assert!(text(&output.stderr).contains(reason), "{lines}: {}", text(&output.stderr));
        assert!(!out.exists());
    }
    let output = run(&["experiment", "workers", "--dry-run", "--factor=requesters=1,2"]).await;
    assert!(output.status.success());
    assert!(
        text(&output.stdout).contains("8 combinations x 5 = 40 trials, in-process, up to 4m"),
        "{}",
        text(&output.stdout)
    );
}

//! Experiments as the page starts them: by the web tier's API, in a process that is a child of its.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use swarmq::wire::{ExperimentState, ExperimentView};

use crate::support::{Child, Web, eventually};

const API: &str = "/api/v1/experiments";

/// A plan of this many repetitions of two short trials.
fn plan(repetitions: u32) -> String {
    format!(
        "description = \"Short.\"\nrepetitions = {repetitions}\nwarm_up = \"0s\"\nduration = \"300ms\"\n\n\
         [factors]\nresponders = [1, 2]\n\n[fixed]\ndelay = \"fixed 5ms\"\nfan_out = \"one\"\n"
    )
}

/// A web tier whose runs are kept in a folder of the test's.
async fn start(dir: &Path, changes: &[(&str, &str)]) -> (Child, Web) {
    let dir = dir.to_str().unwrap();
    let mut child = Child::start(&[], &[changes, &[("experiments.dir", dir)]].concat());
    let web = child.web().await;
    child.admin().await.ready().await;
    (child, web)
}

async fn launch(web: &Web, plan: &str, target: &str) -> ExperimentView {
    let body = json!({ "plan": plan, "name": "short", "target": target });
    let answer = web.post(&format!("{API}/runs"), body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

async fn view(web: &Web) -> ExperimentView {
    serde_json::from_slice(&web.get(&format!("{API}/running")).await.body).unwrap()
}

/// Waits until the experiment is as it should be.
async fn until(web: &Web, what: &str, is_so: impl Fn(&ExperimentView) -> bool) -> ExperimentView {
    eventually(what, async || {
        let view = view(web).await;
        assert!(view.state != ExperimentState::Failed, "{view:?}");
        is_so(&view).then_some(view)
    })
    .await
}

async fn check(web: &Web, plan: &str, target: &str) -> Value {
    let answer = web.post(&format!("{API}/check"), json!({ "plan": plan, "target": target }).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn get(web: &Web, path: &str) -> Value {
    let answer = web.get(&format!("{API}{path}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[actix_rt::test]
async fn plans_are_listed_and_checked_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (child, web) = start(folder.path(), &[]).await;
    let overview = get(&web, "").await;
    let plans = overview["plans"].as_array().unwrap();
    assert!(plans.iter().any(|plan| plan["name"] == "quick"), "{overview}");
    for plan in plans {
        // What varies the socket can't be run against a deployment whose sockets are made.
        let checked = check(&web, plan["text"].as_str().unwrap(), "processes").await;
        assert!(checked["trials"].as_u64().is_some_and(|trials| trials > 0), "{checked}");
    }
    let refused = |name: &str| overview["targets"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap();
    assert!(refused("running")["refused"].is_null() && refused("in-process")["refused"].is_null());
    assert!(refused("swarm")["refused"].as_str().unwrap().contains("Docker's API"));
    assert!(overview["unwritable"].is_null());

    let checked = check(&web, &plan(3), "in-process").await;
    assert_eq!((&checked["trials"], checked["plan"]["cells"].as_array().unwrap().len()), (&json!(6), 2));
    assert!(checked["timeMs"].as_u64().unwrap() > 0);
    for (text, target, line, words) in [
        ("repetitions = 2\n[factors]\nrespnders = [1, 2]\n", "running", json!(3), "did you mean responders"),
        ("repetitions = \n", "running", json!(1), "TOML"),
        ("[factors]\nsocket = [\"req\", \"dealer\"]\n", "running", json!(2), "socket"),
        ("repetitions = 1000\n[factors]\nresponders = [1, 2, 3]\n", "running", json!(null), "3000 trials"),
        ("", "swarm", json!(null), "Docker's API"),
    ] {
        let problem = &check(&web, text, target).await["problem"];
        assert!(problem["line"] == line && problem["message"].as_str().unwrap().contains(words), "{text}: {problem}");
    }
    let body = json!({ "plan": "repetitions = \n" }).to_string();
    assert!(web.post(&format!("{API}/runs"), body).await.error(422, "unprocessable").contains("line 1"));
    for body in [json!({}), json!({ "plan": "", "resume": "x" }), json!({ "resume": "x", "target": "running" })] {
        web.post(&format!("{API}/runs"), body.to_string()).await.error(422, "unprocessable");
    }
    for wrong in
        [json!({ "target": "moon" }), json!({ "name": "-x" }), json!({ "name": "" }), json!({ "name": "a\0b" })]
    {
        let mut body = wrong;
        body["plan"] = json!("");
        web.post(&format!("{API}/runs"), body.to_string()).await.error(400, "bad-request");
    }
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing has started");
    child.stop().await;
}

#[actix_rt::test]
async fn an_experiment_is_watched_to_its_end_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (child, web) = start(folder.path(), &[]).await;
    web.get(&format!("{API}/running")).await.error(404, "not-found");
    let text = plan(1);
    let started = launch(&web, &text, "running").await;
    assert_eq!((started.trials, started.ended, &*started.plan, &*started.target), (2, 0, "short", "running"));
    let second = web.post(&format!("{API}/runs"), json!({ "plan": plan(1) }).to_string()).await;
    assert!(second.error(409, "conflict").contains(&started.id));
    web.delete(&format!("{API}/runs/{}", started.id)).await.error(409, "conflict");
    let ended = until(&web, "the end", |view| view.state == ExperimentState::Finished).await;
    assert_eq!((ended.ended, ended.problems, ended.trial.is_some()), (2, 0, false));

    let other = launch(&web, &text, "in-process").await;
    assert_ne!(other.id, started.id);
    until(&web, "the other one's end", |view| view.state == ExperimentState::Finished).await;

    let runs = get(&web, "/runs").await;
    let ids: Vec<_> = runs.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&*other.id, &*started.id], "newest first");
    let run = get(&web, &format!("/runs/{}", started.id)).await;
    assert_eq!((&run["trials"], &run["ended"], &run["target"]), (&json!(2), &json!(2), &json!("running")), "{run}");
    assert!(run["finishedAt"].is_u64() && !run["findings"].as_array().unwrap().is_empty(), "{run}");
    let rows = run["rows"].as_array().unwrap();
    let mut levels: Vec<_> = rows.iter().filter_map(|row| row["levels"]["responders"].as_str()).collect();
    levels.sort_unstable();
    assert_eq!(levels, ["1", "2"], "in the order of the trials, which is random");
    assert!(
        rows.iter().all(|row| row["requestsPerS"].as_f64().unwrap() > 0.0 && row["p50Us"].as_u64().unwrap() >= 5_000)
    );

    let file = async |name: &str| web.get(&format!("{API}/runs/{}/files/{name}", started.id)).await;
    for (name, content_type, begins) in [
        ("plan.toml", "application/toml", &*text),
        ("results.json", "application/json", "{"),
        ("report.json", "application/json", "{"),
        ("results.csv", "text/csv; charset=utf-8", "trial,"),
        ("report.html", "text/html; charset=utf-8", "<!doctype html>"),
    ] {
        let answer = file(name).await;
        let header = |name: &str| answer.headers.get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!((answer.status, &*header("content-type")), (200, content_type));
        assert!(answer.text().starts_with(begins), "{name}: {:.80}", answer.text());
        assert!(header("content-security-policy").starts_with("sandbox"));
        assert!(header("content-disposition").starts_with("inline"));
        let saved = file(&format!("{name}?download=true")).await;
        let header = saved.headers.get("content-disposition").unwrap().to_str().unwrap();
        assert_eq!(header, format!("attachment; filename=\"{}-{name}\"", started.id));
    }
    let comparison = get(&web, &format!("/comparison?before={}&after={}", started.id, other.id)).await;
    assert_eq!(comparison["cells"].as_array().unwrap().len(), 2, "{comparison}");

    for path in ["runs/..", "runs/.", "runs/%2e%2e", "runs/..%2F..%2Fetc", "runs/x%2Fy", "runs/none", "runs/%00"] {
        web.get(&format!("{API}/{path}")).await.error(404, "not-found");
        web.delete(&format!("{API}/{path}")).await.error(404, "not-found");
    }
    for name in ["..%2Fplan.toml", "other", "%2Fetc%2Fpasswd"] {
        file(name).await.error(404, "not-found");
    }
    assert_eq!(web.delete(&format!("{API}/runs/{}", started.id)).await.status, 204);
    assert_eq!(get(&web, "/runs").await.as_array().unwrap().len(), 1);
    assert!(!folder.path().join(&started.id).exists() && folder.path().join(&other.id).exists());
    child.stop().await;
}

#[actix_rt::test]
async fn one_that_is_stopped_keeps_what_it_has_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (child, web) = start(folder.path(), &[]).await;
    web.delete(&format!("{API}/running")).await.error(404, "not-found");
    let started = launch(&web, &plan(2), "running").await;
    until(&web, "a trial that has ended", |view| view.ended > 0).await;
    assert_eq!(web.delete(&format!("{API}/running")).await.status, 200);
    let stopped = until(&web, "its end", |view| view.state == ExperimentState::Stopped).await;
    assert!(stopped.ended < 4, "{stopped:?}");
    let run = get(&web, &format!("/runs/{}", started.id)).await;
    assert!(run["finishedAt"].is_null() && run["ended"] == stopped.ended, "{run}");

    let resume = json!({ "resume": started.id }).to_string();
    assert_eq!(web.post(&format!("{API}/runs"), resume.clone()).await.status, 202);
    let ended = until(&web, "the rest", |view| view.state == ExperimentState::Finished).await;
    assert_eq!((&ended.id, ended.trials, ended.ended), (&started.id, 4, 4));
    assert_eq!(ended.ended_before, stopped.ended);
    assert!(web.post(&format!("{API}/runs"), resume).await.error(409, "conflict").contains("complete"));
    child.stop().await;
}

#[actix_rt::test]
async fn without_the_token_one_may_look_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (child, mut web) = start(folder.path(), &[("admin.token", "secret")]).await;
    get(&web, "").await;
    get(&web, "/runs").await;
    let body = json!({ "plan": plan(1) }).to_string();
    web.post(&format!("{API}/check"), body.clone()).await.error(403, "forbidden");
    web.post(&format!("{API}/runs"), body).await.error(403, "forbidden");
    web.delete(&format!("{API}/running")).await.error(403, "forbidden");
    web.delete(&format!("{API}/runs/x")).await.error(403, "forbidden");
    web.token = Some("secret".to_owned());
    // The experiment has to show it too, to change the workers.
    launch(&web, &plan(1), "running").await;
    let ended = until(&web, "the end", |view| view.state == ExperimentState::Finished).await;
    assert_eq!(ended.problems, 0, "{ended:?}");
    child.stop().await;
}

#[actix_rt::test]
async fn where_nothing_can_be_written_the_error_says_what_to_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (child, web) = start(&file.path().join("below"), &[]).await;
    let why = get(&web, "").await["unwritable"].as_str().unwrap().to_owned();
    let answer = web.post(&format!("{API}/runs"), json!({ "plan": plan(1) }).to_string()).await;
    for why in [why, answer.error(500, "internal")] {
        assert!(why.contains("experiments.dir") && why.contains("volume"), "{why}");
    }
    assert_eq!(get(&web, "/runs").await, json!([]));
    child.stop().await;
}

/// The process of the experiment that runs in a folder.
fn process_of(folder: &Path) -> Pid {
    let needle = folder.to_str().unwrap();
    let found = fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let is_it = line.contains("\0experiment\0") && line.contains(needle);
        is_it.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
    });
    Pid::from_raw(found.unwrap())
}

async fn is_gone(process: Pid) {
    eventually("the end of the experiment's process", async || {
        (kill(process, None) == Err(Errno::ESRCH)).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn an_experiment_ends_with_the_web_tier_and_leaves_its_trials() {
    let folder = tempfile::tempdir().unwrap();
    let (child, web) = start(folder.path(), &[]).await;
    let started = launch(&web, &plan(50), "running").await;
    until(&web, "a trial that has ended", |view| view.ended > 0).await;
    let process = process_of(&folder.path().join(&started.id));
    child.stop().await;
    is_gone(process).await;

    // Whatever ends it: the other run is cut off without a word.
    let (child, web) = start(folder.path(), &[]).await;
    let run = get(&web, &format!("/runs/{}", started.id)).await;
    assert!(run["ended"].as_u64().is_some_and(|ended| ended > 0), "{run}");
    let second = launch(&web, &plan(50), "in-process").await;
    until(&web, "a trial that has ended", |view| view.ended > 0).await;
    let process = process_of(&folder.path().join(&second.id));
    child.kill().await;
    is_gone(process).await;
}

#[actix_rt::test]
async fn an_experiment_that_dies_is_told_and_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (child, web) = start(folder.path(), &[]).await;
    let started = launch(&web, &plan(50), "in-process").await;
    until(&web, "a trial that has ended", |view| view.ended > 0).await;
    kill(process_of(&folder.path().join(&started.id)), Signal::SIGKILL).unwrap();
    let failed = eventually("what became of it", async || {
        let view = view(&web).await;
        (view.state == ExperimentState::Failed).then_some(view)
    })
    .await;
    assert!(failed.reason.as_ref().unwrap().contains("signal: 9"), "{failed:?}");
    assert!(get(&web, &format!("/runs/{}", started.id)).await["ended"].as_u64().unwrap() > 0);
    assert_eq!(web.ask(json!({})).await.counts.responses, 3);
    child.stop().await;
}

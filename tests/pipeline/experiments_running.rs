//! `swarmq experiment --target running`: what it needs, and what it expects of the deployment that it finds.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use swarmq::experiment::run::read_results;
use swarmq::wire::{Delay, Tier};

use crate::support::{Child, Web, eventually, own_port, run};

/// Trials of a few requests each against a web tier, however long a busy machine takes for them.
async fn experiment(folder: &Path, url: &str, flags: &[&str]) -> Output {
    let out = folder.join("run");
    let of_it = ["experiment", "quick", "--target=running", "--url", url, "--out", out.to_str().unwrap()];
    let short = ["--repetitions=2", "--warm-up=0s", "--duration=30s", "--count=12", "--factor=responders=2"];
    run(&[&of_it, &short[..], flags].concat()).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[actix_rt::test]
async fn without_the_permission_it_says_once_what_is_needed_and_begins_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let token = [("admin.token", "s3cret")];
    let open = [("web.bind", "0.0.0.0")];
    for (settings, flags, needed) in [
        (&token, &[][..], "need a token: give it with --token"),
        (&token, &["--token=another"], "have another token than the one given"),
        (&open, &[], "no token is set"),
    ] {
        let mut app = Child::start(&[], settings);
        let url = app.web().await.base.replace("0.0.0.0", "127.0.0.1");
        let output = experiment(folder.path(), &url, flags).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(needed) && said.lines().count() == 1, "{said}");
        assert!(!folder.path().join("run").exists(), "nothing was measured");
        app.stop().await;
    }
    let mut app = Child::start(&[], &token);
    let output = experiment(folder.path(), &app.web().await.base, &["--token=s3cret"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    app.stop().await;
}

/// The web tier permits it, and the instance that a control is passed on to does not.
#[actix_rt::test]
async fn a_control_that_is_refused_ends_it_at_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = own_port().to_string();
    let telemetry_at = format!("127.0.0.1:{telemetry}");
    // With a token of its own its telemetry is taken where the web tier has none.
    let changes = [("telemetry.web", &*telemetry_at), ("admin.token", "its own")];
    let mut responder = Child::start(&["responder"], &changes);
    let broker = responder.broker().await.to_string();
    let mut requester = Child::start(&["requester", "--responder", &broker], &changes);
    let address = requester.requester().await.to_string();
    let mut web = Child::start(&["web", "--requester", &address], &[("telemetry.port", &telemetry)]);
    let api = web.web().await;
    web.admin().await.ready().await;
    let output = experiment(folder.path(), &api.base, &[]).await;
    let said = text(&output.stderr);
    assert_eq!((output.status.code(), said.matches("403").count()), (Some(1), 1), "{said}");
    assert!(said.contains("--token"), "{said}");
    assert_eq!(read_results(&folder.path().join("run")).unwrap().trials, []);
    for child in [web, requester, responder] {
        child.stop().await;
    }
}

#[actix_rt::test]
async fn it_expects_what_as_many_instances_as_there_are_should_give() {
    let folder = tempfile::tempdir().unwrap();
    let telemetry = own_port().to_string();
    let telemetry_at = format!("127.0.0.1:{telemetry}");
    let changes = [("telemetry.web", &*telemetry_at)];
    let mut responders = [Child::start(&["responder"], &changes), Child::start(&["responder"], &changes)];
    let brokers = [responders[0].broker().await.to_string(), responders[1].broker().await.to_string()].join(",");
    let mut requester = Child::start(&["requester", "--responder", &brokers], &changes);
    let address = requester.requester().await.to_string();
    let mut web = Child::start(&["web", "--requester", &address], &[("telemetry.port", &telemetry)]);
    let api = web.web().await;
    eventually("both responders", async || (api.topology().await.living(Tier::Responder).count() == 2).then_some(()))
        .await;
    let output = experiment(folder.path(), &api.base, &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let results = read_results(&folder.path().join("run")).unwrap();
    for cell in &results.plan.cells {
        assert_eq!((cell.setup.requester_instances, cell.setup.responder_instances), (1, 2));
    }
    assert!(results.trials.iter().all(|trial| trial.problem.is_none()), "{:?}", results.trials);
    let [first, second] = responders;
    for child in [web, requester, first, second] {
        child.stop().await;
    }
}

async fn delay(api: &Web) -> Delay {
    let topology = api.topology().await;
    topology.living(Tier::Responder).find_map(|view| view.snapshot.delay).unwrap()
}

#[actix_rt::test]
async fn a_delay_keeps_its_cap_and_its_microseconds_by_a_control_and_over_an_experiment() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [("task.delay.kind", "exponential"), ("task.delay.mean", "1500us"), ("task.delay.cap", "5s")];
    let mut app = Child::start(&[], &changes);
    let api = app.web().await;
    app.admin().await.ready().await;
    eventually("the responder", async || api.topology().await.living(Tier::Responder).next().map(drop)).await;
    let micros = |mean| Delay { mean: Duration::from_micros(mean), cap: Some(Duration::from_secs(5)), ..Delay::NONE };
    let configured = delay(&api).await;
    assert_eq!((configured.mean, configured.cap), (micros(1_500).mean, micros(1_500).cap));
    // As from a client that knows of no cap.
    let moved = json!({ "kind": "exponential", "minMs": 0, "maxMs": 0, "meanMs": 0.5, "sigma": 0.5 });
    assert_eq!(api.put("/api/v1/control/delay", moved.to_string()).await.status, 200);
    let found =
        eventually("the delay moved", async || Some(delay(&api).await).filter(|delay| delay.mean == micros(500).mean))
            .await;
    assert_eq!(found, Delay { kind: configured.kind, ..micros(500) });
    let output = experiment(folder.path(), &api.base, &["--factor=delay=exponential 2500us"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let results = read_results(&folder.path().join("run")).unwrap();
    assert!(results.plan.cells.iter().all(|cell| cell.setup.delay.mean == micros(2_500).mean));
    // Each trial had the plan's delay, cap included, and not that of the deployment.
    assert!(results.trials.iter().all(|trial| trial.problem.is_none()), "{:?}", results.trials);
    eventually("the delay as it was found", async || (delay(&api).await == found).then_some(())).await;
    app.stop().await;
}

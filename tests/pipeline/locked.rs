//! While an experiment changes the deployment of a web tier, others may not: neither by controls nor by a load.

use serde_json::{Value, json};
use swarmq::wire::{ExperimentState, ExperimentView, Tier};

use crate::dashboards::Dashboard;
use crate::support::{Child, Web, eventually};

const RUNNING: &str = "/api/v1/experiments/running";

async fn state(web: &Web) -> ExperimentState {
    let view: ExperimentView = serde_json::from_slice(&web.get(RUNNING).await.body).unwrap();
    assert_ne!(view.state, ExperimentState::Failed, "{view:?}");
    view.state
}

async fn launch(web: &Web, target: &str) -> String {
    let plan = "repetitions = 20\nwarm_up = \"0s\"\nduration = \"300ms\"\n\n[factors]\nresponders = [1, 2]\n\n\
                [fixed]\ndelay = \"fixed 5ms\"\nfan_out = \"one\"\n";
    let body = json!({ "plan": plan, "name": "short", "target": target });
    let answer = web.post("/api/v1/experiments/runs", body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn stop(web: &Web) {
    assert_eq!(web.delete(RUNNING).await.status, 200);
    eventually("the experiment's end", async || (state(web).await == ExperimentState::Stopped).then_some(())).await;
}

/// What the log has of a kind.
async fn logged(web: &Web, kind: &str) -> Vec<Value> {
    let page = web.get(&format!("/api/v1/events?limit=1000&kind={kind}")).await.json();
    page["events"].as_array().unwrap().clone()
}

#[actix_rt::test]
async fn an_experiment_on_the_deployment_locks_it_for_others_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut app =
        Child::start(&[], &[("telemetry.interval", "500ms"), ("experiments.dir", folder.path().to_str().unwrap())]);
    let web = app.web().await;
    app.admin().await.ready().await;
    let run = launch(&web, "running").await;
    let scaled = eventually("what the experiment changes itself", async || logged(&web, "scaled").await.pop()).await;
    assert_eq!(scaled["by"], json!({ "type": "experiment", "run": run }));

    let topology = web.topology().await;
    let id = &topology.living(Tier::Responder).next().unwrap().snapshot.instance.id;
    let instance = format!("/api/v1/control/instances/{id}");
    let delay = json!({ "kind": "none", "minMs": 0, "maxMs": 0, "meanMs": 0, "sigma": 0.5 }).to_string();
    let refused = [
        web.put("/api/v1/control/delay", delay.clone()).await,
        web.put("/api/v1/control/dispatch", "{\"dispatch\":\"least-busy\"}").await,
        web.put(&format!("{instance}/workers"), "{\"workers\":9}").await,
        web.put(&format!("{instance}/faults"), "{\"failing\":true}").await,
        web.delete("/api/v1/control/faults").await,
        web.post(&format!("{instance}/workers/0/panic"), "").await,
        web.post("/api/v1/load", "{\"count\":1}").await,
        web.post("/api/v1/dispatcher/disconnect", "").await,
        web.call("PUT", "/api/v1/control/delay", &[("swarmq-run-key", "guessed")]).await,
    ];
    for answer in &refused {
        let reason = answer.error(409, "conflict");
        assert!(reason.contains(&run) && reason.contains("DELETE /api/v1/experiments/running"), "{reason}");
    }
    let snapshot = Dashboard::open(web.base.strip_prefix("http://").unwrap().parse().unwrap()).await.next().await;
    assert_eq!(snapshot["settings"]["locked"], refused[0].json()["error"]["message"]);
    // What changes nothing may be done.
    assert_eq!(web.delete("/api/v1/load").await.status, 200);
    assert_eq!(web.get("/api/v1/control").await.json()["permitted"], true);
    web.ask(json!({ "task": "echo" })).await;

    stop(&web).await;
    let ended = eventually("its end in the log", async || logged(&web, "experiment-ended").await.pop()).await;
    assert_eq!((&ended["subject"], &ended["by"]["type"]), (&json!(run), &json!("call")));
    assert!(ended["after"].as_str().unwrap().starts_with("stopped, "), "{ended}");
    let started = logged(&web, "experiment-started").await;
    assert_eq!(
        (started.len(), &started[0]["subject"], &started[0]["by"]["address"]),
        (1, &json!(run), &json!("127.0.0.1"))
    );
    assert_eq!(web.put("/api/v1/control/delay", delay).await.status, 200);
    app.stop().await;
}

#[actix_rt::test]
async fn an_experiment_with_a_deployment_of_its_own_locks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut app =
        Child::start(&[], &[("telemetry.interval", "500ms"), ("experiments.dir", folder.path().to_str().unwrap())]);
    let web = app.web().await;
    app.admin().await.ready().await;
    launch(&web, "in-process").await;
    eventually("a trial", async || (state(&web).await == ExperimentState::Running).then_some(())).await;
    let dispatch = web.put("/api/v1/control/dispatch", "{\"dispatch\":\"least-busy\"}").await;
    assert_eq!((dispatch.status, state(&web).await), (200, ExperimentState::Running), "{}", dispatch.text());
    stop(&web).await;
    app.stop().await;
}

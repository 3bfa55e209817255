//! The event log: what has happened in the deployment, by whom, and what the page is told of changes.

use serde_json::{Value, json};
use swarmq::wire::Tier;

use crate::dashboards::Dashboard;
use crate::support::{Child, Running, Web, eventually, own_port};

/// Everything in the log.
async fn log(web: &Web) -> Vec<Value> {
    page(web, "?limit=1000").await["events"].as_array().unwrap().clone()
}

async fn page(web: &Web, query: &str) -> Value {
    let answer = web.get(&format!("/api/v1/events{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits for an event of a kind of which something is true.
async fn logged(web: &Web, kind: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually(kind, async || log(web).await.into_iter().find(|event| event["kind"] == kind && is_it(event))).await
}

fn of(instance: &str) -> impl Fn(&Value) -> bool {
    move |event| event["instance"] == instance
}

fn id_of(app: &Running, tier: Tier) -> String {
    app.status(tier).instance.id.clone()
}

/// An instance does not count as lost because a busy machine keeps it from telling of itself for a moment.
const CALM: (&str, &str) = ("telemetry.interval", "1s");

/// A call of this test's.
fn by_us() -> Value {
    json!({ "type": "call", "address": "127.0.0.1" })
}

#[actix_rt::test]
async fn an_instance_that_is_killed_is_lost_and_one_that_is_told_to_end_has_left() {
    let telemetry = own_port().to_string();
    let telemetry_at = format!("127.0.0.1:{telemetry}");
    let changes = |id| [CALM, ("telemetry.web", &*telemetry_at), ("instance.id", id), ("instance.node", "pi-7")];
    let mut responder = Child::start(&["responder"], &changes("one"));
    let broker = responder.broker().await.to_string();
    let mut requester = Child::start(&["requester", "--responder", &broker], &changes("two"));
    let address = requester.requester().await.to_string();
    let mut web = Child::start(&["web", "--requester", &address], &[CALM, ("telemetry.port", &telemetry)]);
    let api = web.web().await;
    for instance in ["one", "two"] {
        let came = logged(&api, "instance-came", of(instance)).await;
        assert_eq!((&came["node"], &came["count"]), (&json!("pi-7"), &json!(1)));
    }
    let found = logged(&api, "link-found", |event| event["subject"] == address).await;

    responder.kill().await;
    let lost = logged(&api, "instance-lost", of("one")).await;
    assert_eq!(lost["tier"], "responder");
    assert!(lost["reason"].as_str().unwrap().contains("nothing heard of it") && lost["by"].is_null(), "{lost}");
    logged(&api, "instance-lost", of("one-broker")).await;

    requester.stop().await;
    let left = logged(&api, "instance-left", of("two")).await;
    assert_eq!(left["reason"], "it was shut down");
    let link = logged(&api, "link-lost", |event| event["subject"] == address).await;
    assert!(link["seq"].as_u64() > found["seq"].as_u64() && link["instance"].is_string(), "{link}");

    // The same id, in another process.
    let again = Child::start(&["responder"], &changes("one"));
    logged(&api, "instance-came", |event| event["instance"] == "one" && event["seq"].as_u64() > lost["seq"].as_u64())
        .await;
    let ends: Vec<_> = log(&api).await.iter().map(|event| (event["kind"].clone(), event["instance"].clone())).collect();
    let lost_two = ends.iter().any(|(kind, instance)| kind == "instance-lost" && instance == "two");
    assert!(!lost_two, "one that has left is not lost as well: {ends:?}");
    for child in [again, web] {
        child.stop().await;
    }
}

#[actix_rt::test]
async fn a_worker_that_is_made_to_panic_is_told_with_who_did_it_and_its_return() {
    let app = Running::all(&[CALM]).await;
    let (web, responder) = (app.web(), id_of(&app, Tier::Responder));
    let path = format!("/api/v1/control/instances/{responder}/workers/1/panic");
    let headers = [("x-forwarded-for", "192.0.2.7, 10.0.0.1")];
    assert_eq!(web.call("POST", &path, &headers).await.status, 200);
    let panicked = logged(&web, "worker-panicked", of(&responder)).await;
    assert_eq!(panicked["worker"], 1);
    let by = json!({ "type": "call", "address": "127.0.0.1", "forwardedFor": "192.0.2.7" });
    assert_eq!(panicked["by"], by);
    let back = logged(&web, "worker-restarted", of(&responder)).await;
    assert!(back["seq"].as_u64() > panicked["seq"].as_u64() && back["by"].is_null(), "{back}");
    app.stop().await;
}

#[actix_rt::test]
async fn a_change_of_delay_is_one_event_and_settings_without_a_new_snapshot() {
    let app = Running::all(&[CALM]).await;
    let web = app.web();
    web.ask(json!({ "task": "echo" })).await;
    let with_hops = || app.status(Tier::Requester).snapshot().hops;
    app.until("latencies", || !with_hops().is_empty()).await;
    let mut dashboard = Dashboard::open(app.addresses.web.unwrap()).await;
    let snapshot = dashboard.next().await;
    assert_eq!(snapshot["type"], "snapshot");
    assert!(snapshot["history"].as_array().unwrap().iter().any(|event| event["kind"] == "instance-came"));
    assert_eq!((&snapshot["settings"]["locked"], &snapshot["settings"]["keepRequests"]), (&Value::Null, &json!(1000)));
    let instances = snapshot["topology"]["instances"].as_object().unwrap();
    assert!(instances.values().all(|view| view["hops"] == json!({})), "nobody shows histograms");

    let delay = json!({ "kind": "fixed", "minMs": 0, "maxMs": 0, "meanMs": 7, "sigma": 0.5 });
    assert_eq!(web.put("/api/v1/control/delay", delay.to_string()).await.status, 200);
    let mut history = vec![];
    let mut read = async |is_last: &dyn Fn(&Value) -> bool| {
        loop {
            let message = dashboard.next().await;
            assert_eq!(message["type"], "events", "no snapshot");
            let snapshots = message["events"].as_array().unwrap().iter().map(|event| &event["snapshot"]);
            assert!(snapshots.filter(|it| it.is_object()).all(|snapshot| snapshot["hops"] == json!({})));
            history.extend(message["history"].as_array().into_iter().flatten().cloned());
            if is_last(&message) {
                return history.clone();
            }
        }
    };
    // What this delay should give is worked out meanwhile.
    let is_expected = |settings: &Value| {
        let mean = settings["expected"]["serviceMeanMs"].as_f64();
        settings["delay"]["meanMs"] == 7 && mean.is_some_and(|mean| (mean - 7.0).abs() < 0.01)
    };
    read(&|message| is_expected(&message["settings"])).await;
    let dispatch = json!({ "dispatch": "least-busy" });
    assert_eq!(web.put("/api/v1/control/dispatch", dispatch.to_string()).await.status, 200);
    let is_told = |message: &Value| {
        let mut history = message["history"].as_array().into_iter().flatten();
        history.any(|event| event["kind"] == "dispatch-changed")
    };
    let history: Vec<Value> = read(&is_told).await;
    let delays: Vec<_> = history.iter().filter(|event| event["kind"] == "delay-changed").collect();
    let [delay] = delays[..] else { panic!("{history:#?}") };
    assert!(delay["after"].as_str().unwrap().starts_with("fixed 7ms"), "{delay}");
    assert_eq!((&delay["by"], &delay["instance"]), (&by_us(), &json!(id_of(&app, Tier::Responder))));
    let topology = web.get("/api/v1/topology").await.json();
    let requester = &topology["instances"][id_of(&app, Tier::Requester)];
    assert!(requester["hops"]["total"]["count"].as_u64() > Some(0), "the API has them: {requester}");
    app.stop().await;
}

#[actix_rt::test]
async fn scaling_faults_and_loads_are_told_with_what_they_were_and_became() {
    let app = Running::all(&[CALM]).await;
    let (web, responder) = (app.web(), id_of(&app, Tier::Responder));
    let path = |what: &str| format!("/api/v1/control/instances/{responder}/{what}");
    for (workers, before) in [(5, 3), (2, 5)] {
        assert_eq!(web.put(&path("workers"), json!({ "workers": workers }).to_string()).await.status, 200);
        let after = workers.to_string();
        let is_it = |event: &Value| event["after"] == after;
        let scaled = logged(&web, "scaled", is_it).await;
        assert_eq!((&scaled["before"], &scaled["by"]), (&json!(before.to_string()), &by_us()));
    }
    let faults = json!({ "errorRate": 0.5, "extraLatencyMs": 20, "failing": false });
    assert_eq!(web.put(&path("faults"), faults.to_string()).await.status, 200);
    let set = logged(&web, "faults-changed", of(&responder)).await;
    assert_eq!((&set["before"], &set["after"]), (&json!("none"), &json!("50 % errors, 20 ms slower")));
    assert_eq!(web.delete("/api/v1/control/faults").await.status, 200);
    logged(&web, "faults-changed", |event| event["after"] == "none" && event["by"] == by_us()).await;

    let steady = json!({ "rate": 0.1, "request": { "task": "echo" } });
    let burst = json!({ "count": 2, "request": { "task": "echo" } });
    for load in [steady, burst] {
        assert_eq!(web.post("/api/v1/load", load.to_string()).await.status, 200);
    }
    let replaced = logged(&web, "load-ended", |event| event["by"] == by_us()).await;
    assert_eq!(replaced["reason"], "another load took its place");
    let ended = logged(&web, "load-ended", |event| event["by"].is_null()).await;
    assert_eq!(
        (&ended["after"], &ended["reason"]),
        (&json!("2 requests sent"), &json!("it has made all of its requests"))
    );
    let started = page(&web, "?kind=load-started").await;
    let what: Vec<_> = started["events"].as_array().unwrap().iter().map(|event| &event["after"]).collect();
    assert_eq!(what, ["0.1 requests/s", "2 requests"]);
    app.stop().await;
}

#[actix_rt::test]
async fn the_log_is_read_in_pages_keeps_what_its_setting_says_and_tells_what_was_missed() {
    let app = Running::all(&[CALM, ("web.keep_events", "6")]).await;
    let web = app.web();
    let first = log(&web).await[0]["seq"].as_u64().unwrap();
    for count in 2..=5 {
        let load = json!({ "count": count, "request": { "task": "echo" } });
        assert_eq!(web.post("/api/v1/load", load.to_string()).await.status, 200);
        logged(&web, "load-ended", |event| event["after"] == format!("{count} requests sent")).await;
    }
    let all = log(&web).await;
    assert_eq!(all.len(), 6, "{all:#?}");
    assert!(all.is_sorted_by_key(|event| event["seq"].as_u64()));
    let (mut after, mut seen) = (all[0]["seq"].as_u64().unwrap() - 1, vec![]);
    loop {
        let page = page(&web, &format!("?after={after}&limit=4")).await;
        seen.extend(page["events"].as_array().unwrap().clone());
        after = page["last"].as_u64().unwrap();
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen, all);
    assert_eq!(page(&web, &format!("?after={first}")).await["missed"], true);
    assert_eq!(
        page(&web, &format!("?after={after}")).await,
        json!({ "events": [], "last": after, "more": false, "missed": false })
    );
    for (query, part) in [
        ("limit=0", "give a whole number from 1 to 1000"),
        ("limit=1001", "give a whole number from 1 to 1000"),
        ("after=-1", "give a whole number from 0"),
        ("after=x", "`after` is \"x\""),
        ("kind=nonsense", "instance-came"),
        ("kind=", "instance-came"),
        ("before=1", "unknown field"),
    ] {
        let message = web.get(&format!("/api/v1/events?{query}")).await.error(400, "bad-request");
        assert!(message.contains(part), "{query}: {message}");
    }
    app.stop().await;
}

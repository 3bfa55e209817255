//! Who may call what: every route, walked.

use serde_json::json;

use crate::support::{Answer, Child, Running, Web};

/// What an admin server has beside what reads.
const CONTROLS: [(&str, &str); 7] = [
    ("PUT", "/control/x/workers"),
    ("PUT", "/control/x/delay"),
    ("PUT", "/control/x/dispatch"),
    ("PUT", "/control/x/faults"),
    ("DELETE", "/control/x/faults"),
    ("POST", "/control/x/workers/0/panic"),
    ("POST", "/control/x/workers/0/stall"),
];

/// True for what needs permission: all that changes something, but not sending a request.
fn is_control(method: &str, path: &str) -> bool {
    method != "GET" && path != "/api/v1/requests"
}

fn is_forbidden(answer: &Answer) -> bool {
    answer.status == 403 && answer.json()["error"]["code"] == "forbidden"
}

/// Every route with these headers: those that are controls are refused, and no other.
async fn walk(web: &Web, admin: &Web, headers: &[(&str, &str)]) {
    let mut controls = 0;
    for (method, path) in web.routes().await {
        let answer = web.call(&method, &path, headers).await;
        assert_eq!(is_forbidden(&answer), is_control(&method, &path), "{method} {path}: {}", answer.status);
        controls += usize::from(is_control(&method, &path));
    }
    assert!(controls > 10, "{controls}");
    for (method, path) in CONTROLS {
        assert!(is_forbidden(&admin.call(method, path, headers).await), "{method} {path}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(admin.call("GET", path, headers).await.status, 200, "{path}");
    }
}

#[actix_rt::test]
async fn with_a_token_every_control_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let mut child = Child::start(&[], &[("admin.token", "s3cret"), ("experiments.dir", dir)]);
    let (web, admin) = (child.web().await, child.admin().await);
    admin.ready().await;
    for headers in [&[][..], &[("authorization", "Bearer s3cre")], &[("authorization", "Basic s3cret")]] {
        walk(&web, &admin, headers).await;
    }
    assert_eq!(web.ask(json!({})).await.counts.responses, 3, "nothing was disconnected");
    // Letters of a path may be encoded: the router takes them for the same.
    assert!(is_forbidden(&web.call("POST", "/api/v1/dispatcher/disc%6Fnnect", &[]).await));
    let permitted = [("authorization", "bearer  s3cret")];
    for (method, path) in web.routes().await {
        assert!(!is_forbidden(&web.call(&method, &path, &permitted).await), "{method} {path}");
    }
    for (method, path) in CONTROLS {
        assert!(!is_forbidden(&admin.call(method, path, &permitted).await), "{method} {path}");
    }
    child.stop().await;
}

#[actix_rt::test]
async fn where_others_reach_it_without_a_token_nobody_controls() {
    for setting in ["web.bind", "admin.bind"] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        let mut child = Child::start(&[], &[(setting, "0.0.0.0"), ("experiments.dir", dir)]);
        let (web, admin) = (child.web().await, child.admin().await);
        admin.ready().await;
        for (method, path) in web.routes().await {
            let answer = web.call(&method, &path, &[]).await;
            assert_eq!(
                is_forbidden(&answer),
                is_control(&method, &path),
                "{setting}: {method} {path}: {}",
                answer.status
            );
        }
        let closed = setting == "admin.bind";
        for (method, path) in CONTROLS {
            assert_eq!(is_forbidden(&admin.call(method, path, &[]).await), closed, "{setting}: {method} {path}");
        }
        assert_eq!(web.ask(json!({})).await.counts.responses, 3);
        child.stop().await;
    }
}

#[actix_rt::test]
async fn an_instance_with_an_odd_name_is_controlled() {
    let app = Running::all(&[("instance.id", "pi 1/a?b#ü")]).await;
    let id = "pi%201%2Fa%3Fb%23%C3%BC-responder";
    let answer = app.web().call("DELETE", &format!("/api/v1/control/instances/{id}/faults"), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    app.stop().await;
}

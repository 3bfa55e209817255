//! Pages of other sites, and names that are not the server's own.

use awc::error::WsClientError;
use serde_json::json;
use swarmq::wire::Tier;

use crate::support::{Child, Running, Web};

const EVIL: (&str, &str) = ("origin", "http://evil.example");

/// The status of an upgrade with this origin.
async fn upgrade(web: &Web, origin: &str) -> u16 {
    match awc::Client::new().ws(format!("{}/ws", web.base)).origin(origin).connect().await {
        Ok((response, _)) => response.status().as_u16(),
        Err(WsClientError::InvalidResponseStatus(status)) => status.as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[actix_rt::test]
async fn a_page_of_another_site_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Child::start(&[], &[("experiments.dir", folder.path().to_str().unwrap())]);
    let (web, admin) = (child.web().await, child.admin().await);
    admin.ready().await;
    for (method, path) in web.routes().await.into_iter().filter(|(method, _)| method != "GET") {
        web.call(&method, &path, &[EVIL]).await.error(403, "forbidden");
    }
    for path in ["/api/v1/dispatcher/request", "/api/v1/dispatcher/connect", "/ws"] {
        // As an image or a link: without an origin.
        for headers in [&[("sec-fetch-site", "cross-site")][..], &[("sec-fetch-site", "same-site")], &[EVIL]] {
            web.call("GET", path, headers).await.error(403, "forbidden");
        }
    }
    for (method, path) in
        [("POST", "/control/x/workers/0/panic"), ("DELETE", "/control/x/faults"), ("PUT", "/control/x/delay")]
    {
        admin.call(method, path, &[EVIL]).await.error(403, "forbidden");
    }
    let ledgers = web.topology().await.ledger(Tier::Requester);
    assert_eq!(ledgers.sent, 0, "no request was made: {ledgers:?}");
    assert_eq!(web.ask(json!({})).await.counts.responses, 3, "nothing was disconnected");
    child.stop().await;
}

#[actix_rt::test]
async fn the_web_socket_is_for_pages_of_this_server_and_for_programs() {
    let app = Running::all(&[("web.hosts", "swarm.example")]).await;
    let own = app.web().base.clone();
    assert_eq!(upgrade(&app.web(), "http://evil.example").await, 403);
    assert_eq!(upgrade(&app.web(), "null").await, 403);
    assert_eq!(upgrade(&app.web(), &own).await, 101);
    assert_eq!(upgrade(&app.web(), "https://swarm.example").await, 101);
    assert!(awc::Client::new().ws(format!("{own}/ws")).connect().await.is_ok(), "a program");
    app.stop().await;
}

#[actix_rt::test]
async fn behind_a_proxy_the_page_works() {
    let app = Running::all(&[]).await;
    let page = ("origin", "https://pi.example:8443");
    let message = app.web().call("DELETE", "/api/v1/load", &[page]).await.error(403, "forbidden");
    assert!(message.contains("https://pi.example:8443") && message.contains("web.hosts"), "{message}");
    for way in [("x-forwarded-host", "pi.example:8443"), ("sec-fetch-site", "same-origin")] {
        assert_eq!(app.web().call("DELETE", "/api/v1/load", &[page, way]).await.status, 200, "{way:?}");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn this_machine_alone_is_served_by_its_own_names_alone() {
    let app = Running::all(&[("web.hosts", "pi.local")]).await;
    let evil = ("host", "evil.example");
    for path in ["/", "/api/v1/topology", "/api/v1/nothing", "/ws"] {
        let message = app.web().call("GET", path, &[evil]).await.error(403, "forbidden");
        assert!(message.contains("evil.example") && message.contains("web.hosts"), "{message}");
    }
    for path in ["/healthz", "/metrics"] {
        app.admin().call("GET", path, &[evil]).await.error(403, "forbidden");
    }
    // As a page of a rebound name would: for its browser it is the same site.
    let rebound = [evil, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")];
    app.web().call("POST", "/api/v1/dispatcher/disconnect", &rebound).await.error(403, "forbidden");
    for host in ["localhost:3000", "127.0.0.1", "[::1]:3000", "pi.local:80"] {
        assert_eq!(app.web().call("GET", "/api/v1/topology", &[("host", host)]).await.status, 200, "{host}");
    }
    app.stop().await;
    for setting in [("admin.token", "s3cret"), ("web.bind", "0.0.0.0")] {
        let app = Running::all(&[setting]).await;
        assert_eq!(app.web().call("GET", "/api/v1/topology", &[evil]).await.status, 200, "{setting:?}");
        app.stop().await;
    }
}

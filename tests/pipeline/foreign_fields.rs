//! What comes from outside under names of the program's own: fields, ids of other messages, and of other clients'
//! requests.

use serde_json::{Value, json};
use swarmq::config::Role;
use swarmq::wire::Tier;

use crate::support::{ArticleTier, Peer, Running, article_reply, in_time, start};

/// A field of each name that a message or a reply has as its own, beside one that nobody has.
fn forged() -> Value {
    json!({
        "messageId": "m", "requesterId": "r", "requestedAt": 1, "body": "forged", "responseType": "Error",
        "respondedAt": 1, "responderId": 7, "code": "lost", "detail": "forged", "bodyBytes": 3, "timings": {},
        "node": "forged", "service": "forged", "slot": "forged", "foreign": 1,
    })
}

/// `object` with `more` fields.
fn with(mut object: Value, more: &Value) -> Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

#[actix_rt::test]
async fn fields_of_the_programs_own_are_not_brought_in_by_a_client() {
    for socket in ["req", "dealer"] {
        let app = Running::all(&[("requester.socket", socket)]).await;
        let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
        for extended in [json!({}), json!({ "attempt": 1 })] {
            peer.send(with(with(json!({ "requestId": "q" }), &extended), &forged()).to_string()).await;
            let set = peer.object().await;
            let replies = set["q"].as_array().unwrap();
            assert_eq!(replies.len(), 3);
            for reply in replies {
                assert_eq!(
                    (&reply["body"], &reply["responseType"]),
                    (&json!("Hello Paul"), &json!("Response")),
                    "{reply}"
                );
                assert_eq!(
                    (&reply["foreign"], &reply["detail"], &reply["bodyBytes"]),
                    (&json!(1), &Value::Null, &Value::Null)
                );
                for (name, forged) in
                    [("messageId", json!("m")), ("requesterId", json!("r")), ("responderId", json!(7))]
                {
                    assert_ne!(reply[name], forged, "{reply}");
                }
                assert!(!reply.to_string().contains("forged"), "{reply}");
            }
        }
        app.web()
            .post("/api/v1/requests", with(json!({ "task": "echo" }), &forged()).to_string())
            .await
            .error(400, "bad-request");
        app.settle().await;
        assert_eq!((app.ledger(Tier::Requester).responses, app.ledger(Tier::Requester).retries), (6, 0));
        app.stop().await;
    }
}

/// A requester of ours with one worker, and its response tier in a plain socket.
async fn requester(socket: &str) -> (Running, ArticleTier) {
    let tier = ArticleTier::bind();
    let changes =
        [("requester.responder", &*tier.address.to_string()), ("requester.socket", socket), ("requester.workers", "1")];
    let app = start(Role::Requester, &changes);
    app.ready().await;
    (app, tier)
}

/// The timeout of these tests is minutes: what ends a message sooner is what is tested.
#[actix_rt::test]
async fn a_reply_that_fits_no_message_ends_the_one_it_answers_as_an_error_at_once() {
    for socket in ["req", "dealer"] {
        let (app, tier) = requester(socket).await;
        let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
        let error = json!({
            "messageId": "", "requestId": "", "requesterId": "", "responseType": "Error", "body": "the message cannot be parsed",
        });
        let forgeries = [
            (json!({ "messageId": "another" }), "another"),
            (json!({ "requestId": "another" }), "other ids"),
            (json!({ "requesterId": "another" }), "other ids"),
            (error, "the message cannot be parsed"),
            (json!({ "responseType": 7 }), "cannot be parsed"),
        ];
        let wrong = forgeries.len() as u64;
        for (number, (forgery, reason)) in forgeries.into_iter().enumerate() {
            let id = format!("request {number}");
            peer.send(json!({ "requestId": id, "attempt": 1 }).to_string()).await;
            let (envelope, message) = tier.message().await;
            tier.reply(&envelope, &with(article_reply(&message, "body"), &forgery)).await;
            let set = peer.object().await;
            let reply = &set[&id][0];
            assert_eq!((&reply["code"], &reply["responderId"]), (&json!("bad-request"), &json!(-1)), "{reply}");
            assert!(reply["body"].as_str().unwrap().contains(reason), "{reply}");
        }
        peer.send(r#"{"requestId":"good"}"#).await;
        let (envelope, message) = tier.message().await;
        tier.reply(&envelope, &article_reply(&message, "the worker goes on")).await;
        assert_eq!(peer.object().await["good"][0]["body"], "the worker goes on");
        app.settle().await;
        let ledger = app.ledger(Tier::Requester);
        assert_eq!((ledger.errors, ledger.responses, ledger.late, ledger.retries), (wrong, 1, 0, 0), "{socket}");
        app.stop().await;
    }
}

#[actix_rt::test]
async fn a_request_that_is_refused_is_told_by_its_id_and_keeps_no_worker() {
    let (app, _tier) = requester("req").await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    for fields in
        [r#""timeoutMs":0"#, r#""timeoutMs":3600001"#, r#""timeoutMs":18446744073709551615"#, r#""fanOut":"some""#]
    {
        peer.send(format!(r#"{{"requestId":"q",{fields}}}"#)).await;
        let refusal = peer.object().await;
        assert_eq!(
            (&refusal["requestId"], &refusal["error"]["code"]),
            (&json!("q"), &json!("bad-request")),
            "{fields}"
        );
    }
    assert_eq!(app.ledger(Tier::Requester).sent, 0);
    app.stop().await;
}

#[actix_rt::test]
async fn a_request_is_gone_on_with_by_who_has_its_key_and_by_nobody_else() {
    let (app, tier) = requester("req").await;
    let address = app.addresses.requester.unwrap();
    let request = |attempt: u32, key: Option<&str>| {
        let mut request = json!({ "requestId": "q", "stream": true, "attempt": attempt });
        key.into_iter().for_each(|key| request["attemptKey"] = json!(key));
        request.to_string()
    };
    let mut first = Peer::connect(address).await;
    first.send(request(1, Some("secret"))).await;
    let accepted = first.object().await;
    let (envelope, message) = tier.message().await;
    assert!(!String::from_utf8_lossy(&message).contains("secret"), "the key is not passed on");
    for key in [None, Some(""), Some("guessed")] {
        let mut stranger = Peer::connect(address).await;
        stranger.send(request(2, key)).await;
        let refusal = stranger.object().await;
        assert_eq!((&refusal["requestId"], &refusal["error"]["code"]), (&json!("q"), &json!("bad-request")), "{key:?}");
    }
    drop(first);
    let mut again = Peer::connect(address).await;
    again.send(request(2, Some("secret"))).await;
    assert_eq!(again.object().await, accepted);
    tier.reply(&envelope, &article_reply(&message, "done once")).await;
    assert_eq!(again.object().await["reply"]["body"], "done once");
    assert_eq!(in_time("the end", again.object()).await["complete"]["replies"], 1);
    assert_eq!(app.ledger(Tier::Requester).sent, 1);
    app.stop().await;
}

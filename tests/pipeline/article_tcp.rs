//! The TCP hop in the article's formats, with plain sockets: first in the web tier's place, then in the requester's.

use serde_json::{Map, Value, json};
use swarmq::config::Role;
use swarmq::wire::Tier;
use tokio::net::TcpListener;

use crate::ARTICLE_FIELDS;
use crate::support::{Answer, Peer, Running, Web, article_reply, in_time, start};

/// Fails unless the object is the article's set for this request; its replies.
#[track_caller]
fn replies_of(set: &Map<String, Value>, id: &str) -> Vec<Map<String, Value>> {
    assert_eq!(set.len(), 1, "{set:?}");
    let replies = set[id].as_array().unwrap().iter().map(|reply| reply.as_object().unwrap().clone());
    let replies: Vec<_> = replies.collect();
    for reply in &replies {
        assert_eq!(reply["requestId"], id);
    }
    replies
}

#[actix_rt::test]
async fn a_set_has_exactly_the_articles_fields() {
    let app = Running::all(&[]).await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    for end in ["", "\n", " \r\n\t"] {
        peer.send(format!(r#"{{"requestId":"7189ab9b-5454-4d1d-8741-71d3ddfb9dcf"}}{end}"#)).await;
        let replies = replies_of(&peer.object().await, "7189ab9b-5454-4d1d-8741-71d3ddfb9dcf");
        assert_eq!(replies.len(), 3);
        for reply in replies {
            assert_eq!(reply.keys().collect::<Vec<_>>(), ARTICLE_FIELDS);
            assert_eq!((&reply["body"], &reply["responseType"]), (&json!("Hello Paul"), &json!("Response")));
        }
    }
    app.stop().await;
}

#[actix_rt::test]
async fn requests_may_come_in_one_write_or_in_many() {
    let app = Running::all(&[]).await;
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    peer.send(r#"{"requestId":"first"}{"requestId":"second"}"#).await;
    let (one, two) = (peer.object().await, peer.object().await);
    let mut ids: Vec<_> = one.keys().chain(two.keys()).collect();
    ids.sort();
    assert_eq!(ids, ["first", "second"]);
    for byte in r#"{"requestId":"split {\" up","color":["blue"]}"#.bytes() {
        peer.send([byte]).await;
    }
    for reply in replies_of(&peer.object().await, "split {\" up") {
        assert_eq!(reply["color"], json!(["blue"]), "a field that this program does not know comes back");
    }
    app.stop().await;
}

#[actix_rt::test]
async fn what_is_no_request_is_told_so_and_the_requester_lives_on() {
    let small = [("task.max_file_bytes", "500"), ("web.max_body_bytes", "3000")];
    let app = Running::all(&[&[("requester.max_message_bytes", "4096")][..], &small].concat()).await;
    let address = app.addresses.requester.unwrap();
    for text in ["null", "7", "hello", r#"["requestId"]"#, r#"{"requestId":"#, "\u{0}\u{1}"] {
        let mut peer = Peer::connect(address).await;
        peer.send(text).await;
        tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.unwrap();
        let error = peer.object().await;
        assert_eq!(error["error"]["code"], "bad-request", "{text}: {error:?}");
        assert_eq!(peer.next().await, None, "the connection is closed after {text}");
    }
    let mut peer = Peer::connect(address).await;
    for text in ["{}", r#"{"requestId":7}"#, r#"{"requestId":""}"#, r#"{"requestId":"a",}"#, r#"{"requestId":null}"#] {
        peer.send(text).await;
        assert_eq!(peer.object().await["error"]["code"], "bad-request", "{text}");
    }
    let long = "i".repeat(129);
    peer.send(format!(r#"{{"requestId":"{long}"}}"#)).await;
    assert_eq!(peer.object().await["error"]["code"], "bad-request");
    peer.send(r#"{"requestId":"good"}"#).await;
    assert_eq!(replies_of(&peer.object().await, "good").len(), 3, "the same connection goes on");
    peer.send(format!(r#"{{"requestId":"large","more":"{}"}}"#, "x".repeat(8_000))).await;
    // The reason may be lost with the bytes that were not read, the end is not.
    while let Some(said) = peer.next().await {
        assert!(said["error"]["message"].as_str().unwrap().contains("4096 bytes"), "{said}");
    }
    let mut peer = Peer::connect(address).await;
    peer.send(r#"{"requestId":"after"}"#).await;
    assert_eq!(replies_of(&peer.object().await, "after").len(), 3);
    app.settle().await;
    assert_eq!(app.ledger(Tier::Requester).sent, 6);
    app.stop().await;
}

#[actix_rt::test]
async fn a_peer_that_reads_slowly_or_goes_away_harms_nobody_else() {
    let app = Running::all(&[]).await;
    let address = app.addresses.requester.unwrap();
    let mut slow = Peer::connect(address).await;
    for number in 0..30 {
        let request =
            json!({ "requestId": format!("slow {number}"), "task": "echo", "parameters": { "bytes": 200_000 } });
        slow.send(request.to_string()).await;
    }
    let mut reset = Peer::connect(address).await;
    reset.send(r#"{"requestId":"reset"}{"requestId":"in the mid"#).await;
    reset.stream.set_zero_linger().unwrap();
    drop(reset);
    let mut half = Peer::connect(address).await;
    half.send(r#"{"requestId":"half"}"#).await;
    tokio::io::AsyncWriteExt::shutdown(&mut half.stream).await.unwrap();
    assert_eq!(replies_of(&half.object().await, "half").len(), 3, "a peer that sends no more still gets its set");
    assert_eq!(half.next().await, None);
    app.settle().await;
    let mut sets = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let set = slow.object().await;
        let id = set.keys().next().unwrap().clone();
        assert!(replies_of(&set, &id).iter().all(|reply| reply["body"].as_str().unwrap().len() == 200_000));
        sets.insert(id);
    }
    assert_eq!(sets.len(), 30);
    app.stop().await;
}

#[actix_rt::test]
async fn connections_beyond_the_limit_are_told_why() {
    let app = Running::all(&[("requester.max_connections", "1")]).await;
    assert_eq!(app.web().ask(json!({})).await.counts.responses, 3);
    let mut peer = Peer::connect(app.addresses.requester.unwrap()).await;
    let error = peer.object().await;
    assert_eq!(error["error"]["code"], "overloaded", "the web tier has the one place, and has asked: {error:?}");
    assert_eq!(peer.next().await, None);
    assert_eq!(app.web().ask(json!({})).await.counts.responses, 3);
    app.stop().await;
}

/// A web tier of ours whose requester is a plain TCP server.
struct Article {
    app: Running,
    listener: TcpListener,
    peer: Peer,
}

impl Article {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let app = start(Role::Web, &[("web.requester", &address)]);
        let peer = Peer::accept(&listener).await;
        app.ready().await;
        Self { app, listener, peer }
    }

    /// Asks as the article's page does.
    fn ask(&self) -> actix_rt::task::JoinHandle<Answer> {
        let web: Web = self.app.web();
        actix_rt::spawn(async move { web.get("/api/v1/dispatcher/request").await })
    }

    /// The next request's id.
    async fn request(&mut self) -> String {
        self.peer.object().await["requestId"].as_str().unwrap().to_owned()
    }
}

/// The set the article's requester sends: a reply per worker.
fn set(id: &str, body: &str) -> String {
    let message = |worker: usize| {
        let requester = format!("4fcf-{worker}");
        let message = json!({ "requestId": id, "messageId": format!("d5f2-{worker}"), "requesterId": requester, "requestedAt": 1_795_346_736_497u64 });
        article_reply(message.to_string().as_bytes(), body)
    };
    json!({ id: [message(0), message(1), message(2)] }).to_string()
}

#[actix_rt::test]
async fn the_articles_requester_serves_our_web_tier_byte_for_byte() {
    let mut article = Article::new().await;
    let long = "é".repeat(100_000);
    for body in ["Hello Paul", "", &long] {
        let answer = article.ask();
        let id = article.request().await;
        let set = set(&id, body);
        article.peer.send(&set).await;
        let answer = in_time("the answer", answer).await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, set));
    }
    article.app.stop().await;
}

#[actix_rt::test]
async fn sets_may_come_in_one_write_or_in_many() {
    let mut article = Article::new().await;
    let answers = [article.ask(), article.ask()];
    let sets = [article.request().await, article.request().await].map(|id| set(&id, "both"));
    article.peer.send(sets.concat()).await;
    let mut texts = vec![];
    for answer in answers {
        texts.push(in_time("the answer", answer).await.unwrap().text());
    }
    texts.sort();
    let mut expected = sets.to_vec();
    expected.sort();
    assert_eq!(texts, expected);

    let answer = article.ask();
    let set = set(&article.request().await, "split");
    for piece in set.as_bytes().chunks(7) {
        article.peer.send(piece).await;
    }
    assert_eq!(in_time("the answer", answer).await.unwrap().text(), set);
    article.app.stop().await;
}

#[actix_rt::test]
async fn a_requester_that_sends_nonsense_or_hangs_up_is_asked_again() {
    let mut article = Article::new().await;
    let answer = article.ask();
    let id = article.request().await;
    for nonsense in ["null", r#"{"news":1}"#, r#"{"a":[{"b":1}]}"#, ""] {
        article.peer.send(nonsense).await;
        if nonsense.is_empty() {
            tokio::io::AsyncWriteExt::shutdown(&mut article.peer.stream).await.unwrap();
        }
        article.peer = Peer::accept(&article.listener).await;
        assert_eq!(article.request().await, id, "after {nonsense:?}");
    }
    let set = set(&id, "at last");
    article.peer.send(&set).await;
    assert_eq!(in_time("the answer", answer).await.unwrap().text(), set);
    article.app.settle().await;
    assert_eq!(article.app.ledger(Tier::Web).retries, 4);
    article.app.stop().await;
}

#[actix_rt::test]
async fn sets_that_nobody_waits_for_are_counted_late_and_replies_twice_as_duplicates() {
    let mut article = Article::new().await;
    let answer = article.ask();
    let id = article.request().await;
    article.peer.send(set("nobody's", "late")).await;
    article.app.until("the late set", || article.app.ledger(Tier::Web).late > 0).await;
    let mut twice: Value = serde_json::from_str(&set(&id, "once")).unwrap();
    let first = twice[&id][0].clone();
    twice[&id].as_array_mut().unwrap().push(first);
    article.peer.send(twice.to_string()).await;
    assert_eq!(in_time("the answer", answer).await.unwrap().text(), set(&id, "once"));
    article.app.settle().await;
    assert_eq!(article.app.ledger(Tier::Web).duplicates, 1);
    article.app.stop().await;
}

#[actix_rt::test]
async fn a_requester_that_never_answers_is_given_up() {
    let mut article = Article::new().await;
    let web = article.app.web();
    let asking = actix_rt::spawn(async move { web.ask_any(json!({ "timeoutMs": 100 })).await });
    let request = article.peer.object().await;
    let left = request["timeoutMs"].as_u64().unwrap();
    assert!((1..=100).contains(&left), "what is left of them: {left}");
    let message = in_time("the answer", asking).await.unwrap().error(504, "timeout");
    assert!(message.contains("did not complete the request in time"), "{message}");
    article.app.stop().await;
}

//! A dashboard's WebSocket. The one file that names actix-web-actors.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws::{self, CloseCode, CloseReason, WebsocketContext};
use bytestring::ByteString;

use super::Hub;

/// Between pings.
const PING: Duration = Duration::from_secs(5);

/// A browser that has answered none of so many is gone. Pings are counted, not the time: none is sent to one that does
/// not read, which may be back.
const PINGS: u32 = 3;

/// Batches that may wait for a slow browser, about a second's. More are not kept: it gets a snapshot when it is back. That
/// is as large as dozens of batches, so that a browser is not to be given one for a moment's delay.
const MAILBOX: usize = 16;

/// What the hub sends.
#[derive(Message)]
#[rtype("()")]
pub enum Push {
    /// A snapshot or a batch, with a share of the token by which the hub knows that it waits still.
    Text(ByteString, Arc<()>),
    /// The server is shutting down.
    Close,
}

struct Session {
    hub: Arc<Hub>,
    /// Pings since anything was heard.
    unanswered: u32,
}

impl Actor for Session {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.hub.join(ctx.address().recipient());
        ctx.run_interval(PING, |session, ctx| {
            if session.unanswered == PINGS {
                return ctx.stop();
            }
            session.unanswered += 1;
            ctx.ping(b"");
        });
    }
}

impl Handler<Push> for Session {
    type Result = ();

    fn handle(&mut self, push: Push, ctx: &mut Self::Context) {
        match push {
            Push::Text(text, _) => ctx.text(text),
            Push::Close => {
                ctx.close(Some(CloseReason::from(CloseCode::Restart)));
                ctx.stop();
            }
        }
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Session {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, ctx: &mut Self::Context) {
        self.unanswered = 0;
        match message {
            Ok(ws::Message::Ping(data)) => ctx.pong(&data),
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(_) => {}
            Err(_) => ctx.stop(),
        }
    }
}

/// `GET /ws`: a snapshot, then batches of events.
pub async fn open(
    request: HttpRequest,
    stream: web::Payload,
    hub: web::Data<Hub>,
) -> Result<HttpResponse, actix_web::Error> {
    ws::start(Session { hub: hub.into_inner(), unanswered: 0 }, &request, stream)
}

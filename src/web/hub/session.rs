//! A dashboard's WebSocket. The one file that names actix-web-actors.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::prelude::*;
use actix_web::error::Error;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws::{self, CloseCode, CloseReason, Frame, Message, ProtocolError, WebsocketContext};
use awc::ws::Codec;
use bytes::{BufMut, BytesMut};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, LocalBoxStream};
use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt, ready};
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::io::StreamReader;

use super::{DashboardPermit, Deployment};
use crate::runtime::http::ApiError;
use crate::runtime::{Room, pieces};
use crate::wire::ErrorCode;

/// Between pings.
const PING: Duration = Duration::from_secs(5);

/// A browser that has answered none of so many is gone, unless it took texts meanwhile, behind which the pings wait. One that
/// does not read for `web.send_timeout` is dropped by the kernel.
const PINGS: u32 = 3;

/// Messages that may wait for a slow browser; the hub bounds their bytes.
const MAILBOX: usize = 16;

/// What is read of a client after its session has ended, in bytes, and how long its connection is kept for that and for the
/// close frame to arrive.
const LAST_READ: usize = 256 << 10;
const LAST_WAIT: Duration = Duration::from_secs(1);

/// What the hub sends.
#[derive(Message)]
#[rtype("()")]
pub enum Push {
    /// A snapshot or a batch, with the room that it takes until it is sent.
    Text(Bytes, Room),
    /// The server is shutting down.
    Close,
}

/// What a client sends: to its session, and after that to [`leave`].
type Received = Rc<RefCell<web::Payload>>;

/// Pings since anything was heard of a client, or a part of a text was taken by its connection.
type Unanswered = Rc<Cell<u32>>;

/// Texts on their way from the session to its connection.
type Outbox = Rc<RefCell<VecDeque<(Bytes, Room)>>>;

struct Session {
    deployment: Arc<Deployment>,
    outbox: Outbox,
    unanswered: Unanswered,
    _permit: DashboardPermit,
}

impl Actor for Session {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.deployment.join(ctx.address().recipient());
        Self::ping_later(ctx);
    }
}

impl Session {
    /// Not an interval: nothing runs here while the connection takes no more, and that would then make up for all the pings
    /// it missed, at once.
    fn ping_later(ctx: &mut WebsocketContext<Self>) {
        ctx.run_later(PING, |session, ctx| {
            let unanswered = session.unanswered.get();
            if unanswered == PINGS {
                return ctx.stop();
            }
            session.unanswered.set(unanswered + 1);
            ctx.ping(b"");
            Self::ping_later(ctx);
        });
    }
}

impl Handler<Push> for Session {
    type Result = ();

    fn handle(&mut self, push: Push, ctx: &mut Self::Context) {
        match push {
            Push::Text(text, room) => self.outbox.borrow_mut().push_back((text, room)),
            Push::Close => {
                ctx.close(Some(CloseReason::from(CloseCode::Restart)));
                ctx.stop();
            }
        }
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Session {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        self.unanswered.set(0);
        match message {
            Ok(Message::Ping(data)) => ctx.pong(&data),
            Ok(Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Ok(_) => {}
            Err(error) => {
                let code = match error {
                    ProtocolError::Overflow => CloseCode::Size,
                    _ => CloseCode::Protocol,
                };
                ctx.close(Some(CloseReason::from(code)));
                ctx.stop();
            }
        }
    }
}

/// Frames of up to 64 KiB. What a dashboard sends is ignored, so that nothing long is waited for: a frame whose length takes
/// eight bytes is refused as soon as its head is there. actix's codec would wait for all of it.
struct ShortFrames(Codec);

impl Decoder for ShortFrames {
    type Item = Message;
    type Error = ProtocolError;

    fn decode(&mut self, received: &mut BytesMut) -> Result<Option<Message>, ProtocolError> {
        /// Instead of a length: eight bytes of it follow (RFC 6455, 5.2).
        const EIGHT_BYTES: u8 = 127;
        if received.get(1).is_some_and(|length| length & 0x7f == EIGHT_BYTES) {
            return Err(ProtocolError::Overflow);
        }
        Ok(self.0.decode(received)?.map(|frame| match frame {
            Frame::Ping(data) => Message::Ping(data),
            Frame::Pong(data) => Message::Pong(data),
            Frame::Close(reason) => Message::Close(reason),
            Frame::Text(_) | Frame::Binary(_) | Frame::Continuation(_) => Message::Nop,
        }))
    }
}

/// What goes to a dashboard: texts in pieces, each read from the text that all dashboards share when the connection has
/// room for it, and control frames between texts. (The context's own way copies whole texts for each connection.)
struct Outgoing {
    /// The session's own frames, which are control frames. It is done when the session is.
    control: LocalBoxStream<'static, Result<Bytes, Error>>,
    outbox: Outbox,
    /// The rest of the text that is being sent.
    text: Option<(Box<dyn Iterator<Item = Bytes>>, Room)>,
    unanswered: Unanswered,
    received: Received,
    /// Since the session has ended.
    leaving: Option<LocalBoxFuture<'static, ()>>,
}

impl Stream for Outgoing {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(leaving) = &mut this.leaving {
                ready!(leaving.poll_unpin(cx));
                // After the end of an answer actix goes on reading for a second; after an error it closes the connection.
                return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionAborted).into())));
            }
            if let Some((rest, _)) = &mut this.text {
                match rest.next() {
                    Some(piece) => {
                        this.unanswered.set(0);
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    None => this.text = None,
                }
            }
            // This runs the session too, which fills the outbox.
            let control = this.control.poll_next_unpin(cx);
            match control {
                Poll::Pending => {}
                Poll::Ready(None) => {
                    this.leaving = Some(leave(this.received.clone()).boxed_local());
                    continue;
                }
                Poll::Ready(Some(_)) => return control,
            }
            let Some((text, room)) = this.outbox.borrow_mut().pop_front() else { return Poll::Pending };
            let all = std::iter::once(head_of(&text)).chain(pieces(text));
            this.text = Some((Box::new(all), room));
        }
    }
}

/// Gives the client time to take the close frame and to close the connection itself, but reads no more than a little of
/// what it still sends. (A connection that is closed with something unread is reset, which may overtake the frame.)
async fn leave(received: Received) {
    // The close frame goes out first.
    yield_now().await;
    let mut left = LAST_READ;
    let closed = async {
        while let Some(Ok(bytes)) = poll_fn(|cx| received.borrow_mut().poll_next_unpin(cx)).await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return pending().await;
            }
        }
    };
    // Whether it has closed the connection or not: it is over.
    let _ = timeout(LAST_WAIT, closed).await;
}

/// The head of a text's frame (RFC 6455, 5.2): final, text, not masked.
fn head_of(text: &Bytes) -> Bytes {
    let mut head = BytesMut::with_capacity(10);
    head.put_u8(0x81);
    match text.len() {
        length @ 0..126 => head.put_u8(length as u8),
        length @ 126..0x1_0000 => {
            head.put_u8(126);
            head.put_u16(length as u16);
        }
        length => {
            head.put_u8(127);
            head.put_u64(length as u64);
        }
    }
    head.freeze()
}

/// `GET /ws`: a snapshot, then batches of events.
pub async fn open_session(
    request: HttpRequest,
    payload: web::Payload,
    deployment: web::Data<Deployment>,
) -> Result<HttpResponse, Error> {
    let mut response = ws::handshake(&request)?;
    let Some(permit) = deployment.permit() else {
        let message = "as many dashboards as allowed are open (web.max_dashboards): close one";
        return Err(ApiError::new(ErrorCode::Overloaded, message).into());
    };
    let (outbox, unanswered) = (Outbox::default(), Unanswered::default());
    let session = Session {
        deployment: deployment.into_inner(),
        outbox: outbox.clone(),
        unanswered: unanswered.clone(),
        _permit: permit,
    };
    let received = Received::new(RefCell::new(payload));
    let read = received.clone();
    let payload = stream::poll_fn(move |cx| read.borrow_mut().poll_next_unpin(cx));
    let frames = FramedRead::new(StreamReader::new(payload.map_err(io::Error::other)), ShortFrames(Codec::new()));
    // The context's own reader is given nothing to read.
    let control = WebsocketContext::with_factory(stream::pending(), |ctx| {
        ctx.add_stream(frames);
        session
    });
    Ok(response.streaming(Outgoing {
        control: control.boxed_local(),
        outbox,
        text: None,
        unanswered,
        received,
        leaving: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_above_64_kib_is_refused_by_its_head_and_shorter_ones_are_taken() {
        let decode = |mut bytes: BytesMut| ShortFrames(Codec::new()).decode(&mut bytes);
        for head in [&[0x82, 0xff, 0, 0, 1, 0][..], &[0x02, 0xff], &[0x80, 0xff, 0]] {
            assert!(matches!(decode(head.into()), Err(ProtocolError::Overflow)), "{head:?}");
        }
        let mut longest = BytesMut::from(&[0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0][..]);
        assert!(matches!(decode(longest.clone()), Ok(None)), "its data is still to come");
        longest.resize(8 + 0xffff, 0);
        assert!(matches!(decode(longest), Ok(Some(Message::Nop))));
        assert!(matches!(decode(BytesMut::from(&[0x89, 0x80, 0, 0, 0, 0][..])), Ok(Some(Message::Ping(_)))));
    }

    #[test]
    fn a_head_says_the_length_in_the_shortest_way() {
        for (length, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (0xffff, &[0x81, 126, 0xff, 0xff]),
            (0x1_0000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(head_of(&vec![b'x'; length].into()), head);
        }
    }
}

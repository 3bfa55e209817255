//! Limits of an HTTP server: connections, time and memory for request bodies, and time for clients to read responses.

use std::any::Any;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, ResponseError};
use futures_util::{Stream, StreamExt, stream};
use socket2::SockRef;
use tokio::time::{Instant, timeout_at};

use super::ApiError;
use crate::runtime::{Memory, Room};
use crate::wire::ErrorCode;

/// The limits of one server. Clones share the memory.
#[derive(Clone)]
pub struct HttpLimits {
    /// Maximum simultaneous connections; further ones wait in the backlog.
    pub connections: usize,
    /// Time for a request's body, from the end of its head.
    pub body_timeout: Duration,
    /// Time after which a client that reads nothing of its response is disconnected.
    pub send_timeout: Duration,
    /// Memory for the bodies that are being received.
    pub bodies: Memory,
}

impl HttpLimits {
    /// Sets a new connection's limits; for `HttpServer::on_connect`.
    pub fn on_connect(&self) -> impl Fn(&dyn Any, &mut actix_web::dev::Extensions) + Send + Sync + use<> {
        let send_timeout = self.send_timeout;
        move |connection, _| {
            if let Some(stream) = connection.downcast_ref::<TcpStream>() {
                // The timeout covers unacknowledged data and a receive window that stays closed. An error means that the
                // connection is closed already.
                let _ = SockRef::from(stream).set_tcp_user_timeout(Some(send_timeout));
            }
        }
    }

    /// A middleware: refuses compressed bodies, and makes reading a body fail when its time or the memory for bodies is used
    /// up. A connection whose body was not read to its end is closed.
    pub async fn guard_body<B: MessageBody + 'static>(
        self,
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        // The payload of a WebSocket is its frames, and no other GET route reads a body.
        if request.method() == Method::GET && request.head().upgrade() {
            return Ok(next.call(request).await?.map_into_boxed_body());
        }
        let payload: Shared = Rc::new(RefCell::new(request.take_payload()));
        if let Some(encoding) = request.headers().get(CONTENT_ENCODING)
            && encoding.as_bytes() != b"identity"
        {
            let message = format!("content-encoding: {encoding:?} is not supported: send the body uncompressed");
            let error = ApiError::new(ErrorCode::UnsupportedMediaType, message);
            return Ok(answered(request.into_response(error.error_response()), payload));
        }
        request.set_payload(Payload::Stream { payload: self.bounded(payload.clone()).boxed_local() });
        Ok(answered(next.call(request).await?, payload))
    }

    fn bounded(self, payload: Shared) -> impl Stream<Item = Result<Bytes, PayloadError>> {
        let until = Instant::now() + self.body_timeout;
        stream::unfold((self, None::<Room>), move |(limits, room)| {
            let payload = payload.clone();
            async move {
                let refused = |kind| Err(PayloadError::Io(io::Error::from(kind)));
                let next = poll_fn(|cx| payload.borrow_mut().poll_next_unpin(cx));
                let chunk = match timeout_at(until, next).await {
                    Ok(chunk) => chunk?,
                    Err(_) => refused(ErrorKind::TimedOut),
                };
                let Ok(bytes) = chunk else { return Some((chunk, (limits, room))) };
                match (limits.bodies.take(bytes.len()), room) {
                    (Some(more), Some(mut room)) => {
                        room.merge(more);
                        Some((Ok(bytes), (limits, Some(room))))
                    }
                    (Some(room), None) => Some((Ok(bytes), (limits, Some(room)))),
                    (None, room) => Some((refused(ErrorKind::OutOfMemory), (limits, room))),
                }
            }
        })
    }
}

/// A body that is being received.
type Shared = Rc<RefCell<Payload>>;

/// A response that owns the request's body until it is sent. If the body's owner is dropped, actix waits without limit for the
/// rest of a chunked body; if it still exists and has not read the body, actix closes the connection.
fn answered<B: MessageBody + 'static>(response: ServiceResponse<B>, request: Shared) -> ServiceResponse<BoxBody> {
    response.map_body(|_, body| BoxBody::new(Answer { body: BoxBody::new(body), _request: request }))
}

struct Answer {
    body: BoxBody,
    _request: Shared,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

//! What every HTTP server of ours takes from its clients: so many connections, bodies that are not compressed and come in
//! time, within an amount of memory for all, and answers that are read.

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
    /// Connections at one time; more wait until they are taken.
    pub connections: usize,
    /// For a request's body to come, from the end of its head on.
    pub body_timeout: Duration,
    /// After which a client that reads nothing of an answer is dropped.
    pub send_timeout: Duration,
    /// For the bodies that are being received.
    pub bodies: Memory,
}

impl HttpLimits {
    /// Sets a new connection's limits; for `HttpServer::on_connect`.
    pub fn on_connect(&self) -> impl Fn(&dyn Any, &mut actix_web::dev::Extensions) + Send + Sync + use<> {
        let send_timeout = self.send_timeout;
        move |connection, _| {
            if let Some(stream) = connection.downcast_ref::<TcpStream>() {
                // Linux counts both what is not acknowledged and a window that stays closed. Fails only for a connection that
                // is gone already.
                let _ = SockRef::from(stream).set_tcp_user_timeout(Some(send_timeout));
            }
        }
    }

    /// A middleware: refuses a compressed body, and gives an error to whoever reads one that does not come in time, or that
    /// the memory for bodies has no room for. A connection of which a body was not read to its end is closed.
    pub async fn guard_body<B: MessageBody + 'static>(
        self,
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        // A WebSocket has frames in place of a body; nothing else that is read comes by GET.
        if request.method() == Method::GET && request.head().upgrade() {
            return Ok(next.call(request).await?.map_into_boxed_body());
        }
        let payload: Shared = Rc::new(RefCell::new(request.take_payload()));
        if let Some(encoding) = request.headers().get(CONTENT_ENCODING)
            && encoding.as_bytes() != b"identity"
        {
            let message = format!("content-encoding: {encoding:?} is not taken: send the body as it is");
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

/// An answer that holds the request's body until it is sent. actix waits without limit for the rest of a chunked body that
/// nobody has, and closes the connection where somebody has it and did not read it.
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

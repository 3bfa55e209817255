//! What every HTTP server of ours takes from its clients: so many connections, bodies that are not compressed and come in
//! time, within an amount of memory for all, and answers that are read.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::middleware::Next;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_util::{Stream, StreamExt, stream};
use socket2::SockRef;
use tokio::time::{Instant, timeout_at};

use super::{ApiError, Memory, Room};
use crate::model::ErrorCode;

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
    /// the memory for bodies has no room for.
    pub async fn guard_body<B: MessageBody>(
        self,
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<B>, Error> {
        // A WebSocket has frames in place of a body; nothing else that is read comes by GET.
        if request.method() == Method::GET && request.head().upgrade() {
            return next.call(request).await;
        }
        if let Some(encoding) = request.headers().get(CONTENT_ENCODING)
            && encoding.as_bytes() != b"identity"
        {
            let message = format!("content-encoding: {encoding:?} is not taken: send the body as it is");
            return Err(ApiError::new(ErrorCode::UnsupportedMediaType, message).into());
        }
        let payload = request.take_payload();
        request.set_payload(Payload::Stream { payload: self.bounded(payload).boxed_local() });
        next.call(request).await
    }

    fn bounded(self, payload: Payload) -> impl Stream<Item = Result<Bytes, PayloadError>> {
        let until = Instant::now() + self.body_timeout;
        stream::unfold((payload, self, None::<Room>), move |(mut payload, limits, room)| async move {
            let refused = |kind| Err(PayloadError::Io(io::Error::from(kind)));
            let chunk = match timeout_at(until, payload.next()).await {
                Ok(chunk) => chunk?,
                Err(_) => refused(ErrorKind::TimedOut),
            };
            let Ok(bytes) = chunk else { return Some((chunk, (payload, limits, room))) };
            match (limits.bodies.take(bytes.len()), room) {
                (Some(more), Some(mut room)) => {
                    room.merge(more);
                    Some((Ok(bytes), (payload, limits, Some(room))))
                }
                (Some(room), None) => Some((Ok(bytes), (payload, limits, Some(room)))),
                (None, room) => Some((refused(ErrorKind::OutOfMemory), (payload, limits, room))),
            }
        })
    }
}

//! Common handling of responses: security headers, errors in one format, and no body in responses to HEAD.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{DefaultHeaders, Next};
use actix_web::web::Bytes;
use actix_web::{Error, ResponseError};

use super::ApiError;

/// The outermost middleware: adds default headers that a route may override. `vary`: the request headers on which the
/// response's format depends.
pub fn headers(vary: &str) -> DefaultHeaders {
    DefaultHeaders::new()
        .add((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .add((REFERRER_POLICY, "same-origin"))
        .add((VARY, vary))
}

/// A middleware: converts actix's own errors to the API's error format, and removes the body from responses to HEAD.
pub async fn answer(
    call: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let head = *call.method() == Method::HEAD;
    let mut answer = next.call(call).await?.map_into_boxed_body();
    if let Some(error) = library_error(&answer) {
        answer = ServiceResponse::new(answer.into_parts().0, error.error_response());
    }
    if head {
        answer = answer.map_body(|_, body| BoxBody::new(Head(body.size())));
    }
    Ok(answer)
}

/// The error of an extractor, a handshake or a middleware of actix, as an `ApiError`.
fn library_error(answer: &ServiceResponse) -> Option<ApiError> {
    let (status, error) = (answer.status(), answer.response().error());
    let failed = status.is_client_error() || status.is_server_error();
    let message = match error {
        Some(error) if error.as_error::<ApiError>().is_some() => return None,
        Some(error) => format!("{}: {error}", answer.request().path()),
        // The response of actix's compression middleware.
        None if status == StatusCode::NOT_ACCEPTABLE && !answer.headers().contains_key(CONTENT_TYPE) => {
            "Accept-Encoding excludes every supported encoding: allow identity, gzip or deflate".to_owned()
        }
        None => return None,
    };
    failed.then(|| ApiError::of_status(status, message))
}

/// A body that has a length and no content.
struct Head(BodySize);

impl MessageBody for Head {
    type Error = Error;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        Poll::Ready(None)
    }
}

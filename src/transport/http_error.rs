//! Errors of the HTTP API: one shape, `{"error":{"code","message"}}`, with the status that goes with the code.

use std::io::ErrorKind;

use actix_web::error::{JsonPayloadError, PayloadError, QueryPayloadError};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::model::{ErrorCode, Problem};

/// After how many seconds a client that was turned away may try again.
const RETRY_AFTER: u32 = 1;

/// An error response.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub struct ApiError {
    pub problem: Problem,
    /// The request that it is about, where there is one.
    pub request_id: Option<String>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Problem { code, message: message.into() }.into()
    }

    /// The error as a line of JSON, where an answer has begun already.
    pub fn line(&self) -> String {
        self.json().to_string() + "\n"
    }

    fn json(&self) -> Value {
        let mut error = json!(self.problem);
        if let Some(request_id) = &self.request_id {
            error["requestId"] = json!(request_id);
        }
        json!({ "error": error })
    }

    /// For whatever the routes do not know.
    pub async fn unknown_path(request: HttpRequest) -> HttpResponse {
        let message =
            format!("no {} {}: GET /api/v1/openapi.json tells what there is", request.method(), request.path());
        Self::new(ErrorCode::NotFound, message).error_response()
    }

    /// For a body that is not the JSON that was expected. `limit`: what sets how large it may be.
    pub fn of_body(error: JsonPayloadError, limit: &str) -> actix_web::Error {
        let kind = match &error {
            JsonPayloadError::Payload(PayloadError::Io(error)) => Some(error.kind()),
            _ => None,
        };
        let (code, hint) = match error {
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                (ErrorCode::TooLarge, limit)
            }
            _ if kind == Some(ErrorKind::TimedOut) => (ErrorCode::RequestTimeout, "it has to come at once"),
            _ if kind == Some(ErrorKind::OutOfMemory) => {
                (ErrorCode::Overloaded, "other clients' bodies, which are still being sent, take all memory for bodies")
            }
            _ => (ErrorCode::BadRequest, "GET /api/v1/openapi.json tells the fields"),
        };
        Self::new(code, format!("the body: {error} ({hint})")).into()
    }

    /// For a query that is not as expected.
    pub fn of_query(error: QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
        Self::new(ErrorCode::BadRequest, format!("the query: {error}")).into()
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self { problem, request_id: None }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self.problem.code {
            ErrorCode::BadRequest => StatusCode::BAD_REQUEST,
            ErrorCode::Forbidden => StatusCode::FORBIDDEN,
            ErrorCode::NotFound => StatusCode::NOT_FOUND,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            ErrorCode::Overloaded | ErrorCode::Draining | ErrorCode::NotConnected => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::Lost | ErrorCode::TaskFailed | ErrorCode::Panicked => StatusCode::BAD_GATEWAY,
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        response.json(self.json())
    }
}

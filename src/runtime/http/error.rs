//! Errors of the HTTP API: `{"error":{"code","message"}}`, with the HTTP status of the code.

use std::io::ErrorKind;

use actix_web::error::{JsonPayloadError, PayloadError};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::wire::{ErrorCode, Problem};

/// The Retry-After header of 503 responses, in seconds.
const RETRY_AFTER: u32 = 1;

/// An error response.
#[derive(Clone, Debug, thiserror::Error, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[error("{problem}")]
pub struct ApiError {
    #[serde(flatten)]
    pub problem: Problem,
    /// The id of the request that the error is about, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The body of every error response.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what `ApiError` writes")]
pub struct ErrorAnswer {
    error: ApiError,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Problem { code, message: message.into() }.into()
    }

    /// The error as a line of JSON, for a response that has begun already.
    pub fn line(&self) -> String {
        json!({ "error": self }).to_string() + "\n"
    }

    /// An error with the code of an HTTP status.
    pub fn of_status(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::NOT_FOUND => ErrorCode::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
            StatusCode::NOT_ACCEPTABLE => ErrorCode::NotAcceptable,
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
            status if status.is_server_error() => ErrorCode::Internal,
            _ => ErrorCode::BadRequest,
        };
        Self::new(code, message)
    }

    /// For a body that can't be read as the expected JSON. `limit`: a hint with the setting that limits its size.
    pub fn of_body(error: JsonPayloadError, limit: &str) -> actix_web::Error {
        let kind = match &error {
            JsonPayloadError::Payload(PayloadError::Io(error)) => Some(error.kind()),
            _ => None,
        };
        let (code, hint) = match error {
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                (ErrorCode::TooLarge, limit)
            }
            JsonPayloadError::ContentType => {
                (ErrorCode::UnsupportedMediaType, "send JSON, with Content-Type: application/json")
            }
            _ if kind == Some(ErrorKind::TimedOut) => (ErrorCode::RequestTimeout, "send the whole body at once"),
            _ if kind == Some(ErrorKind::OutOfMemory) => {
                (ErrorCode::Overloaded, "bodies of other requests use all memory for bodies: try again later")
            }
            _ => (ErrorCode::BadRequest, "GET /api/v1/openapi.json describes the fields"),
        };
        Self::new(code, format!("invalid body: {error} ({hint})")).into()
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
            ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            ErrorCode::Conflict => StatusCode::CONFLICT,
            ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
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
        response.json(json!({ "error": self }))
    }
}

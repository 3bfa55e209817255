//! Large responses: a memory limit for the parts that clients have not read yet, over all responses.

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;

use crate::runtime::http::ApiError;
use crate::runtime::{Memory, pieces};
use crate::wire::ErrorCode;

/// The memory for responses that are being read.
pub struct Answers(Memory);

impl Answers {
    /// `bytes`: the limit for all responses together.
    pub fn new(bytes: usize) -> Self {
        Self(Memory::of(bytes))
    }

    /// A JSON response, of which the connection copies one piece at a time.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub fn json(&self, value: &impl Serialize) -> Result<HttpResponse, ApiError> {
        let text =
            serde_json::to_string(value).map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let text = self.hold(text)?;
        let body = SizedStream::new(text.len() as u64, stream::iter(pieces(text).map(Ok::<_, ApiError>)));
        Ok(HttpResponse::Ok().content_type(ContentType::json()).body(body))
    }

    /// A text that counts towards the limit until a client has read it.
    ///
    /// # Errors
    /// `overloaded` if responses to slow clients use all of the memory.
    pub fn hold(&self, text: String) -> Result<Bytes, ApiError> {
        self.0.hold(text).ok_or_else(|| {
            let message = format!(
                "responses that clients are reading use all {} bytes (half of web.keep_bytes): try again later",
                self.0.bytes()
            );
            ApiError::new(ErrorCode::Overloaded, message)
        })
    }
}

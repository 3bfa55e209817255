//! Answers that may be large: what clients have not read yet of them is bounded, all of it together.

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header::ContentType;
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;

use crate::runtime::http::ApiError;
use crate::runtime::{Memory, pieces};
use crate::wire::ErrorCode;

/// The memory for answers that are being read.
pub struct Answers(Memory);

impl Answers {
    /// `bytes`: of all answers together.
    pub fn new(bytes: usize) -> Self {
        Self(Memory::of(bytes))
    }

    /// An answer of JSON, of which the connection takes a piece at a time.
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

    /// A text that is counted for as long as a client reads it.
    ///
    /// # Errors
    /// `overloaded` where clients that read slowly have all of the memory.
    pub fn hold(&self, text: String) -> Result<Bytes, ApiError> {
        self.0.hold(text).ok_or_else(|| {
            let message = format!(
                "the answers that clients are reading take {} bytes, half of web.keep_bytes: ask again in a moment",
                self.0.bytes()
            );
            ApiError::new(ErrorCode::Overloaded, message)
        })
    }
}

//! Who may change things: control calls carry the deployment's token.

use actix_web::HttpRequest;
use actix_web::http::header;
use sha2::{Digest, Sha256};

use crate::model::{ErrorCode, Problem};
use crate::process::{Admin, Secret};

/// What control calls have to show.
#[derive(Clone)]
pub enum Permission {
    /// Nothing: the admin server can be reached from this machine alone.
    Open,
    Token(Secret),
    /// Nobody may: others can reach the admin server, and no token is configured.
    Closed,
}

impl Permission {
    pub fn of(settings: &Admin) -> Self {
        match &settings.token {
            Some(token) => Self::Token(token.clone()),
            None if settings.bind.is_loopback() => Self::Open,
            None => Self::Closed,
        }
    }

    /// Whether a call may be made, and if not, why.
    pub fn check(&self, request: &HttpRequest) -> Result<(), Problem> {
        let forbidden = |message: &str| Err(Problem { code: ErrorCode::Forbidden, message: message.to_owned() });
        match self {
            Self::Open => Ok(()),
            Self::Closed => forbidden(
                "control is not permitted: other hosts reach the admin server (admin.bind), so set admin.token or \
                 admin.token_file on every instance",
            ),
            Self::Token(token) => match shown(request) {
                None => forbidden("control needs the token (admin.token): Authorization: Bearer <token>"),
                // Digests, so that how long the comparison takes tells nothing of the token.
                Some(text) if Sha256::digest(text) == Sha256::digest(token.expose()) => Ok(()),
                Some(_) => forbidden("the token is not the one configured (admin.token)"),
            },
        }
    }
}

fn shown(request: &HttpRequest) -> Option<&str> {
    request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

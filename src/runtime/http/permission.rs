//! Authorization of control calls by the deployment's token.

use std::net::IpAddr;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};

use crate::config::Secret;
use crate::wire::{ErrorCode, Problem};

/// The authorization that control calls need.
#[derive(Clone)]
pub enum Permission {
    /// None: the servers listen on loopback only.
    Open,
    Token(Secret),
    /// Control is off: other hosts can reach the servers, and no token is configured.
    Closed,
}

impl Permission {
    /// `binds`: the addresses of the servers that have control routes.
    pub fn of(token: Option<&Secret>, binds: &[IpAddr]) -> Self {
        match token {
            Some(token) => Self::Token(token.clone()),
            None if binds.iter().all(IpAddr::is_loopback) => Self::Open,
            None => Self::Closed,
        }
    }

    /// Checks a call's Authorization header.
    ///
    /// # Errors
    /// `Forbidden`, with the reason and what to do.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let forbidden = |message: &str| Err(Problem { code: ErrorCode::Forbidden, message: message.to_owned() });
        match self {
            Self::Open => Ok(()),
            Self::Closed => forbidden(
                "control is not permitted: other hosts reach this deployment (web.bind, admin.bind), so set admin.token \
                 or admin.token_file on every instance",
            ),
            Self::Token(token) => match bearer_token(headers) {
                None => forbidden("control needs the token (admin.token): Authorization: Bearer <token>"),
                // Compare digests, so that the time of the comparison reveals nothing of the token.
                Some(text) if Sha256::digest(&text) == Sha256::digest(token.expose()) => Ok(()),
                Some(_) => forbidden("the token is not the one configured (admin.token)"),
            },
        }
    }
}

/// The bearer token of a call. The scheme is case-insensitive, with one or more spaces after it (RFC 9110, 11.4).
fn bearer_token(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(AUTHORIZATION)?.as_bytes()).into_owned();
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::cleaned(token).to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn check(permission: &Permission, shown: Option<&[u8]>) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        if let Some(shown) = shown {
            headers.insert(AUTHORIZATION, HeaderValue::from_bytes(shown).unwrap());
        }
        permission.check(&headers).map_err(|problem| problem.message)
    }

    fn token() -> Permission {
        let token: Secret = serde_json::from_str("\"s3cret\"").unwrap();
        Permission::of(Some(&token), &[IpAddr::from([0, 0, 0, 0])])
    }

    #[test]
    fn the_token_is_accepted_with_any_case_and_spacing_of_the_scheme() {
        for shown in ["Bearer s3cret", "bearer s3cret", "BEARER s3cret", "Bearer   s3cret ", "Bearer \"s3cret\""] {
            assert_eq!(check(&token(), Some(shown.as_bytes())), Ok(()), "{shown}");
        }
    }

    #[test]
    fn a_wrong_token_and_a_missing_token_have_different_messages() {
        for shown in ["Bearer s3cre", "Bearer S3cret", "Bearer s3cret s3cret", "Bearer ", "Bearer s\u{fc}cret"] {
            let why = check(&token(), Some(shown.as_bytes())).unwrap_err();
            assert!(why.contains("not the one configured"), "{shown}: {why}");
        }
        for shown in [None, Some(&b"Basic s3cret"[..]), Some(b"s3cret"), Some(b"Bearers3cret")] {
            assert!(check(&token(), shown).unwrap_err().contains("needs the token"), "{shown:?}");
        }
    }

    #[test]
    fn without_a_token_control_is_open_on_loopback_only() {
        let (here, all) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0]));
        assert_eq!(check(&Permission::of(None, &[here, here]), None), Ok(()));
        for binds in [[here, all], [all, here]] {
            assert!(check(&Permission::of(None, &binds), None).unwrap_err().contains("admin.token_file"));
        }
    }
}

//! A web tier's URL, and its JSON responses, for clients.

use actix_web::http::{StatusCode, Uri, header};
use awc::ClientResponse;
use awc::error::JsonPayloadError;
use bytes::Bytes;
use futures_util::Stream;
use serde::de::DeserializeOwned;

/// Maximum size of a response, in bytes.
const MAX_RESPONSE: usize = 64 << 20;

/// Why a text is not the URL of a web tier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    #[error("{0}: swarmq speaks plain HTTP; give the web tier's own address, behind the proxy that adds TLS: {1}")]
    Https(String, String),
    #[error("{0} has no scheme: give {1}")]
    NoScheme(String, String),
    #[error("{0} is not a web tier's address ({1}): give one such as http://127.0.0.1:3000")]
    Invalid(String, String),
}

/// Parses `http://HOST[:PORT][/PATH]` and removes trailing slashes.
pub fn web_url(text: &str) -> Result<String, BadUrl> {
    let url = text.trim().trim_end_matches('/');
    let invalid = |why: &str| BadUrl::Invalid(text.to_owned(), why.to_owned());
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    if let Some((_, host)) = rest.split(['/', '?', '#']).next().and_then(|authority| authority.rsplit_once('@')) {
        // Not repeated: it is a password, and results of experiments repeat the URL.
        let why = "it has a user and password, which swarmq does not send: leave them out";
        return Err(BadUrl::Invalid(format!("http://...@{host}"), why.to_owned()));
    }
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
            return Err(BadUrl::Https(text.to_owned(), format!("http://{rest}")));
        }
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => {}
        Some((scheme, _)) => return Err(invalid(&format!("its scheme is {scheme}"))),
        None if url.is_empty() => return Err(invalid("it is empty")),
        None => return Err(BadUrl::NoScheme(text.to_owned(), format!("http://{url}"))),
    }
    let parsed: Uri = url.parse().map_err(|error: actix_web::http::uri::InvalidUri| invalid(&error.to_string()))?;
    match (parsed.host(), parsed.query()) {
        (None | Some(""), _) => Err(invalid("it names no host")),
        (_, Some(_)) => Err(invalid("it has a query")),
        _ => Ok(url.to_owned()),
    }
}

/// Reads a response's JSON. The error says what came instead: a proxy may respond in place of the web tier.
pub async fn json_answer<T: DeserializeOwned>(
    response: &mut ClientResponse<impl Stream<Item = Result<Bytes, actix_web::error::PayloadError>> + Unpin>,
) -> Result<T, String> {
    let status = response.status();
    let text = |name: header::HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (location, content_type) = (text(header::LOCATION), text(header::CONTENT_TYPE));
    if status.is_redirection() {
        return Err(format!(
            "the response is {status} to {location}, which comes from a proxy and not from a web tier: give the web tier's own \
             address"
        ));
    }
    let error = match response.json().limit(MAX_RESPONSE).await {
        Ok(json) => return Ok(json),
        Err(error) => error,
    };
    Err(match (error, status) {
        (JsonPayloadError::ContentType | JsonPayloadError::Deserialize(_), StatusCode::UNAUTHORIZED) => {
            format!("the response is {status}: a proxy before the web tier requires a password")
        }
        (JsonPayloadError::ContentType | JsonPayloadError::Deserialize(_), _) => {
            let kind = if content_type.is_empty() { "no content type" } else { &content_type };
            format!("the response is {status} with {kind}, which does not come from a web tier: check the address")
        }
        (other, _) => format!("the response could not be read to its end: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_accepted_or_refused_with_the_reason() {
        for (text, expected) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://127.0.0.1:3000/", "http://127.0.0.1:3000"),
            ("HTTP://[::1]:3000/swarmq//", "HTTP://[::1]:3000/swarmq"),
            (" http://pi-1 ", "http://pi-1"),
        ] {
            assert_eq!(web_url(text).as_deref(), Ok(expected));
        }
        for (text, reason) in [
            (
                "https://127.0.0.1:3000",
                "give the web tier's own address, behind the proxy that adds TLS: http://127.0.0.1:3000",
            ),
            ("127.0.0.1:3000", "has no scheme: give http://127.0.0.1:3000"),
            ("localhost", "has no scheme: give http://localhost"),
            ("ftp://a", "its scheme is ftp"),
            ("", "it is empty"),
            ("http://", "has no scheme"),
            ("http://a b", "http://127.0.0.1:3000"),
            ("http://a/?x=1", "it has a query"),
            ("pi:s3cret@a:3000/x/y", "it has a user and password"),
            ("http://a:3000?x=@b", "it has a query"),
            ("http://pi:s3cret@a:3000/x", "http://...@a:3000 is not a web tier's address (it has a user and password"),
        ] {
            let error = web_url(text).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}

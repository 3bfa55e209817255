//! The access check before every route: the Host header, the page that makes the call (Origin), and the token.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, Accept, CONTENT_TYPE, HOST, Header, HeaderMap, HeaderValue, ORIGIN, Quality};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::mime::Mime;
use actix_web::web::Data;
use actix_web::{HttpResponse, ResponseError};

use super::{ApiError, Permission};
use crate::config::Hosts;
use crate::wire::ErrorCode;

/// The check that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// None: the route only reads, and browsers hide the response from pages of other sites.
    Open,
    /// The call must not come from a page of another site.
    OwnPages,
    /// As `OwnPages`, and the call needs permission (the token).
    Permitted,
}

/// A route: method, path as it is registered, access.
pub type Route = (Method, &'static str, Access);

/// Guards the routes of a server.
pub struct Guard {
    pub permission: Permission,
    routes: Vec<Route>,
    /// The server listens on loopback only and requires no token.
    local: bool,
    hosts: Option<Hosts>,
}

/// The middleware: passes a call to its route (HEAD to that of GET), or responds with the error. The server must have a
/// [`Guard`] in its app data.
pub async fn guard(
    guard: Data<Guard>,
    mut call: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    // Matched as the router does it: a path may be percent-encoded.
    let pattern = call.resource_map().match_pattern(call.match_info().as_str());
    // A response and not an error: the middleware around this one has to drain the unread body.
    let access = match guard.check(call.method(), call.path(), pattern.as_deref(), call.headers()) {
        Ok(access) => access,
        Err(Refusal::Call(error)) => return Ok(call.into_response(error.error_response())),
        Err(Refusal::Method(allowed)) => {
            let mut answer = match *call.method() {
                Method::OPTIONS => HttpResponse::NoContent().finish(),
                _ => {
                    let message = format!("{} does not support {}: use {allowed}", call.path(), call.method());
                    ApiError::new(ErrorCode::MethodNotAllowed, message).error_response()
                }
            };
            answer.headers_mut().insert(ALLOW, HeaderValue::from_str(&allowed)?);
            return Ok(call.into_response(answer));
        }
    };
    if call.method() == Method::HEAD {
        call.head_mut().method = Method::GET;
    }
    // Only for routes that read: an action has been done already, so its result is sent in any format.
    let accept = Accept::parse(call.request()).ok().filter(|_| access == Access::Open);
    let answer = next.call(call).await?.map_into_boxed_body();
    let given = text(answer.headers(), CONTENT_TYPE.as_str()).filter(|_| answer.status().is_success());
    if let (Some(accept), Some(given)) = (accept, given)
        && given.parse().is_ok_and(|given| !takes(&accept, &given))
    {
        let error = ApiError::new(
            ErrorCode::NotAcceptable,
            format!("the response is {given}, which the Accept header excludes"),
        );
        return Ok(ServiceResponse::new(answer.into_parts().0, error.error_response()));
    }
    Ok(answer)
}

/// Whether a content type is acceptable: the most specific matching range decides (RFC 9110, 12.5.1).
fn takes(accept: &Accept, given: &Mime) -> bool {
    let specificity = |range: &Mime| match (range.type_().as_str(), range.subtype().as_str()) {
        ("*", _) => Some(0),
        (kind, "*") => (given.type_() == kind).then_some(1),
        _ => (range.essence_str() == given.essence_str()).then_some(2),
    };
    let ranges = accept.0.iter().filter_map(|range| Some((specificity(&range.item)?, range.quality)));
    accept.0.is_empty() || ranges.max().is_some_and(|(_, quality)| quality > Quality::ZERO)
}

/// Why a call does not reach a route.
#[derive(Debug)]
enum Refusal {
    Call(ApiError),
    /// The path does not support the method; the methods that it supports.
    Method(String),
}

impl Guard {
    /// For a server on `bind`. Only `routes` are served. `hosts`: further accepted host names.
    pub fn new(bind: IpAddr, permission: Permission, hosts: Option<Hosts>, routes: Vec<Route>) -> Self {
        let local = bind.is_loopback() && !matches!(permission, Permission::Token(_));
        Self { permission, routes, local, hosts }
    }

    /// The access of the route of a path; HEAD counts as GET.
    fn access(&self, method: &Method, path: &str, pattern: Option<&str>) -> Result<Access, Refusal> {
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        let routes = self.routes.iter().filter(|route| Some(route.1) == pattern);
        let mut allowed = vec![];
        for (method, _, access) in routes {
            if method == wanted {
                return Ok(*access);
            }
            allowed.push(method.as_str());
        }
        if allowed.is_empty() {
            let message =
                format!("there is no {method} {path}: GET /api/v1/openapi.json on the web tier lists every route");
            return Err(Refusal::Call(ApiError::new(ErrorCode::NotFound, message)));
        }
        if allowed.contains(&"GET") {
            allowed.push("HEAD");
        }
        allowed.push("OPTIONS");
        Err(Refusal::Method(allowed.join(", ")))
    }

    /// Checks a call; returns its route's access. `pattern`: the registered pattern that its path matches.
    fn check(
        &self,
        method: &Method,
        path: &str,
        pattern: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Access, Refusal> {
        let forbidden = |message| Err(Refusal::Call(ApiError::new(ErrorCode::Forbidden, message)));
        let host = text(headers, HOST.as_str());
        if self.local && !host.is_none_or(|host| self.is_own(host)) {
            return forbidden(format!(
                "this server accepts only names of its own machine, and {} is not one: use 127.0.0.1 or localhost, or \
                 add the name to web.hosts",
                host.unwrap_or_default()
            ));
        }
        let access = self.access(method, path, pattern)?;
        if access != Access::Open
            && let Some(page) = self.foreign_page(headers)
        {
            return forbidden(format!(
                "a page of another site ({page}) may not call this: the call's Host header is {}. If a proxy is between \
                 them, let it pass the Host header on, or add the page's host to web.hosts",
                host.unwrap_or("nothing")
            ));
        }
        if access == Access::Permitted {
            self.permission.check(headers).map_err(|problem| Refusal::Call(problem.into()))?;
        }
        Ok(access)
    }

    /// True for a name of this machine's loopback interface, or one in `web.hosts`.
    fn is_own(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let here =
            name.parse::<IpAddr>().map_or(name == "localhost" || name.ends_with(".localhost"), |ip| ip.is_loopback());
        here || self.is_configured(host)
    }

    fn is_configured(&self, host: &str) -> bool {
        self.hosts.as_ref().is_some_and(|hosts| hosts.has(host))
    }

    /// The page of another site that makes the call, from headers that browsers set and scripts can't change. Other clients
    /// don't send these headers.
    fn foreign_page<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let origin = text(headers, ORIGIN.as_str());
        match text(headers, "sec-fetch-site") {
            // `none`: the user opened the address directly.
            Some("same-origin" | "none") => return None,
            Some(site) if origin.is_none() => return Some(site),
            _ => {}
        }
        let origin = origin?;
        let page = origin.split_once("://").map_or(origin, |(_, host)| host);
        // A proxy may send its own Host header, and the browser's as X-Forwarded-Host.
        let mut names = [HOST.as_str(), "x-forwarded-host"].into_iter().filter_map(|name| text(headers, name));
        let own = names.any(|name| name.split(',').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(page)));
        (!own && !self.is_configured(page)).then_some(origin)
    }
}

/// A header's value; a placeholder that matches nothing if it is not ASCII.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("(not ASCII)"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;
    use actix_web::test::TestRequest;

    use super::*;

    const READ: &str = "/read";
    const SEND: &str = "/send";

    fn guard(bind: [u8; 4], hosts: &str) -> Guard {
        let routes = vec![(Method::GET, READ, Access::Open), (Method::GET, SEND, Access::OwnPages)];
        Guard::new(bind.into(), Permission::of(None, &[bind.into()]), Hosts::new(hosts), routes)
    }

    /// The message of the refusal, or the supported methods.
    fn check(guard: &Guard, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let header = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(header).collect();
        match guard.check(&method, path, Some(path), &headers) {
            Ok(_) => Ok(()),
            Err(Refusal::Call(error)) => Err(error.problem.message),
            Err(Refusal::Method(allowed)) => Err(allowed),
        }
    }

    #[test]
    fn a_server_on_loopback_accepts_only_loopback_names_and_configured_hosts() {
        let local = guard([127, 0, 0, 1], "pi.local, Swarm.example:8080");
        for host in [
            "127.0.0.1:3000",
            "127.0.0.2",
            "localhost:3000",
            "LOCALHOST",
            "localhost.",
            "app.localhost:1",
            "[::1]:3000",
            "pi.local:3000",
            "PI.local",
            "swarm.example:8080",
        ] {
            assert_eq!(check(&local, Method::GET, READ, &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check(&local, Method::GET, READ, &[]), Ok(()), "HTTP/1.0");
        for host in
            ["evil.example", "evil.example:3000", "127.0.0.1.evil.example", "swarm.example", "10.0.0.1", "", "a b"]
        {
            let why = check(&local, Method::GET, READ, &[("host", host)]).unwrap_err();
            assert!(why.contains("web.hosts"), "{host}: {why}");
        }
        assert_eq!(check(&guard([0, 0, 0, 0], ""), Method::GET, READ, &[("host", "evil.example")]), Ok(()));
        let token = serde_json::from_str("\"s3cret\"").unwrap();
        let routes = vec![(Method::PUT, READ, Access::Permitted)];
        let token = Guard::new(IpAddr::from([127, 0, 0, 1]), Permission::Token(token), None, routes);
        assert!(check(&token, Method::PUT, READ, &[("host", "pi.local")]).unwrap_err().contains("token"));
    }

    #[test]
    fn pages_of_other_sites_may_not_call_routes_for_own_pages() {
        let guard = guard([127, 0, 0, 1], "pi.local:8080");
        let host = ("host", "127.0.0.1:3000");
        let own: [&[_]; 6] = [
            &[],
            &[("origin", "http://127.0.0.1:3000")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin"), ("origin", "https://behind.a.proxy")],
            &[("origin", "https://swarm.example"), ("x-forwarded-host", "swarm.example, 10.0.0.1")],
            &[("origin", "http://pi.local:8080")],
        ];
        for headers in own {
            assert_eq!(check(&guard, Method::GET, SEND, &[&[host], headers].concat()), Ok(()), "{headers:?}");
        }
        let foreign: [&[_]; 8] = [
            &[("origin", "http://evil.example")],
            &[("origin", "http://127.0.0.1:8000")],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:3000.evil.example")],
            &[("origin", "http://pi.local")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")],
        ];
        for headers in foreign {
            let headers = [&[host], headers].concat();
            for method in [Method::GET, Method::HEAD] {
                let why = check(&guard, method, SEND, &headers).unwrap_err();
                assert!(why.contains("a page of another site"), "{headers:?}: {why}");
            }
            assert_eq!(check(&guard, Method::GET, READ, &headers), Ok(()));
        }
    }

    #[test]
    fn only_listed_routes_are_served() {
        let guard = guard([0, 0, 0, 0], "");
        for (method, path) in [(Method::GET, "/new"), (Method::HEAD, "/new"), (Method::OPTIONS, "/new")] {
            assert!(check(&guard, method.clone(), path, &[]).unwrap_err().contains("no "), "{method} {path}");
        }
        for method in [Method::POST, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            assert_eq!(check(&guard, method, READ, &[]), Err("GET, HEAD, OPTIONS".to_owned()));
        }
        for (method, path) in [(Method::GET, READ), (Method::HEAD, READ), (Method::GET, SEND), (Method::HEAD, SEND)] {
            assert_eq!(check(&guard, method, path, &[]), Ok(()));
        }
        assert!(guard.check(&Method::POST, "/x", None, &HeaderMap::new()).is_err(), "no such route");
    }

    #[test]
    fn the_most_specific_range_of_an_accept_header_decides() {
        let takes = |accept: &str| {
            let call = TestRequest::default().insert_header(("accept", accept)).to_http_request();
            super::takes(&Accept::parse(&call).unwrap(), &"application/json; charset=utf-8".parse().unwrap())
        };
        for accept in [
            "*/*",
            "application/*",
            "application/json",
            "text/html, */*;q=0.1",
            "APPLICATION/JSON;version=2",
            "*/*;q=0, application/json",
        ] {
            assert!(takes(accept), "{accept}");
        }
        for accept in ["text/html", "text/*", "application/json;q=0, */*", "*/*;q=0", "application/problem+json"] {
            assert!(!takes(accept), "{accept}");
        }
    }
}

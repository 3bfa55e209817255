//! What stands before every route of an HTTP server of ours: which names it is called by, whose page calls, and what the
//! call has to show.

use std::net::IpAddr;

use actix_web::ResponseError;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::{ApiError, Permission};
use crate::model::ErrorCode;
use crate::process::Hosts;

/// What a route asks of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it reads, and browsers keep what it answers from pages of other sites.
    Open,
    /// Not to come from a page of another site.
    OwnPages,
    /// That, and permission.
    Permitted,
}

/// A route: method, path as it is registered, access.
pub type Route = (Method, &'static str, Access);

/// Guards the routes of a server.
pub struct Guard {
    pub permission: Permission,
    routes: Vec<Route>,
    /// The server can be reached from this machine alone, and asks nothing of it.
    local: bool,
    hosts: Option<Hosts>,
}

/// The middleware: lets a call through to its route, or answers 403. The server has a [`Guard`] in its data.
pub async fn guard(
    guard: Data<Guard>,
    call: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    // As the router reads it: a path may have its letters encoded.
    let pattern = call.resource_map().match_pattern(call.match_info().as_str());
    // An answer and not an error: the middleware around this one ends the body that nobody will read.
    if let Err(refusal) = guard.check(call.method(), pattern.as_deref(), call.headers()) {
        return Ok(call.into_response(refusal.error_response()).map_into_right_body());
    }
    Ok(next.call(call).await?.map_into_left_body())
}

impl Guard {
    /// For a server on `bind`. A method of a path that is not among `routes` needs permission. `hosts`: further names that
    /// it is called by.
    pub fn new(bind: IpAddr, permission: Permission, hosts: Option<Hosts>, routes: Vec<Route>) -> Self {
        let local = bind.is_loopback() && !matches!(permission, Permission::Token(_));
        Self { permission, routes, local, hosts }
    }

    /// What a route asks for; HEAD as GET.
    fn access(&self, method: &Method, pattern: &str) -> Access {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let mut known = self.routes.iter();
        known.find(|route| route.0 == *method && route.1 == pattern).map_or(Access::Permitted, |route| route.2)
    }

    fn check(&self, method: &Method, pattern: Option<&str>, headers: &HeaderMap) -> Result<(), ApiError> {
        let forbidden = |message| Err(ApiError::new(ErrorCode::Forbidden, message));
        let host = text(headers, HOST.as_str());
        if self.local && !host.is_none_or(|host| self.is_own(host)) {
            return forbidden(format!(
                "this server is for its own machine, and is not known as {}: call it by 127.0.0.1 or localhost, or name the \
                 others in web.hosts",
                host.unwrap_or_default()
            ));
        }
        // Nothing is there, which the server says.
        let Some(pattern) = pattern else { return Ok(()) };
        let access = self.access(method, pattern);
        if access != Access::Open
            && let Some(page) = self.foreign_page(headers)
        {
            return forbidden(format!(
                "a page of another site ({page}) may not call this: the server was called as {}. Behind a proxy, have it pass \
                 the Host header on, or name the page's host in web.hosts",
                host.unwrap_or("nothing")
            ));
        }
        match access {
            Access::Permitted => Ok(self.permission.check(headers)?),
            Access::Open | Access::OwnPages => Ok(()),
        }
    }

    /// True for a name that leads to this machine, or is configured.
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

    /// The page of another site that makes the call, by what browsers say of it, which no script can change. Other
    /// clients say nothing.
    fn foreign_page<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let origin = text(headers, ORIGIN.as_str());
        match text(headers, "sec-fetch-site") {
            // `none`: somebody opened it by hand.
            Some("same-origin" | "none") => return None,
            Some(site) if origin.is_none() => return Some(site),
            _ => {}
        }
        let origin = origin?;
        let page = origin.split_once("://").map_or(origin, |(_, host)| host);
        // A proxy may call the server by another name than the browser does, and tell that.
        let mut names = [HOST.as_str(), "x-forwarded-host"].into_iter().filter_map(|name| text(headers, name));
        let own = names.any(|name| name.split(',').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(page)));
        (!own && !self.is_configured(page)).then_some(origin)
    }
}

/// A header's value; one that is not ASCII is none of ours.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("(not ASCII)"))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    const READ: &str = "/read";
    const SEND: &str = "/send";

    fn guard(bind: [u8; 4], hosts: &str) -> Guard {
        let routes = vec![(Method::GET, READ, Access::Open), (Method::GET, SEND, Access::OwnPages)];
        Guard::new(bind.into(), Permission::of(None, &[bind.into()]), Hosts::new(hosts), routes)
    }

    fn check(guard: &Guard, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let header = |(name, value): &(&str, &str)| {
            (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(header).collect();
        guard.check(&method, Some(path), &headers).map_err(|error| error.problem.message)
    }

    #[test]
    fn a_server_of_this_machine_alone_is_called_by_its_names() {
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
        let token = Guard::new(IpAddr::from([127, 0, 0, 1]), Permission::Token(token), None, vec![]);
        assert!(check(&token, Method::GET, READ, &[("host", "pi.local")]).unwrap_err().contains("token"));
    }

    #[test]
    fn pages_of_other_sites_may_not_call_what_is_for_ones_own() {
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
            for method in [Method::GET, Method::HEAD, Method::POST] {
                let why = check(&guard, method, SEND, &headers).unwrap_err();
                assert!(why.contains("a page of another site"), "{headers:?}: {why}");
            }
            assert_eq!(check(&guard, Method::GET, READ, &headers), Ok(()));
        }
    }

    #[test]
    fn what_is_in_no_list_needs_permission() {
        let guard = guard([0, 0, 0, 0], "");
        for (method, path) in
            [(Method::POST, READ), (Method::GET, "/new"), (Method::HEAD, "/new"), (Method::DELETE, SEND)]
        {
            assert!(check(&guard, method.clone(), path, &[]).unwrap_err().contains("not permitted"), "{method} {path}");
        }
        for (method, path) in [(Method::GET, READ), (Method::HEAD, READ), (Method::GET, SEND), (Method::HEAD, SEND)] {
            assert_eq!(check(&guard, method, path, &[]), Ok(()));
        }
        assert!(guard.check(&Method::POST, None, &HeaderMap::new()).is_ok(), "nothing is there");
    }
}

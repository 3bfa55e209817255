//! The access of every route of the web tier. Only listed routes are served.

use actix_web::http::Method;

#[cfg(feature = "dashboard")]
use super::page_paths;
use crate::runtime::http::{Access, Route};

/// The routes with their access. Routes that read are open; routes that send, connect or watch refuse pages of other sites;
/// routes that change the deployment or start a process need permission as well.
pub fn access() -> Vec<Route> {
    use Access::{Open, OwnPages, Permitted};
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let listed = [
        (&post, "/api/v1/requests", OwnPages),
        (&get, "/api/v1/requests/{id}", Open),
        (&get, "/api/v1/requests/{id}/replies", Open),
        (&get, "/api/v1/topology", Open),
        (&get, "/api/v1/figures", Open),
        (&get, "/api/v1/events", Open),
        (&get, "/api/v1/openapi.json", Open),
        (&get, "/ws", OwnPages),
        // The article's calls use GET although they have effects. Connecting needs no permission, because by default the web
        // tier connects at start anyway.
        (&get, "/api/v1/dispatcher/connect", OwnPages),
        (&get, "/api/v1/dispatcher/request", OwnPages),
        (&post, "/api/v1/dispatcher/disconnect", Permitted),
        (&get, "/api/v1/load", Open),
        (&post, "/api/v1/load", Permitted),
        (&delete, "/api/v1/load", Permitted),
        (&get, "/api/v1/control", Open),
        (&put, "/api/v1/control/delay", Permitted),
        (&put, "/api/v1/control/dispatch", Permitted),
        (&delete, "/api/v1/control/faults", Permitted),
        (&put, "/api/v1/control/instances/{id}/workers", Permitted),
        (&put, "/api/v1/control/instances/{id}/faults", Permitted),
        (&delete, "/api/v1/control/instances/{id}/faults", Permitted),
        (&post, "/api/v1/control/instances/{id}/workers/{index}/panic", Permitted),
        (&post, "/api/v1/control/instances/{id}/workers/{index}/stall", Permitted),
        (&get, "/api/v1/experiments", Open),
        (&post, "/api/v1/experiments/check", Permitted),
        (&get, "/api/v1/experiments/running", Open),
        (&delete, "/api/v1/experiments/running", Permitted),
        (&get, "/api/v1/experiments/runs", Open),
        (&post, "/api/v1/experiments/runs", Permitted),
        (&get, "/api/v1/experiments/runs/{id}", Open),
        (&delete, "/api/v1/experiments/runs/{id}", Permitted),
        (&get, "/api/v1/experiments/runs/{id}/files/{name}", Open),
        (&get, "/api/v1/experiments/comparison", OwnPages),
    ];
    let listed = listed.into_iter().map(|(method, path, access)| (method.clone(), path, access));
    listed.chain(page_paths().map(|path| (Method::GET, path, Open))).collect()
}

#[cfg(not(feature = "dashboard"))]
fn page_paths() -> impl Iterator<Item = &'static str> {
    ["/"].into_iter()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::web::http::DESCRIPTION;
    use crate::web::http::owned::changes_deployment;

    /// Routes that are not in the OpenAPI description.
    const UNDESCRIBED: [&str; 2] = ["/ws", "/api/v1/openapi.json"];

    #[test]
    fn the_openapi_description_has_exactly_the_listed_routes() {
        let paths = DESCRIPTION["paths"].as_object().unwrap();
        let methods =
            |path: &str| paths[path].as_object().unwrap().keys().map(|name| name.to_uppercase()).collect::<Vec<_>>();
        let described: BTreeSet<_> =
            paths.keys().flat_map(|path| methods(path).into_iter().map(|m| (m, path.clone()))).collect();
        let page: Vec<_> = page_paths().collect();
        let listed = access().into_iter().filter(|route| !UNDESCRIBED.contains(&route.1) && !page.contains(&route.1));
        let listed: Vec<_> = listed.map(|route| (route.0.to_string(), route.1.to_owned())).collect();
        assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len(), "a route is listed twice");
        assert_eq!(described, listed.into_iter().collect());
    }

    #[test]
    fn routes_that_change_the_deployment_are_locked_while_an_experiment_runs() {
        for (method, path, access) in access() {
            let harmless =
                path.starts_with("/api/v1/experiments") || (&method, path) == (&Method::DELETE, "/api/v1/load");
            let changes = access == Access::Permitted && !harmless;
            assert_eq!(changes_deployment(&method, path), changes, "{method} {path}");
        }
    }

    #[test]
    fn routes_that_change_something_need_permission() {
        for (method, path, access) in access() {
            let open = method == Method::GET || path == "/api/v1/requests";
            assert_eq!(access == Access::Permitted, !open, "{method} {path}");
            assert!(open || access != Access::Open, "{method} {path}");
        }
    }
}

//! While an experiment changes the deployment nobody else may. And who makes a call, for the event log.

use std::net::IpAddr;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest, ResponseError};

use crate::runtime::http::ApiError;
use crate::web::experiments::{Experiments, RunKey, lock};
use crate::web::history::By;
use crate::wire::{ErrorCode, ExperimentView};

/// Whether a route changes the deployment, or what experiments measure of it. Stopping a load does no harm.
pub fn changes_deployment(method: &Method, pattern: &str) -> bool {
    *method != Method::GET && pattern.starts_with("/api/v1/control/")
        || *method == Method::POST && ["/api/v1/load", "/api/v1/dispatcher/disconnect"].contains(&pattern)
}

/// A middleware: refuses calls that change the deployment while an experiment does, unless the experiment makes them.
pub async fn owned(
    call: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let pattern = call.resource_map().match_pattern(call.match_info().as_str());
    if pattern.is_some_and(|pattern| changes_deployment(call.method(), &pattern))
        && let Some(reason) = experiment(call.request()).and_then(|(view, own)| lock(&view).filter(|_| !own))
    {
        // A response and not an error: the middleware around this one has to drain the unread body.
        return Ok(call.into_response(ApiError::new(ErrorCode::Conflict, reason).error_response()));
    }
    Ok(next.call(call).await?.map_into_boxed_body())
}

/// The caller: the running experiment, or the client at an address.
pub fn caller(call: &HttpRequest) -> By {
    if let Some((view, true)) = experiment(call)
        && view.is_running()
    {
        return By::Experiment { run: view.id };
    }
    let address = call.peer_addr().map(|address| address.ip());
    let forwarded_for = call.connection_info().realip_remote_addr().and_then(|text| text.parse::<IpAddr>().ok());
    By::call(address, forwarded_for.filter(|ip| Some(*ip) != address))
}

/// The experiment that runs, or ran last, and whether the call is its own.
fn experiment(call: &HttpRequest) -> Option<(ExperimentView, bool)> {
    let (experiments, key) = (call.app_data::<Data<Experiments>>()?, call.app_data::<Data<RunKey>>()?);
    Some((experiments.view()?, key.is_shown(call.headers())))
}

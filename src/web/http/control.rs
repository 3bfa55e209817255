//! The dashboard's controls. Each call is forwarded, with its token, to the admin servers of the instances that it concerns.

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{Data, Json, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use awc::Client;
use futures_util::future::join_all;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller;
use crate::runtime::http::{ApiError, Guard, Permission};
use crate::web::history::EventKind;
use crate::web::hub::Deployment;
use crate::wire::{Delay, DispatchChoice, ErrorCode, Faults, PoolSize, Problem, Stall, Tier};

/// Timeout of a call to an instance's admin server.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether controls are permitted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ControlAccess {
    permitted: bool,
    needs_token: bool,
}

/// The ids of the instances that were changed.
#[derive(Serialize, ToSchema)]
struct Changed {
    instances: Vec<String>,
}

/// Whether controls are permitted, and whether they need the token.
#[utoipa::path(
    get, path = "/api/v1/control", operation_id = "readControl",
    responses((status = 200, description = "Access of this call, with its token", body = ControlAccess))
)]
#[get("/api/v1/control")]
async fn read(call: HttpRequest, guard: Data<Guard>) -> HttpResponse {
    let needs_token = matches!(guard.permission, Permission::Token(_));
    let permitted = guard.permission.check(call.headers()).is_ok();
    HttpResponse::Ok().json(ControlAccess { permitted, needs_token })
}

/// Changes the number of an instance's workers.
#[utoipa::path(
    put, path = "/api/v1/control/instances/{id}/workers", operation_id = "setWorkers",
    params(("id" = String, Path)), request_body = PoolSize,
    responses((status = 200, description = "Changed", body = Changed))
)]
#[put("/api/v1/control/instances/{id}/workers")]
async fn set_workers(
    call: HttpRequest,
    id: Path<String>,
    size: Json<PoolSize>,
    deployment: Data<Deployment>,
) -> Forwarded {
    one(&call, &deployment, EventKind::Scaled, &id, Method::PUT, "workers", Some(&*size)).await
}

/// Changes the delay of every responder.
#[utoipa::path(
    put, path = "/api/v1/control/delay", operation_id = "setDelay",
    request_body = Delay,
    responses((status = 200, description = "Changed", body = Changed))
)]
#[put("/api/v1/control/delay")]
async fn set_delay(call: HttpRequest, delay: Json<Delay>, deployment: Data<Deployment>) -> Forwarded {
    all(&call, &deployment, EventKind::DelayChanged, Tier::Responder, Method::PUT, "delay", Some(&*delay)).await
}

/// Changes the dispatch of every broker.
#[utoipa::path(
    put, path = "/api/v1/control/dispatch", operation_id = "setDispatch",
    request_body = DispatchChoice,
    responses((status = 200, description = "Changed", body = Changed))
)]
#[put("/api/v1/control/dispatch")]
async fn set_dispatch(call: HttpRequest, choice: Json<DispatchChoice>, deployment: Data<Deployment>) -> Forwarded {
    all(&call, &deployment, EventKind::DispatchChanged, Tier::Broker, Method::PUT, "dispatch", Some(&*choice)).await
}

/// Sets the faults that a responder injects.
#[utoipa::path(
    put, path = "/api/v1/control/instances/{id}/faults", operation_id = "setFaults",
    params(("id" = String, Path)), request_body = Faults,
    responses((status = 200, description = "Changed", body = Changed))
)]
#[put("/api/v1/control/instances/{id}/faults")]
async fn set_faults(
    call: HttpRequest,
    id: Path<String>,
    faults: Json<Faults>,
    deployment: Data<Deployment>,
) -> Forwarded {
    one(&call, &deployment, EventKind::FaultsChanged, &id, Method::PUT, "faults", Some(&*faults)).await
}

/// Clears a responder's faults.
#[utoipa::path(
    delete, path = "/api/v1/control/instances/{id}/faults", operation_id = "clearFaults",
    params(("id" = String, Path)),
    responses((status = 200, description = "Cleared", body = Changed))
)]
#[delete("/api/v1/control/instances/{id}/faults")]
async fn clear_faults(call: HttpRequest, id: Path<String>, deployment: Data<Deployment>) -> Forwarded {
    one(&call, &deployment, EventKind::FaultsChanged, &id, Method::DELETE, "faults", None::<&()>).await
}

/// Clears the faults of every responder.
#[utoipa::path(
    delete, path = "/api/v1/control/faults", operation_id = "clearAllFaults",
    responses((status = 200, description = "Cleared", body = Changed))
)]
#[delete("/api/v1/control/faults")]
async fn clear_all_faults(call: HttpRequest, deployment: Data<Deployment>) -> Forwarded {
    all(&call, &deployment, EventKind::FaultsChanged, Tier::Responder, Method::DELETE, "faults", None::<&()>).await
}

/// Makes a worker panic.
#[utoipa::path(
    post, path = "/api/v1/control/instances/{id}/workers/{index}/panic", operation_id = "panicWorker",
    params(("id" = String, Path), ("index" = usize, Path)),
    responses((status = 200, description = "The worker panics", body = Changed))
)]
#[post("/api/v1/control/instances/{id}/workers/{index}/panic")]
async fn panic_worker(call: HttpRequest, path: Path<(String, usize)>, deployment: Data<Deployment>) -> Forwarded {
    let (id, index) = path.into_inner();
    one(
        &call,
        &deployment,
        EventKind::WorkerPanicked,
        &id,
        Method::POST,
        &format!("workers/{index}/panic"),
        None::<&()>,
    )
    .await
}

/// Makes a responder worker stall on its next message.
#[utoipa::path(
    post, path = "/api/v1/control/instances/{id}/workers/{index}/stall", operation_id = "stallWorker",
    request_body = Stall,
    params(("id" = String, Path), ("index" = usize, Path)),
    responses((status = 200, description = "The worker will stall", body = Changed))
)]
#[post("/api/v1/control/instances/{id}/workers/{index}/stall")]
async fn stall_worker(
    call: HttpRequest,
    path: Path<(String, usize)>,
    stall: Json<Stall>,
    deployment: Data<Deployment>,
) -> Forwarded {
    let (id, index) = path.into_inner();
    one(
        &call,
        &deployment,
        EventKind::FaultsChanged,
        &id,
        Method::POST,
        &format!("workers/{index}/stall"),
        Some(&*stall),
    )
    .await
}

type Forwarded = Result<HttpResponse, ApiError>;

/// Forwards a call to one instance, for which `kind` is what the event log will have.
async fn one(
    call: &HttpRequest,
    deployment: &Deployment,
    kind: EventKind,
    id: &str,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Forwarded {
    let admin = deployment.admin_of(id).ok_or_else(|| {
        ApiError::new(
            ErrorCode::NotFound,
            format!("no instance {id} with a known admin server: GET /api/v1/topology lists the instances"),
        )
    })?;
    deployment.expect([id], kind, &caller(call));
    forward(call, admin, id, method, path, body).await?;
    Ok(HttpResponse::Ok().json(Changed { instances: vec![id.to_owned()] }))
}

/// Forwards a call to every instance of a tier, as [`one`] does; returns the first error.
async fn all(
    call: &HttpRequest,
    deployment: &Deployment,
    kind: EventKind,
    tier: Tier,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Forwarded {
    let instances = deployment.admins(tier);
    if instances.is_empty() {
        return Err(ApiError::new(
            ErrorCode::NotFound,
            format!("no {} instance is known: start one first", tier.name()),
        ));
    }
    let calls = instances.iter().map(|(id, admin)| forward(call, *admin, id, method.clone(), path, body));
    deployment.expect(instances.iter().map(|(id, _)| &**id), kind, &caller(call));
    join_all(calls).await.into_iter().collect::<Result<Vec<()>, _>>()?;
    let instances = instances.into_iter().map(|(id, _)| id).collect();
    Ok(HttpResponse::Ok().json(Changed { instances }))
}

async fn forward(
    call: &HttpRequest,
    admin: SocketAddr,
    id: &str,
    method: Method,
    path: &str,
    body: Option<&impl Serialize>,
) -> Result<(), ApiError> {
    let url = format!("http://{admin}/control/{}/{path}", utf8_percent_encode(id, NON_ALPHANUMERIC));
    let mut request = Client::builder().timeout(ADMIN_TIMEOUT).finish().request(method, &url);
    if let Some(token) = call.headers().get(header::AUTHORIZATION) {
        request = request.insert_header((header::AUTHORIZATION, token.clone()));
    }
    let sent = match body {
        Some(body) => request.send_json(body).await,
        None => request.send().await,
    };
    let unreachable =
        |reason: String| ApiError::new(ErrorCode::Lost, format!("no answer from {id} at {url}: {reason}"));
    let mut response = sent.map_err(|error| unreachable(error.to_string()))?;
    if response.status() == StatusCode::OK {
        return Ok(());
    }
    let answer: Value = response.json().await.map_err(|error| unreachable(error.to_string()))?;
    match serde_json::from_value::<Problem>(answer["error"].clone()) {
        Ok(problem) => Err(problem.into()),
        Err(_) => Err(unreachable(format!("status {}", response.status()))),
    }
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service((read, set_workers, set_delay, set_dispatch, set_faults, clear_faults));
    config.service((clear_all_faults, panic_worker, stall_worker));
}

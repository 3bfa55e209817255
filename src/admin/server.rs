//! The admin server of a process: liveness, readiness, metrics and, with permission, controls.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, Json, JsonConfig, Path};
use actix_web::{App, HttpResponse, HttpServer, ResponseError, delete, get, post, put};
use serde_json::json;

use super::{Control, ControlError, metrics};
use crate::responder::ChangeError;
use crate::runtime::http::{Access, ApiError, Guard, HttpLimits, Route, answer, guard as check_access, headers};
use crate::runtime::{InstanceStatus, Memory};
use crate::web::hub::Deployment;
use crate::wire::{Delay, DispatchChoice, ErrorCode, Faults, InstanceState, PoolSize, Stall};

/// Maximum simultaneous connections. Health checks, scrapes and controls are all short.
pub const CONNECTIONS: usize = 256;

/// Maximum size of a control call's body, and of all bodies being received, in bytes.
const MAX_BODY: usize = 64 << 10;
const BODIES: usize = 2 << 20;

/// Timeouts for receiving a body, and for a client to read a response.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The instances of the process.
pub struct Instances {
    pub controls: Vec<Control>,
    pub instances: Vec<Arc<InstanceStatus>>,
    /// What the web instance of the process knows of all others; None without one.
    pub deployment: Option<Arc<Deployment>>,
}

impl Instances {
    fn control(&self, id: &str) -> Result<&Control, ApiError> {
        self.controls.iter().find(|control| control.status.instance.id == id).ok_or_else(|| {
            let known: Vec<_> = self.controls.iter().map(|control| &control.status.instance.id[..]).collect();
            let message = format!("this process has no instance {id} with controls; it has {}", known.join(", "));
            ApiError::new(ErrorCode::NotFound, message)
        })
    }
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let code = match &error {
            ControlError::Unsupported(..)
            | ControlError::NoWorker(_)
            | ControlError::Responder(ChangeError::NoWorker(_)) => ErrorCode::NotFound,
            ControlError::Draining(_) => ErrorCode::Draining,
            ControlError::Responder(ChangeError::Invalid(_)) => ErrorCode::BadRequest,
            ControlError::TooMany(..) | ControlError::Responder(ChangeError::Delay(_)) => ErrorCode::Unprocessable,
        };
        Self::new(code, error.to_string())
    }
}

fn done(result: Result<(), ControlError>) -> Result<HttpResponse, ApiError> {
    result?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// Liveness: 200 whenever the process responds. Peers are not checked, because a swarm's DNS lists a task only once it is
/// healthy: tasks that wait for each other would never start.
#[get("/healthz")]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

/// Readiness: 200 if every instance is ready; else 503 with the reasons.
#[get("/readyz")]
async fn readyz(instances: Data<Instances>) -> HttpResponse {
    let states: Vec<_> = instances.instances.iter().map(|status| (status, status.state())).collect();
    let ready = states.iter().all(|(_, (state, _))| *state == InstanceState::Ready);
    let list: Vec<_> = states
        .into_iter()
        .map(|(status, (state, reason))| json!({ "id": status.instance.id, "state": state, "reason": reason }))
        .collect();
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(json!({ "ready": ready, "instances": list }))
}

/// Metrics in Prometheus' text format.
#[get("/metrics")]
async fn read_metrics(instances: Data<Instances>) -> HttpResponse {
    let figures = instances.deployment.as_ref().map(|deployment| deployment.figures());
    match metrics::text(&instances.instances, figures) {
        Ok(text) => HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(text),
        Err(error) => ApiError::new(ErrorCode::Internal, error.to_string()).error_response(),
    }
}

#[put("/control/{id}/workers")]
async fn set_workers(
    id: Path<String>,
    size: Json<PoolSize>,
    instances: Data<Instances>,
) -> Result<HttpResponse, ApiError> {
    done(instances.control(&id)?.resize(size.workers).await)
}

#[put("/control/{id}/delay")]
async fn set_delay(id: Path<String>, delay: Json<Delay>, instances: Data<Instances>) -> Result<HttpResponse, ApiError> {
    done(instances.control(&id)?.set_delay(delay.into_inner()))
}

#[put("/control/{id}/dispatch")]
async fn set_dispatch(
    id: Path<String>,
    choice: Json<DispatchChoice>,
    instances: Data<Instances>,
) -> Result<HttpResponse, ApiError> {
    done(instances.control(&id)?.set_dispatch(choice.dispatch))
}

#[put("/control/{id}/faults")]
async fn set_faults(
    id: Path<String>,
    faults: Json<Faults>,
    instances: Data<Instances>,
) -> Result<HttpResponse, ApiError> {
    done(instances.control(&id)?.set_faults(faults.into_inner()))
}

#[delete("/control/{id}/faults")]
async fn clear_faults(id: Path<String>, instances: Data<Instances>) -> Result<HttpResponse, ApiError> {
    instances.control(&id)?.clear_faults();
    done(Ok(()))
}

#[post("/control/{id}/workers/{index}/panic")]
async fn panic_worker(path: Path<(String, usize)>, instances: Data<Instances>) -> Result<HttpResponse, ApiError> {
    let (id, index) = path.into_inner();
    done(instances.control(&id)?.crash(index).await)
}

#[post("/control/{id}/workers/{index}/stall")]
async fn stall_worker(
    path: Path<(String, usize)>,
    stall: Json<Stall>,
    instances: Data<Instances>,
) -> Result<HttpResponse, ApiError> {
    let (id, index) = path.into_inner();
    done(instances.control(&id)?.stall(index, stall.ms))
}

/// The routes with their access.
pub fn admin_routes() -> Vec<Route> {
    let reads = ["/healthz", "/readyz", "/metrics"].map(|path| (Method::GET, path, Access::Open));
    let controls = [
        (Method::PUT, "/control/{id}/workers"),
        (Method::PUT, "/control/{id}/delay"),
        (Method::PUT, "/control/{id}/dispatch"),
        (Method::PUT, "/control/{id}/faults"),
        (Method::DELETE, "/control/{id}/faults"),
        (Method::POST, "/control/{id}/workers/{index}/panic"),
        (Method::POST, "/control/{id}/workers/{index}/stall"),
    ];
    reads.into_iter().chain(controls.map(|(method, path)| (method, path, Access::Permitted))).collect()
}

/// Starts the admin server on a bound listener; it runs until its handle stops it.
pub fn serve_admin(listener: TcpListener, instances: &Arc<Instances>, guard: &Arc<Guard>) -> io::Result<Server> {
    let (instances, guard) = (Data::from(instances.clone()), Data::from(guard.clone()));
    let limits = HttpLimits {
        connections: CONNECTIONS,
        body_timeout: BODY_TIMEOUT,
        send_timeout: SEND_TIMEOUT,
        bodies: Memory::of(BODIES),
    };
    let on_connect = limits.on_connect();
    let server = HttpServer::new(move || {
        let limits = limits.clone();
        App::new()
            .wrap(from_fn(check_access))
            .wrap(from_fn(answer))
            // Outside of these, so that it also drains the body of a refused call.
            .wrap(from_fn(move |request, next| limits.clone().guard_body(request, next)))
            .wrap(headers("accept"))
            .app_data(instances.clone())
            .app_data(guard.clone())
            .app_data(
                JsonConfig::default()
                    .limit(MAX_BODY)
                    .error_handler(|error, _| ApiError::of_body(error, "send at most 64 KiB")),
            )
            .service((healthz, readyz, read_metrics))
            .service((set_workers, set_delay, set_dispatch, set_faults, clear_faults, panic_worker, stall_worker))
    });
    let server = server.workers(1).max_connections(CONNECTIONS).on_connect(on_connect);
    Ok(server.disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

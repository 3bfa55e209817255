//! The HTTP API of the web tier, version 1, beside the article's two calls.

use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{HttpResponse, Responder, get, post};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, OpenApi};

use super::{Hub, NewRequest, Requests, article, control, experiment_api, load};
use crate::model::{ErrorCode, Event, LONGEST_TIMEOUT_MS, Problem, RequestView, TaskName, Topology};
use crate::transport::ApiError;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// Answer when the request has ended; the same as `wait` in the body.
    #[serde(default)]
    wait: bool,
}

/// Sends a request through every tier.
#[utoipa::path(
    post, path = "/api/v1/requests", params(Wait), request_body = NewRequest,
    responses(
        (status = 202, description = "On its way: `{\"requestId\": ...}`"),
        (status = 200, description = "With `wait`: ended, with its replies, errors among them", body = RequestView),
        (status = 400, description = "The body is not as it should be", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 502, description = "With `wait`: lost on its way", body = Problem),
        (status = 503, description = "Overloaded, shutting down, or no requester is connected; with Retry-After", body = Problem),
        (status = 504, description = "With `wait`: every message timed out", body = Problem),
    )
)]
#[post("/api/v1/requests")]
async fn create(new: Json<NewRequest>, query: Query<Wait>, requests: Data<Requests>) -> Result<HttpResponse, ApiError> {
    let new = check(new.into_inner())?;
    let wait = new.wait || query.wait;
    let request_id = requests.submit(new)?;
    if !wait {
        return Ok(HttpResponse::Accepted().json(json!({ "requestId": request_id })));
    }
    let ended = requests.wait(&request_id).await;
    let ended = ended.ok_or_else(|| ApiError::new(ErrorCode::Internal, "the request was forgotten before it ended"))?;
    let counts = ended.view.counts;
    let problem = ended.problem.or_else(|| {
        let message = format!("none of the {} messages had a reply in time", counts.timeouts);
        (counts.timeouts > 0 && counts.timeouts == counts.total())
            .then_some(Problem { code: ErrorCode::Timeout, message })
    });
    match problem {
        Some(problem) => Err(ApiError { problem, request_id: Some(request_id) }),
        None => Ok(HttpResponse::Ok().json(ended.view)),
    }
}

/// Checks what a request may ask for.
pub fn check(new: NewRequest) -> Result<NewRequest, ApiError> {
    if let Some(task) = &new.task {
        task.parse::<TaskName>().map_err(|error| ApiError::new(ErrorCode::BadRequest, format!("`task`: {error}")))?;
    }
    match new.timeout_ms {
        Some(timeout) if !(1..=LONGEST_TIMEOUT_MS).contains(&timeout) => {
            let message = format!("`timeoutMs` is {timeout}: give 1 to {LONGEST_TIMEOUT_MS} milliseconds");
            Err(ApiError::new(ErrorCode::BadRequest, message))
        }
        _ => Ok(new),
    }
}

/// A request and its replies so far.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}", params(("id" = String, Path, description = "`requestId`")),
    responses(
        (status = 200, body = RequestView),
        (status = 404, description = "Never was, or was forgotten (web.keep_requests)", body = Problem),
    )
)]
#[get("/api/v1/requests/{id}")]
async fn read(id: Path<String>, requests: Data<Requests>, hub: Data<Hub>) -> Result<Json<RequestView>, ApiError> {
    let view = requests.get(&id).or_else(|| hub.request(&id));
    view.map(Json).ok_or_else(|| unknown(&id))
}

/// The replies to a request as they arrive: a JSON object a line, and the whole request as the last.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/replies", params(("id" = String, Path, description = "`requestId`")),
    responses(
        (status = 200, description = "Lines of JSON: each a Reply, the last the RequestView", body = RequestView),
        (status = 404, description = "Never was, or was forgotten (web.keep_requests)", body = Problem),
    )
)]
#[get("/api/v1/requests/{id}/replies")]
async fn replies(id: Path<String>, requests: Data<Requests>) -> Result<HttpResponse, ApiError> {
    if requests.get(&id).is_none() {
        return Err(unknown(&id));
    }
    let lines = futures_util::stream::unfold(Some(0), move |sent| {
        let (requests, id) = (requests.clone(), id.clone());
        async move {
            let sent = sent?;
            let news = requests.news(&id, sent).await?;
            let mut text: String = news.replies.iter().map(|reply| json!(reply).to_string() + "\n").collect();
            if let Some(view) = &news.ended {
                text += &(json!(view).to_string() + "\n");
            }
            let next = news.ended.is_none().then_some(sent + news.replies.len());
            Some((Ok::<_, ApiError>(Bytes::from(text)), next))
        }
    });
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines))
}

fn unknown(id: &str) -> ApiError {
    let message = format!("no request {id}: it never was, or was forgotten (web.keep_requests)");
    ApiError::new(ErrorCode::NotFound, message)
}

/// Every instance and link of the deployment.
#[utoipa::path(get, path = "/api/v1/topology", responses((status = 200, body = Topology)))]
#[get("/api/v1/topology")]
async fn topology(hub: Data<Hub>) -> impl Responder {
    Json(hub.topology())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "swarmq", description = "The web tier's API. Errors are `{\"error\": Problem}`."),
    paths(
        create,
        read,
        replies,
        topology,
        article::connect,
        article::request,
        article::disconnect,
        load::start_load,
        load::read_load,
        load::stop_load,
        control::read,
        control::set_workers,
        control::set_delay,
        control::set_dispatch,
        control::set_faults,
        control::clear_faults,
        control::clear_all_faults,
        control::panic_worker,
        control::stall_worker,
        experiment_api::overview,
        experiment_api::check,
        experiment_api::running,
        experiment_api::stop,
        experiment_api::start,
        experiment_api::list,
        experiment_api::read,
        experiment_api::remove,
        experiment_api::compare,
        experiment_api::file,
    ),
    components(schemas(Event))
)]
struct Description;

/// This description.
#[get("/api/v1/openapi.json")]
async fn description() -> impl Responder {
    Json(Description::openapi())
}

/// Adds the routes.
pub fn routes(config: &mut actix_web::web::ServiceConfig) {
    config.service(create).service(read).service(replies).service(topology).service(description);
}

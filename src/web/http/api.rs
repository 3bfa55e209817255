//! The HTTP API for requests and the topology, apart from the article's calls.

use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{HttpResponse, get, post};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Answers;
use crate::runtime::http::{ApiError, ErrorAnswer};
use crate::runtime::pieces;
use crate::web::hub::Deployment;
use crate::web::requests::{NewRequest, News, Requests};
use crate::wire::{ErrorCode, Figures, MAX_TIMEOUT_MS, Problem, Reply, RequestView, TaskName, Topology};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// Respond when the request has ended; the same as `wait` in the body.
    #[serde(default)]
    wait: bool,
}

/// A request that was accepted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TakenOn {
    request_id: String,
}

/// Sends a request through every tier.
#[utoipa::path(
    post, path = "/api/v1/requests", operation_id = "sendRequest", params(Wait), request_body = NewRequest,
    responses(
        (status = 202, description = "Accepted; the request runs", body = TakenOn),
        (status = 200, description = "With `wait`: the ended request with its replies, including errors", body = RequestView),
        (status = 502, description = "With `wait`: the request was lost", body = ErrorAnswer),
        (status = 503, description = "Overloaded, shutting down, or no requester is connected; with Retry-After", body = ErrorAnswer),
        (status = 504, description = "With `wait`: every message timed out", body = ErrorAnswer),
    )
)]
#[post("/api/v1/requests")]
async fn create(
    new: Json<NewRequest>,
    query: Query<Wait>,
    requests: Data<Requests>,
    answers: Data<Answers>,
) -> Result<HttpResponse, ApiError> {
    let new = check(new.into_inner())?;
    let wait = new.wait || query.wait;
    let request_id = requests.submit(new)?;
    if !wait {
        return Ok(HttpResponse::Accepted().json(TakenOn { request_id }));
    }
    let ended = requests.wait(&request_id).await.ok_or_else(|| unknown(&request_id))?;
    let counts = ended.view.counts;
    let problem = ended.problem.clone().or_else(|| {
        let message = format!("none of the {} messages got a reply in time", counts.timeouts);
        (counts.timeouts > 0 && counts.timeouts == counts.total())
            .then_some(Problem { code: ErrorCode::Timeout, message })
    });
    match problem {
        Some(problem) => Err(ApiError { problem, request_id: Some(request_id) }),
        None => answers.json(&ended.view),
    }
}

/// Checks the bounds of a request's fields.
pub fn check(new: NewRequest) -> Result<NewRequest, ApiError> {
    if let Some(task) = &new.task {
        task.parse::<TaskName>().map_err(|error| ApiError::new(ErrorCode::BadRequest, format!("`task`: {error}")))?;
    }
    match new.timeout_ms {
        Some(timeout) if !(1..=MAX_TIMEOUT_MS).contains(&timeout) => {
            let message = format!("`timeoutMs` is {timeout}: give 1 to {MAX_TIMEOUT_MS} milliseconds");
            Err(ApiError::new(ErrorCode::BadRequest, message))
        }
        _ => Ok(new),
    }
}

/// A request and its replies so far. If another web instance accepted it, the replies are without bodies (`bodyBytes` has the
/// length of each).
#[utoipa::path(
    get, path = "/api/v1/requests/{id}", operation_id = "readRequest", params(("id" = String, Path, description = "`requestId`")),
    responses(
        (status = 200, description = "The request's current state", body = RequestView),
        (status = 404, description = "No such request, or no longer kept (web.keep_requests, web.keep_bytes)", body = ErrorAnswer),
        (status = 503, description = "Responses to slow clients use all memory for responses", body = ErrorAnswer),
    )
)]
#[get("/api/v1/requests/{id}")]
async fn read(
    id: Path<String>,
    requests: Data<Requests>,
    deployment: Data<Deployment>,
    answers: Data<Answers>,
) -> Result<HttpResponse, ApiError> {
    match requests.look(&id, |view| answers.json(view)) {
        Some(answer) => answer,
        None => answers.json(&deployment.request(&id).ok_or_else(|| unknown(&id))?),
    }
}

/// The replies to a request as they arrive, one JSON object per line; the last line is the whole request.
#[utoipa::path(
    get, path = "/api/v1/requests/{id}/replies", operation_id = "followReplies", params(("id" = String, Path, description = "`requestId`")),
    responses(
        (status = 200, description = "Lines of JSON: each a Reply, the last one the RequestView, or an ErrorAnswer if responses to slow clients use all memory for responses", body = String, content_type = "application/x-ndjson"),
        (status = 404, description = "No such request, or no longer kept (web.keep_requests, web.keep_bytes)", body = ErrorAnswer),
    )
)]
#[get("/api/v1/requests/{id}/replies")]
async fn replies(id: Path<String>, requests: Data<Requests>, answers: Data<Answers>) -> Result<HttpResponse, ApiError> {
    let progress = requests.progress(&id).ok_or_else(|| unknown(&id))?;
    let lines = futures_util::stream::unfold(Some((progress, 0)), move |at| {
        let (requests, id, answers) = (requests.clone(), id.clone(), answers.clone());
        async move {
            let (mut progress, sent) = at?;
            let (text, next) = match requests.news(&id, &mut progress, sent).await? {
                News::Replies(replies) => (text_of(&answers, &replies, None), Some((progress, sent + replies.len()))),
                News::Ended(ended) => (text_of(&answers, &ended.view.replies[sent..], Some(&ended.view)), None),
            };
            Some(match text {
                Ok(text) => (text, next),
                Err(problem) => (problem.line().into(), None),
            })
        }
    });
    let pieces = lines.flat_map(|text| futures_util::stream::iter(pieces(text).map(Ok::<_, ApiError>)));
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(pieces))
}

/// The lines of the replies, and of the whole request if it has ended.
fn text_of(answers: &Answers, news: &[Reply], ended: Option<&RequestView>) -> Result<Bytes, ApiError> {
    let line = |json: serde_json::Result<String>| {
        json.map(|json| json + "\n").map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
    };
    let mut text = news.iter().map(|reply| line(serde_json::to_string(reply))).collect::<Result<String, _>>()?;
    if let Some(view) = ended {
        text += &line(serde_json::to_string(view))?;
    }
    answers.hold(text)
}

fn unknown(id: &str) -> ApiError {
    let message =
        format!("no request {id}: it does not exist, or is no longer kept (web.keep_requests, web.keep_bytes)");
    ApiError::new(ErrorCode::NotFound, message)
}

/// Every instance and link of the deployment.
#[utoipa::path(
    get, path = "/api/v1/topology", operation_id = "readTopology",
    responses((status = 200, description = "The deployment's current state, as this instance knows it", body = Topology))
)]
#[get("/api/v1/topology")]
async fn topology(deployment: Data<Deployment>, answers: Data<Answers>) -> Result<HttpResponse, ApiError> {
    answers.json(&deployment.topology())
}

/// The figures of the deployment, as this instance knows them: totals since its start, rates, capacity, usage by node.
#[utoipa::path(
    get, path = "/api/v1/figures", operation_id = "readFigures",
    responses((status = 200, description = "The figures now", body = Figures))
)]
#[get("/api/v1/figures")]
async fn figures(deployment: Data<Deployment>, answers: Data<Answers>) -> Result<HttpResponse, ApiError> {
    answers.json(&deployment.figures())
}

/// Adds the routes.
pub fn routes(config: &mut actix_web::web::ServiceConfig) {
    config.service(create).service(read).service(replies).service(topology).service(figures);
}

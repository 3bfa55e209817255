//! The calls of the article's Node.js program, with its responses: `GET /api/v1/dispatcher/connect` and `/request`; and a call
//! to disconnect.

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError, get, post};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answers, caller};
use crate::runtime::http::{ApiError, ErrorAnswer};
use crate::web::history::{EventKind, History};
use crate::web::links::{ConnectFailure, LinkTable};
use crate::web::requests::{NewRequest, Requests};
use crate::wire::{ErrorCode, Reply};

/// Whether the web tier is connected to requesters.
#[derive(Serialize, ToSchema)]
struct Connection {
    connected: bool,
    /// A text that names the requester.
    msg: String,
}

/// No connection could be made.
#[derive(Serialize, ToSchema)]
struct NoConnection {
    /// False.
    connected: bool,
    msg: ConnectFailure,
}

/// Connects the web tier to the requesters, unless it is connected.
#[utoipa::path(
    get, path = "/api/v1/dispatcher/connect", operation_id = "connect",
    responses(
        (status = 200, description = "Connected", body = Connection, example = json!({"connected": true, "msg": "Socket connected to: 5678 on 127.0.0.1"})),
        (status = 500, description = "No requester could be reached", body = NoConnection),
    )
)]
#[get("/api/v1/dispatcher/connect")]
async fn connect(links: Data<LinkTable>) -> HttpResponse {
    match links.connect().await {
        Ok(address) => {
            let msg = format!("Socket connected to: {} on {}", address.port(), address.ip());
            HttpResponse::Ok().json(Connection { connected: true, msg })
        }
        Err(failure) => HttpResponse::InternalServerError().json(NoConnection { connected: false, msg: failure }),
    }
}

/// Closes the web tier's connections to the requesters.
#[utoipa::path(
    post, path = "/api/v1/dispatcher/disconnect", operation_id = "disconnect",
    responses((status = 200, description = "Not connected", body = Connection))
)]
#[post("/api/v1/dispatcher/disconnect")]
async fn disconnect(call: HttpRequest, links: Data<LinkTable>, history: Data<History>) -> HttpResponse {
    links.views().keys().for_each(|address| history.expect(address, EventKind::LinkLost, caller(&call)));
    links.disconnect();
    HttpResponse::Ok()
        .json(Connection { connected: false, msg: format!("Socket disconnected from {}", links.upstream) })
}

/// Sends a request to every requester worker and responds with the whole set of replies.
#[utoipa::path(
    get, path = "/api/v1/dispatcher/request", operation_id = "askAllWorkers",
    responses(
        (status = 200, description = "The replies, including errors, by the request's id", body = BTreeMap<String, Vec<Reply>>),
        (status = 500, description = "The socket is not connected: the text of the article's program", content(
            (String = "text/plain"), (ErrorAnswer = "application/json"),
        )),
        (status = 503, description = "Overloaded or shutting down; with Retry-After", body = ErrorAnswer),
    )
)]
#[get("/api/v1/dispatcher/request")]
async fn request(requests: Data<Requests>, answers: Data<Answers>) -> HttpResponse {
    let request_id = match requests.submit(NewRequest::default()) {
        Ok(request_id) => request_id,
        Err(problem) if problem.code == ErrorCode::NotConnected => {
            return HttpResponse::InternalServerError().content_type("text/plain").body(problem.message);
        }
        Err(problem) => return ApiError::from(problem).error_response(),
    };
    let Some(ended) = requests.wait(&request_id).await else {
        return ApiError::new(ErrorCode::Internal, "the request was removed before it ended").error_response();
    };
    match &ended.problem {
        Some(problem) if ended.view.replies.is_empty() => {
            ApiError { problem: problem.clone(), request_id: Some(request_id) }.error_response()
        }
        _ => {
            let replies: Vec<Reply> = ended.view.replies.iter().cloned().map(Reply::into_article_format).collect();
            answers.json(&BTreeMap::from([(request_id, replies)])).unwrap_or_else(|error| error.error_response())
        }
    }
}

/// Adds the routes.
pub fn routes(config: &mut actix_web::web::ServiceConfig) {
    config.service(connect).service(disconnect).service(request);
}

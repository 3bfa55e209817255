//! The calls of the article's Node.js program, with its answers: `GET /api/v1/dispatcher/connect` and `/request`; and
//! the one it lacks, to disconnect.

use std::collections::BTreeMap;

use actix_web::web::Data;
use actix_web::{HttpResponse, ResponseError, get, post};
use serde_json::json;

use super::{Answers, Links, NewRequest, Requests};
use crate::model::{ErrorCode, Problem, Reply};
use crate::transport::ApiError;

/// Connects the web tier to the requesters, or says that it is connected.
#[utoipa::path(
    get, path = "/api/v1/dispatcher/connect",
    responses(
        (status = 200, description = "`{\"connected\":true,\"msg\":\"Socket connected to: 5678 on 127.0.0.1\"}`"),
        (status = 500, description = "`{\"connected\":false,\"msg\":{errno, code, syscall, address, port}}`"),
    )
)]
#[get("/api/v1/dispatcher/connect")]
async fn connect(links: Data<Links>) -> HttpResponse {
    match links.connect().await {
        Ok(address) => {
            let msg = format!("Socket connected to: {} on {}", address.port(), address.ip());
            HttpResponse::Ok().json(json!({ "connected": true, "msg": msg }))
        }
        Err(failure) => {
            let mut msg = json!({
                "errno": failure.errno,
                "code": failure.code,
                "syscall": failure.syscall,
                "address": failure.address,
                "port": failure.port,
            });
            if let Some(message) = failure.message {
                msg["message"] = message.into();
            }
            HttpResponse::InternalServerError().json(json!({ "connected": false, "msg": msg }))
        }
    }
}

/// Closes the web tier's connections to the requesters.
#[utoipa::path(
    post, path = "/api/v1/dispatcher/disconnect",
    responses(
        (status = 200, description = "`{\"connected\":false,\"msg\":...}`"),
        (status = 403, body = Problem),
    )
)]
#[post("/api/v1/dispatcher/disconnect")]
async fn disconnect(links: Data<Links>) -> HttpResponse {
    links.disconnect();
    HttpResponse::Ok()
        .json(json!({ "connected": false, "msg": format!("Socket disconnected from {}", links.upstream) }))
}

/// Sends a request to every requester worker and answers with the whole set of replies.
#[utoipa::path(
    get, path = "/api/v1/dispatcher/request",
    responses(
        (status = 200, description = "`{\"<requestId>\":[reply, ...]}`, errors among the replies"),
        (status = 500, description = "Text: the socket is not connected"),
        (status = 503, description = "Overloaded or shutting down"),
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
        return ApiError::new(ErrorCode::Internal, "the request is gone before its end").error_response();
    };
    match &ended.problem {
        Some(problem) if ended.view.replies.is_empty() => {
            ApiError { problem: problem.clone(), request_id: Some(request_id) }.error_response()
        }
        _ => {
            let replies: Vec<Reply> = ended.view.replies.iter().cloned().map(Reply::plain).collect();
            answers.json(&BTreeMap::from([(request_id, replies)])).unwrap_or_else(|error| error.error_response())
        }
    }
}

/// Adds the routes.
pub fn routes(config: &mut actix_web::web::ServiceConfig) {
    config.service(connect).service(disconnect).service(request);
}

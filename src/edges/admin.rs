//! The admin server of a process: is it alive, would it do work, and its figures.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::web::Data;
use actix_web::{App, HttpResponse, HttpServer, get};
use serde_json::json;

use crate::actors::Board;
use crate::edges::metrics;
use crate::model::InstanceState;

/// The boards of the process's instances.
type Boards = Vec<Arc<Board>>;

/// Alive: the process answers. Nothing else is asked, or a swarm would never list a task whose peers come later.
#[get("/healthz")]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "alive" }))
}

/// Ready: every instance would do work now. With the reasons where not, and 503.
#[get("/readyz")]
async fn readyz(boards: Data<Boards>) -> HttpResponse {
    let states: Vec<_> = boards.iter().map(|board| (board, board.state())).collect();
    let ready = states.iter().all(|(_, (state, _))| *state == InstanceState::Ready);
    let instances: Vec<_> = states
        .into_iter()
        .map(|(board, (state, reason))| json!({ "id": board.instance.id, "state": state, "reason": reason }))
        .collect();
    let mut response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(json!({ "ready": ready, "instances": instances }))
}

/// Prometheus text.
#[get("/metrics")]
async fn figures(boards: Data<Boards>) -> HttpResponse {
    match metrics::text(boards.iter().map(|board| board.snapshot()).collect()) {
        Ok(text) => HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// The admin server on a bound listener; it runs until it is stopped by its handle.
pub fn serve(listener: TcpListener, boards: Boards) -> io::Result<Server> {
    let boards = Data::new(boards);
    let server =
        HttpServer::new(move || App::new().app_data(boards.clone()).service(healthz).service(readyz).service(figures));
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

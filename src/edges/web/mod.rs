//! The web tier: the API, the WebSocket, and the links to the requesters.

mod api;
mod article;
mod errors;
mod hub;
mod link;
mod links;
mod requests;
mod sampler;
mod ws;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::middleware::Compress;
use actix_web::web::{self, Data, JsonConfig, QueryConfig};
use actix_web::{App, HttpServer};

use errors::ApiError;
pub use hub::{Hub, run_hub};
pub use link::{LinkContext, run_links};
pub use links::Links;
use links::{ConnectFailure, LinkHandle, Sending};
pub use requests::Requests;
use requests::{CallEnd, NewRequest};
use sampler::Sampler;
use ws::Push;

/// What the HTTP server works with.
#[derive(Clone)]
pub struct WebContext {
    pub hub: Arc<Hub>,
    pub links: Arc<Links>,
    pub requests: Arc<Requests>,
    /// Longest body, in bytes.
    pub max_body_bytes: usize,
    pub threads: usize,
}

/// The HTTP server on a bound listener; it runs until it is stopped by its handle. `shutdown_s` is how many seconds
/// open connections get then.
pub fn serve(listener: TcpListener, context: WebContext, shutdown_s: u64) -> io::Result<Server> {
    let threads = context.threads;
    let server = HttpServer::new(move || {
        App::new()
            .wrap(Compress::default())
            .app_data(Data::from(context.hub.clone()))
            .app_data(Data::from(context.links.clone()))
            .app_data(Data::from(context.requests.clone()))
            .app_data(JsonConfig::default().limit(context.max_body_bytes).error_handler(ApiError::of_body))
            .app_data(QueryConfig::default().error_handler(ApiError::of_query))
            .configure(article::routes)
            .configure(api::routes)
            .route("/ws", web::get().to(ws::open))
            .default_service(web::to(ApiError::unknown_path))
    });
    Ok(server.workers(threads).disable_signals().shutdown_timeout(shutdown_s).listen(listener)?.run())
}

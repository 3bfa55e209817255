//! The HTTP server of the web tier: its routes and middleware.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix::Addr;
use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data, JsonConfig};
use actix_web::{App, HttpServer};

#[cfg(feature = "dashboard")]
use super::assets;
use super::{Answers, api, article, control, description, owned};
use crate::runtime::http::{ApiError, Guard, HttpLimits, answer, guard, headers};
use crate::runtime::supervision::Supervisor;
use crate::web::experiments::{Experiments, RunKey, api as experiments_api};
use crate::web::history::{History, api as history_api};
use crate::web::hub::{Deployment, open_session};
use crate::web::links::LinkTable;
use crate::web::load::{self, Load};
use crate::web::requests::Requests;

/// The parts of the web tier that the HTTP server uses.
#[derive(Clone)]
pub struct WebContext {
    pub deployment: Arc<Deployment>,
    pub links: Arc<LinkTable>,
    pub requests: Arc<Requests>,
    pub answers: Arc<Answers>,
    pub load: Arc<Load>,
    pub history: Arc<History>,
    /// Supervises the load generator.
    pub jobs: Addr<Supervisor>,
    pub experiments: Arc<Experiments>,
    pub run_key: RunKey,
    pub guard: Arc<Guard>,
    /// Maximum body size, in bytes.
    pub max_body_bytes: usize,
    pub limits: HttpLimits,
    pub threads: usize,
}

/// The page's routes, if the program was built with it.
fn page_routes(config: &mut web::ServiceConfig) {
    #[cfg(feature = "dashboard")]
    assets::routes(config);
    #[cfg(not(feature = "dashboard"))]
    config.route(
        "/",
        web::get().to(async || "swarmq was built without its dashboard; /api/v1/openapi.json describes the API\n"),
    );
}

/// Starts the HTTP server on a bound listener; it runs until its handle stops it. `shutdown_s`: seconds that open connections
/// get then.
pub fn serve_web(listener: TcpListener, context: WebContext, shutdown_s: u64) -> io::Result<Server> {
    let (threads, limits) = (context.threads, context.limits.clone());
    let connections = limits.connections.div_ceil(threads);
    let on_connect = limits.on_connect();
    let server =
        HttpServer::new(move || {
            let limits = limits.clone();
            App::new()
                .wrap(Compress::default())
                .wrap(from_fn(owned))
                .wrap(from_fn(guard))
                .wrap(from_fn(answer))
                // Outside of the guard, so that it also drains the body of a refused call.
                .wrap(from_fn(move |request, next| limits.clone().guard_body(request, next)))
                .wrap(headers("accept, accept-encoding"))
                .app_data(Data::from(context.deployment.clone()))
                .app_data(Data::from(context.links.clone()))
                .app_data(Data::from(context.requests.clone()))
                .app_data(Data::from(context.answers.clone()))
                .app_data(Data::from(context.load.clone()))
                .app_data(Data::from(context.history.clone()))
                .app_data(Data::new(context.run_key.clone()))
                .app_data(Data::new(context.jobs.clone()))
                .app_data(Data::from(context.experiments.clone()))
                .app_data(Data::from(context.guard.clone()))
                .app_data(JsonConfig::default().limit(context.max_body_bytes).error_handler(|error, _| {
                    ApiError::of_body(error, "send a smaller one, or raise web.max_body_bytes")
                }))
                .configure(article::routes)
                .configure(api::routes)
                .configure(description::routes)
                .configure(load::routes)
                .configure(control::routes)
                .configure(experiments_api::routes)
                .configure(history_api::routes)
                .configure(page_routes)
                .route("/ws", web::get().to(open_session))
        });
    let server = server.workers(threads).max_connections(connections).on_connect(on_connect).tcp_nodelay(true);
    Ok(server.disable_signals().shutdown_timeout(shutdown_s).listen(listener)?.run())
}

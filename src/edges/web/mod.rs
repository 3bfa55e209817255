//! The web tier: the API, the WebSocket, and the links to the requesters.

mod access;
mod answer;
mod api;
mod article;
#[cfg(feature = "dashboard")]
mod assets;
mod control;
mod dashboards;
mod description;
mod experiment_api;
mod experiment_child;
mod experiment_files;
mod experiment_program;
mod experiment_runs;
mod experiments;
mod hub;
mod instances;
mod link;
mod links;
mod load;
mod owners;
mod refused;
mod request_end;
mod request_entry;
mod requests;
mod sampler;
mod settings;
mod ws;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data, JsonConfig};
use actix_web::{App, HttpServer};

pub use access::routes as access;
pub use answer::Answers;
use api::check;
#[cfg(feature = "dashboard")]
use assets::paths as page_paths;
use dashboards::{Dashboards, Seat as DashboardSeat};
#[cfg(test)]
use description::DESCRIPTION;
use experiment_child::{Experiment, GRACE, LONGEST_LINE, Progress, tail};
use experiment_files::{FILES, Mark, PLAN, RESULTS, RunView, mark, read_run};
use experiment_program::CheckedPlan;
pub use experiment_program::Program;
#[cfg(test)]
use experiment_program::stand_in;
pub use experiment_runs::Runs;
pub use experiments::Experiments;
use experiments::{TARGETS, Wanted};
pub use hub::{Hub, run_hub};
use instances::Instances;
pub use link::{LinkContext, run_links};
pub use links::Links;
use links::{ConnectFailure, LinkHandle, Sending};
pub use load::Load;
use load::LoadView;
use owners::Owners;
use refused::{Refused, Said};
use request_end::{CallEnd, Ended, Kept, News};
use request_entry::{Entry, NewRequest, RequestProgress};
pub use requests::Requests;
use sampler::Sampler;
use settings::Oracle;
pub use settings::OwnSettings;
use ws::Push;

use crate::transport::{ApiError, Guard, HttpLimits, answer, guard, headers};

/// What the HTTP server works with.
#[derive(Clone)]
pub struct WebContext {
    pub hub: Arc<Hub>,
    pub links: Arc<Links>,
    pub requests: Arc<Requests>,
    pub answers: Arc<Answers>,
    pub load: Arc<Load>,
    pub experiments: Arc<Experiments>,
    pub guard: Arc<Guard>,
    /// Longest body, in bytes.
    pub max_body_bytes: usize,
    pub limits: HttpLimits,
    pub threads: usize,
}

/// The page, where the program was built with it.
fn page_routes(config: &mut web::ServiceConfig) {
    #[cfg(feature = "dashboard")]
    assets::routes(config);
    #[cfg(not(feature = "dashboard"))]
    config.route(
        "/",
        web::get().to(async || "swarmq was built without its dashboard; /api/v1/openapi.json tells of the API\n"),
    );
}

/// The HTTP server on a bound listener; it runs until it is stopped by its handle. `shutdown_s` is how many seconds
/// open connections get then.
pub fn serve(listener: TcpListener, context: WebContext, shutdown_s: u64) -> io::Result<Server> {
    let (threads, limits) = (context.threads, context.limits.clone());
    let connections = limits.connections.div_ceil(threads);
    let on_connect = limits.on_connect();
    let server = HttpServer::new(move || {
        let limits = limits.clone();
        App::new()
            .wrap(Compress::default())
            .wrap(from_fn(guard))
            .wrap(from_fn(answer))
            // Around these, for what is refused before its body is read.
            .wrap(from_fn(move |request, next| limits.clone().guard_body(request, next)))
            .wrap(headers("accept, accept-encoding"))
            .app_data(Data::from(context.hub.clone()))
            .app_data(Data::from(context.links.clone()))
            .app_data(Data::from(context.requests.clone()))
            .app_data(Data::from(context.answers.clone()))
            .app_data(Data::from(context.load.clone()))
            .app_data(Data::from(context.experiments.clone()))
            .app_data(Data::from(context.guard.clone()))
            .app_data(
                JsonConfig::default()
                    .limit(context.max_body_bytes)
                    .error_handler(|error, _| ApiError::of_body(error, "web.max_body_bytes allows more")),
            )
            .configure(article::routes)
            .configure(api::routes)
            .configure(description::routes)
            .configure(load::routes)
            .configure(control::routes)
            .configure(experiment_api::routes)
            .configure(page_routes)
            .route("/ws", web::get().to(ws::open))
    });
    let server = server.workers(threads).max_connections(connections).on_connect(on_connect).tcp_nodelay(true);
    Ok(server.disable_signals().shutdown_timeout(shutdown_s).listen(listener)?.run())
}

//! Load made by the web tier itself, open loop: requests leave at their time, whether earlier ones have ended or not.
//! It goes on when whoever asked for it has left, and there is one for all: a control, so it needs their permission.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web::{Data, Json, ServiceConfig};
use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::runtime::http::ApiError;
use crate::web::http::check;
use crate::web::requests::{NewRequest, Requests};
use crate::wire::{ErrorCode, whole_or_none};

/// Requests a second that may be asked for.
const RATES: std::ops::RangeInclusive<f64> = 0.1..=1_000.0;

/// Requests of one load that may be asked for.
const MOST: u64 = 1_000_000;

/// Requests that may be asked for all at once.
const MAX_BURST: u64 = 10_000;

/// What load to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLoad {
    /// Requests a second, 0.1 to 1000; none: all at once.
    #[serde(default)]
    #[schema(minimum = 0.1, maximum = 1000)]
    pub rate: Option<f64>,
    /// Requests in all, up to a million, or up to 10,000 without a rate; none: until it is stopped.
    #[serde(default, deserialize_with = "whole_or_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub count: Option<u64>,
    #[serde(default)]
    pub request: NewRequest,
}

/// How far a load is.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct LoadView {
    pub running: bool,
    pub rate: Option<f64>,
    pub count: Option<u64>,
    /// Requests sent.
    pub sent: u64,
    /// Requests that could not be taken on.
    pub refused: u64,
}

/// The one load that may run at a time.
#[derive(Default)]
pub struct Load {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    view: LoadView,
    running: Option<CancellationToken>,
}

impl State {
    fn stop(&mut self) {
        self.view.running = false;
        self.running.take().inspect(CancellationToken::cancel);
    }
}

impl Load {
    /// How far the load is that runs, or ran last.
    pub fn view(&self) -> LoadView {
        self.lock().view
    }

    /// Ends the load that runs, if one does.
    pub fn stop(&self) {
        self.lock().stop();
    }

    fn start(self: Arc<Self>, new: NewLoad, requests: Arc<Requests>) {
        let token = CancellationToken::new();
        {
            // Under one lock: of two that start at once, the later one stops the earlier.
            let mut state = self.lock();
            state.stop();
            state.running = Some(token.clone());
            state.view = LoadView { running: true, rate: new.rate, count: new.count, ..LoadView::default() };
        }
        actix_rt::spawn(async move {
            let begun = Instant::now();
            for number in 0..new.count.unwrap_or(u64::MAX) {
                // From the beginning, not from the last: a late request does not make all later ones late.
                let due = new.rate.map_or(begun, |rate| begun + Duration::from_secs_f64(number as f64 / rate));
                tokio::select! {
                    biased;
                    () = token.cancelled() => return,
                    () = sleep_until(due) => {}
                }
                let sent = requests.submit(new.request.clone());
                let mut state = self.lock();
                if token.is_cancelled() {
                    return;
                }
                match sent {
                    Ok(_) => state.view.sent += 1,
                    Err(_) => state.view.refused += 1,
                }
            }
            let mut state = self.lock();
            if !token.is_cancelled() {
                state.stop();
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a load; one that runs is replaced.
#[utoipa::path(
    post, path = "/api/v1/load", operation_id = "startLoad",
    request_body = NewLoad,
    responses((status = 200, description = "The load as it is now", body = LoadView))
)]
#[post("/api/v1/load")]
async fn start_load(new: Json<NewLoad>, load: Data<Load>, requests: Data<Requests>) -> Result<HttpResponse, ApiError> {
    let mut new = new.into_inner();
    let error = |code, message: String| Err(ApiError::new(code, message));
    let bad = |message| error(ErrorCode::BadRequest, message);
    let unprocessable = |message| error(ErrorCode::Unprocessable, message);
    match (new.rate, new.count) {
        (None, None) => return unprocessable("give `rate`, `count` or both".to_owned()),
        (Some(rate), _) if !RATES.contains(&rate) => {
            return bad(format!("`rate` is {rate}: give {} to {} requests a second", RATES.start(), RATES.end()));
        }
        (_, Some(count)) if !(1..=MOST).contains(&count) => {
            return bad(format!("`count` is {count}: give 1 to {MOST}"));
        }
        (None, Some(count)) if count > MAX_BURST => {
            return unprocessable(format!(
                "`count` is {count}: give up to {MAX_BURST} to send all at once, or a `rate`"
            ));
        }
        _ => {}
    }
    new.request = check(new.request)?;
    load.clone().into_inner().start(new, requests.into_inner());
    Ok(HttpResponse::Ok().json(load.view()))
}

/// How far the load is.
#[utoipa::path(
    get, path = "/api/v1/load", operation_id = "readLoad",
    responses((status = 200, description = "The load as it is now", body = LoadView))
)]
#[get("/api/v1/load")]
async fn read_load(load: Data<Load>) -> HttpResponse {
    HttpResponse::Ok().json(load.view())
}

/// Stops the load.
#[utoipa::path(
    delete, path = "/api/v1/load", operation_id = "stopLoad",
    responses((status = 200, description = "The load as it is now", body = LoadView))
)]
#[delete("/api/v1/load")]
async fn stop_load(load: Data<Load>) -> HttpResponse {
    load.stop();
    HttpResponse::Ok().json(load.view())
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service((start_load, read_load, stop_load));
}

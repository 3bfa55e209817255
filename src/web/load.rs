//! Load made by the web tier itself, open loop: requests leave at their time, whether earlier ones have ended or not.
//! It goes on when whoever asked for it has left, and there is one for all: a control, so it needs their permission.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_web::web::{Data, Json, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::runtime::http::ApiError;
use crate::runtime::supervision::{StartTemporary, Supervisor};
use crate::web::history::{By, EventKind, History, LoggedEvent};
use crate::web::http::{caller, check};
use crate::web::requests::{NewRequest, Requests};
use crate::wire::{ErrorCode, now_ms, whole_or_none};

/// Requests a second that may be asked for.
const RATES: std::ops::RangeInclusive<f64> = 0.1..=1_000.0;

/// Requests of one load that may be asked for.
const MAX_COUNT: u64 = 1_000_000;

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
    #[schema(required)]
    pub rate: Option<f64>,
    #[schema(required)]
    pub count: Option<u64>,
    /// Requests sent.
    pub sent: u64,
    /// Requests that the web tier refused.
    pub refused: u64,
}

/// The one load that may run at a time.
pub struct Load {
    state: Mutex<State>,
    history: Arc<History>,
}

#[derive(Default)]
struct State {
    view: LoadView,
    running: Option<CancellationToken>,
}

impl State {
    /// Ends the load that runs; the event of that, unless none runs.
    fn stop(&mut self, reason: &str, by: Option<By>) -> Option<LoggedEvent> {
        self.running.take()?.cancel();
        self.view.running = false;
        let LoadView { sent, refused, .. } = self.view;
        let after = match refused {
            0 => format!("{sent} requests sent"),
            _ => format!("{sent} requests sent, {refused} not accepted"),
        };
        let (after, reason) = (Some(after), Some(reason.to_owned()));
        Some(LoggedEvent { after, reason, by, ..LoggedEvent::new(EventKind::LoadEnded, now_ms()) })
    }
}

impl Load {
    /// None runs yet.
    pub fn new(history: Arc<History>) -> Self {
        Self { state: Mutex::default(), history }
    }

    /// How far the load is that runs, or ran last.
    pub fn view(&self) -> LoadView {
        self.state.lock().view
    }

    /// Ends the load that runs, if one does.
    pub fn stop(&self, reason: &str, by: Option<By>) {
        self.history.take(self.state.lock().stop(reason, by));
    }

    /// Takes the place of the load that runs; the token that the new one goes on with until it is cancelled. Under one lock:
    /// of several that begin at once, one goes on.
    fn begin(&self, rate: Option<f64>, count: Option<u64>, by: Option<By>) -> CancellationToken {
        let mut state = self.state.lock();
        let ended = state.stop("another load took its place", by.clone());
        let what = [rate.map(|rate| format!("{rate} requests/s")), count.map(|count| format!("{count} requests"))];
        let after = Some(what.into_iter().flatten().collect::<Vec<_>>().join(", "));
        let started = LoggedEvent { after, by, ..LoggedEvent::new(EventKind::LoadStarted, now_ms()) };
        self.history.take(ended.into_iter().chain([started]));
        let token = CancellationToken::new();
        state.running = Some(token.clone());
        state.view = LoadView { running: true, rate, count, ..LoadView::default() };
        token
    }

    /// Changes the figures of a load, unless another has taken its place or it was stopped; false then.
    fn change(&self, token: &CancellationToken, change: impl FnOnce(&mut State)) -> bool {
        let mut state = self.state.lock();
        let goes_on = !token.is_cancelled();
        if goes_on {
            change(&mut state);
        }
        goes_on
    }

    /// Starts a load as a job of `jobs`.
    fn start(self: Arc<Self>, new: NewLoad, by: By, requests: Arc<Requests>, jobs: &Addr<Supervisor>) {
        let place = Place { token: self.begin(new.rate, new.count, Some(by)), load: self };
        jobs.do_send(StartTemporary::job(move || place.make(new, requests)));
    }
}

/// A load's place, free again when it has ended, one way or another.
struct Place {
    token: CancellationToken,
    load: Arc<Load>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        let reason = if panicked { "a fault of the web tier ended it" } else { "it has made all of its requests" };
        self.load.change(&self.token, |state| self.load.history.take(state.stop(reason, None)));
    }
}

impl Place {
    async fn make(self, new: NewLoad, requests: Arc<Requests>) {
        let begun = Instant::now();
        for number in 0..new.count.unwrap_or(u64::MAX) {
            // From the beginning, not from the last: a late request does not make all later ones late.
            let due = new.rate.map_or(begun, |rate| begun + Duration::from_secs_f64(number as f64 / rate));
            tokio::select! {
                biased;
                () = self.token.cancelled() => return,
                () = sleep_until(due) => {}
            }
            let sent = requests.submit(new.request.clone());
            let goes_on = self.load.change(&self.token, |state| match sent {
                Ok(_) => state.view.sent += 1,
                Err(_) => state.view.refused += 1,
            });
            if !goes_on {
                return;
            }
        }
    }
}

/// Starts a load; one that runs is replaced.
#[utoipa::path(
    post, path = "/api/v1/load", operation_id = "startLoad",
    request_body = NewLoad,
    responses((status = 200, description = "The load as it is now", body = LoadView))
)]
#[post("/api/v1/load")]
async fn start_load(
    call: HttpRequest,
    new: Json<NewLoad>,
    load: Data<Load>,
    requests: Data<Requests>,
    jobs: Data<Addr<Supervisor>>,
) -> Result<HttpResponse, ApiError> {
    let mut new = new.into_inner();
    let error = |code, message: String| Err(ApiError::new(code, message));
    let bad = |message| error(ErrorCode::BadRequest, message);
    let unprocessable = |message| error(ErrorCode::Unprocessable, message);
    match (new.rate, new.count) {
        (None, None) => return unprocessable("give `rate`, `count` or both".to_owned()),
        (Some(rate), _) if !RATES.contains(&rate) => {
            return bad(format!("`rate` is {rate}: give {} to {} requests a second", RATES.start(), RATES.end()));
        }
        (_, Some(count)) if !(1..=MAX_COUNT).contains(&count) => {
            return bad(format!("`count` is {count}: give 1 to {MAX_COUNT}"));
        }
        (None, Some(count)) if count > MAX_BURST => {
            return unprocessable(format!(
                "`count` is {count}: give up to {MAX_BURST} to send all at once, or a `rate`"
            ));
        }
        _ => {}
    }
    new.request = check(new.request)?;
    load.clone().into_inner().start(new, caller(&call), requests.into_inner(), &jobs);
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
async fn stop_load(call: HttpRequest, load: Data<Load>) -> HttpResponse {
    load.stop("it was stopped", Some(caller(&call)));
    HttpResponse::Ok().json(load.view())
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service((start_load, read_load, stop_load));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::Feed;

    fn load() -> Load {
        Load::new(Arc::new(History::new(100, Arc::new(Feed::default()))))
    }

    fn stop(state: &mut State) {
        state.stop("", None);
    }

    #[test]
    fn of_several_loads_that_begin_at_once_one_goes_on_and_is_the_one_that_is_stopped() {
        let load = load();
        let tokens: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| load.begin(Some(1.0), None, None))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (ended, going): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| token.is_cancelled());
        assert_eq!((ended.len(), going.len()), (7, 1));
        assert!(!load.change(ended[0], stop) && load.view().running, "one that has ended stops no other");
        assert!(load.change(going[0], |state| state.view.sent += 1) && load.view().sent == 1);
        load.stop("it was stopped", None);
        assert!(going[0].is_cancelled() && !load.view().running && !load.change(going[0], stop));
    }

    #[test]
    fn a_load_that_ends_by_itself_stops_none_that_has_taken_its_place() {
        let load = load();
        let first = load.begin(None, Some(1), None);
        let second = load.begin(Some(5.0), None, None);
        assert!(!load.change(&first, stop));
        assert!(load.view().running && !second.is_cancelled());
        assert!(load.change(&second, stop));
        assert!(!load.view().running);
        let log = load.history.read(|log| log.page(None, 10, &[]));
        let told: Vec<_> = log.events.iter().map(|event| (event.kind, event.after.as_deref().unwrap())).collect();
        let ended = (EventKind::LoadEnded, "0 requests sent");
        let expected = [(EventKind::LoadStarted, "1 requests"), ended, (EventKind::LoadStarted, "5 requests/s")];
        assert_eq!(told, expected, "the end of the second was not told to the log here");
    }

    #[test]
    fn a_load_that_panics_runs_no_more_and_stops_no_other() {
        let load = Arc::new(load());
        let place = || Place { token: load.begin(Some(1.0), None, None), load: load.clone() };
        let before = place();
        let going = place();
        drop(before);
        assert!(load.view().running);
        let job = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _place = going;
            panic!("a fault");
        }));
        assert!(job.is_err() && !load.view().running);
        let log = load.history.read(|log| log.page(None, 10, &[EventKind::LoadEnded]));
        assert!(log.events[1].reason.as_ref().unwrap().contains("a fault"), "{log:?}");
    }
}

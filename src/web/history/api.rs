//! `GET /api/v1/events`: the event log, in pages.

use std::str::FromStr;

use actix_web::web::{Data, Query, ServiceConfig};
use actix_web::{HttpResponse, get};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as UnknownKind, StrDeserializer};
use utoipa::IntoParams;

use super::{EventKind, EventPage, History};
use crate::runtime::http::ApiError;
use crate::web::http::Answers;
use crate::wire::ErrorCode;

/// Events in a page that names no limit, and the most that one may have.
const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// The largest `seq` that every client can read, as JavaScript's numbers have 53 bits.
const MAX_SEQ: u64 = (1 << 53) - 1;

/// Read as text, so that an error names the field and what to give.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only events after the one with this `seq`: `last` of the page before; without it, from the oldest.
    #[param(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    after: Option<String>,
    /// Most events in the answer, up to 1,000; without it 200.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 1_000)]
    limit: Option<String>,
    /// Only events of these kinds, with commas between.
    #[param(value_type = Option<Vec<EventKind>>, style = Form, explode = false, min_items = 1)]
    kind: Option<String>,
}

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let name: StrDeserializer<'_, UnknownKind> = name.into_deserializer();
        Self::deserialize(name)
    }
}

/// A whole number in a range.
fn number(name: &str, text: &str, least: u64, most: u64) -> Result<u64, ApiError> {
    text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        ApiError::new(
            ErrorCode::BadRequest,
            format!("`{name}` is {text:?}: give a whole number from {least} to {most}"),
        )
    })
}

/// What has happened in the deployment within the last hour, oldest first, as this web tier saw it.
#[utoipa::path(
    get, path = "/api/v1/events", operation_id = "readEvents", params(Filter),
    responses((status = 200, description = "Some events, and how to get the next ones", body = EventPage))
)]
#[get("/api/v1/events")]
async fn events(
    filter: Query<Filter>,
    history: Data<History>,
    answers: Data<Answers>,
) -> Result<HttpResponse, ApiError> {
    let Filter { after, limit, kind } = filter.into_inner();
    let after = after.map(|text| number("after", &text, 0, MAX_SEQ)).transpose()?;
    let limit = limit.map(|text| number("limit", &text, 1, MAX_LIMIT as u64)).transpose()?;
    let kinds = kind.iter().flat_map(|text| text.split(',')).map(EventKind::from_str);
    let kinds = kinds.collect::<Result<Vec<_>, _>>().map_err(|error| {
        ApiError::new(ErrorCode::BadRequest, format!("`kind`: {error}; several have commas between them"))
    })?;
    let limit = limit.map_or(LIMIT, |limit| limit as usize);
    answers.json(&history.read(|log| log.page(after, limit, &kinds)))
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(events);
}

//! Reports and comparisons as pages that open without a server: the front end's bundle with the data in it.

use serde::Serialize;

use super::{Comparison, Environment, Plan, Results, Summary};

/// The page, with its script and styles, but for the data.
#[cfg(feature = "dashboard")]
const PAGE: Option<&str> = Some(include_str!(concat!(env!("OUT_DIR"), "/report.html")));
#[cfg(not(feature = "dashboard"))]
const PAGE: Option<&str> = None;

/// What the data stands in for.
const PLACE: &str = "{\"kind\":\"nothing\"}";

/// Whether this program can write pages: only with the feature `dashboard`.
pub const HAS_PAGES: bool = PAGE.is_some();

/// All that a report shows: the results without their histograms, which the summary has made use of.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report<'a> {
    pub plan: &'a Plan,
    pub environment: &'a Environment,
    /// Milliseconds since the epoch.
    pub started_at: u64,
    pub finished_at: Option<u64>,
    pub summary: &'a Summary,
}

impl<'a> Report<'a> {
    pub fn of(results: &'a Results, summary: &'a Summary) -> Self {
        Self {
            plan: &results.plan,
            environment: &results.environment,
            started_at: results.started_at,
            finished_at: results.finished_at,
            summary,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Data<'a> {
    Report(Report<'a>),
    Comparison(&'a Comparison),
}

/// The text of `report.html`. None without the feature `dashboard`.
pub fn report_page(results: &Results, summary: &Summary) -> Option<String> {
    page(&results.plan.name, &Data::Report(Report::of(results, summary)))
}

/// The text of `compare.html`. None without the feature `dashboard`.
pub fn compare_page(comparison: &Comparison) -> Option<String> {
    page("comparison", &Data::Comparison(comparison))
}

fn page(title: &str, data: &Data) -> Option<String> {
    // Nothing in it may end the script's element, or begin a comment.
    let json = serde_json::to_string(data).ok()?.replace('<', "\\u003c");
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    Some(PAGE?.replacen("<title>swarmq", &format!("<title>{title} – swarmq"), 1).replacen(PLACE, &json, 1))
}

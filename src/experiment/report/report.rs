//! Reports and comparisons as HTML pages that need no server: the front end's bundle with the data embedded.

use serde::Serialize;
use utoipa::ToSchema;

use crate::experiment::analysis::{Comparison, Summary};
use crate::experiment::plan::Plan;
use crate::experiment::run::{Environment, Results};

/// The page with its script and styles, without the data.
#[cfg(feature = "dashboard")]
const PAGE: Option<&str> = Some(include_str!(concat!(env!("OUT_DIR"), "/report.html")));
#[cfg(not(feature = "dashboard"))]
const PAGE: Option<&str> = None;

/// The text in the page that the data replaces.
const PLACE: &str = "{\"kind\":\"nothing\"}";

/// The data of a report: the results without their histograms, which are in the summary.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report<'a> {
    pub plan: &'a Plan,
    pub environment: &'a Environment,
    /// Milliseconds since the epoch.
    pub started_at: u64,
    #[schema(required)]
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

/// The data embedded in a page of results.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PageData<'a> {
    Report(Report<'a>),
    Comparison(&'a Comparison),
}

/// The text of `report.html`. None without the feature `dashboard`.
pub fn report_page(results: &Results, summary: &Summary) -> Option<String> {
    page(&results.plan.name, &PageData::Report(Report::of(results, summary)))
}

/// The text of `compare.html`. None without the feature `dashboard`.
pub fn compare_page(comparison: &Comparison) -> Option<String> {
    page("comparison", &PageData::Comparison(comparison))
}

fn page(title: &str, data: &PageData) -> Option<String> {
    // Escaped, so that the data can't end the script element or begin a comment.
    let json = serde_json::to_string(data).ok()?.replace('<', "\\u003c");
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    // Replace the data first: the title may contain `PLACE`.
    Some(PAGE?.replacen(PLACE, &json, 1).replacen("<title>swarmq", &format!("<title>{title} – swarmq"), 1))
}

#[cfg(all(test, feature = "dashboard"))]
mod tests {
    use super::*;
    use crate::experiment::analysis::{Strictness, compare};
    use crate::experiment::expected::Expectations;
    use crate::experiment::{good_trial, results_of};

    /// The data in a page's script element.
    fn data(page: &str) -> serde_json::Value {
        let start = "<script type=\"application/json\" id=\"data\">";
        let (_, rest) = page.split_once(start).expect("an element for the data");
        serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
    }

    #[test]
    fn the_page_has_the_data_and_none_of_it_is_markup() {
        let mut results =
            results_of("duration = \"1s\"\nrepetitions = 2", |cell, again| good_trial(cell, again, 10.0, 100));
        let name = format!("{PLACE}</script><b>&");
        results.plan.name = name.clone();
        let summary = Summary::of(&results, &Expectations::of(&results.plan));
        let page = report_page(&results, &summary).unwrap();
        let data = data(&page);
        assert_eq!((&data["kind"], &data["plan"]["name"]), (&"report".into(), &name.into()));
        assert_eq!(data["summary"]["cells"][0]["figures"]["requestsPerS"]["values"], serde_json::json!([10.0, 10.0]));
        let title = format!("<title>{PLACE}&lt;/script>&lt;b>&amp; – swarmq</title>");
        assert!(page.contains(&title), "{}", &page[..900]);
        assert!(!data.to_string().contains("histogram"));
        // The page fetches nothing: its only addresses are those of namespaces and licences.
        assert!(!page.contains("src=\"") && !page.contains("<link rel=\"stylesheet\""));
    }

    #[test]
    fn a_comparison_has_a_page_too() {
        let run = || results_of("duration = \"1s\"\nrepetitions = 2", |cell, again| good_trial(cell, again, 10.0, 100));
        let data = data(&compare_page(&compare(&run(), &run(), &[], &[], Strictness::Estimate).unwrap()).unwrap());
        assert_eq!((&data["kind"], data["cells"].as_array().unwrap().len()), (&"comparison".into(), 1));
    }
}

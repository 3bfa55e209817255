//! The HTTP calls of experiments. Reading needs no permission; checking a plan, which takes a thread for a while, and
//! starting, stopping and deleting need that of controls.

use std::sync::Arc;

use actix_web::http::header::{self, ContentDisposition, DispositionParam, DispositionType};
use actix_web::web::{self, Data, Json, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Experiments, PlanProblem, RunView, SubmittedPlan};
use crate::experiment::analysis::Comparison;
use crate::experiment::plan::{Plan, PlanFlags, READY_MADE, Target, load_plan};
use crate::runtime::http::{ApiError, ErrorAnswer};
use crate::web::history::{EXPERIMENT, EventKind, History};
use crate::web::http::caller;
use crate::wire::{ErrorCode, ExperimentView};

/// A report is a page of its own: it runs its scripts, but has nothing of this page's.
const REPORT_POLICY: &str = "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; \
                             script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:";

type Answer = Result<HttpResponse, ApiError>;

/// A plan to check.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlanText {
    /// TOML, as in docs/experiments.md.
    plan: String,
    /// Name of a plan whose text has none.
    #[serde(default)]
    #[schema(max_length = 100, pattern = r"^[^-\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")]
    name: Option<String>,
    /// `running` (the default): this deployment; `in-process` or `processes`: a deployment that is started for each trial.
    #[serde(default)]
    #[schema(pattern = "^(running|in-process|processes|swarm)$")]
    target: Option<String>,
}

/// The experiment to start: a plan, or a run to resume.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewRun {
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    #[schema(max_length = 100, pattern = r"^[^-\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$")]
    name: Option<String>,
    #[serde(default)]
    #[schema(pattern = "^(running|in-process|processes|swarm)$")]
    target: Option<String>,
    /// A run to resume, instead of a plan.
    #[serde(default)]
    resume: Option<String>,
}

/// The plans and targets of this web tier.
#[derive(Serialize, ToSchema)]
struct Overview {
    /// Ready-made plans.
    plans: Vec<ReadyMade>,
    targets: Vec<TargetView>,
    /// Folder in which runs are kept.
    dir: String,
    /// Why no run can be written to the folder.
    #[schema(required)]
    unwritable: Option<String>,
}

/// A ready-made plan.
#[derive(Serialize, ToSchema)]
struct ReadyMade {
    name: &'static str,
    description: String,
    /// TOML.
    text: &'static str,
}

/// A target of plans.
#[derive(Serialize, ToSchema)]
struct TargetView {
    name: &'static str,
    /// Why this web tier cannot use it.
    #[schema(required)]
    refused: Option<String>,
}

/// The result of checking a plan.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Verdict {
    Possible {
        #[schema(value_type = Plan)]
        plan: Box<Plan>,
        trials: usize,
        /// Estimated maximum time of all trials, in milliseconds.
        #[serde(rename = "timeMs")]
        time_ms: u64,
    },
    Impossible {
        problem: PlanProblem,
    },
}

/// Most characters of a plan's name.
const MAX_NAME: usize = 100;

fn submitted(plan: String, name: Option<String>, target: Option<String>) -> Result<SubmittedPlan, ApiError> {
    let bad = |message: String| Err(ApiError::new(ErrorCode::BadRequest, message));
    let name = name.unwrap_or_else(|| "plan".to_owned());
    let begins_well = name.starts_with(|first: char| first != '-' && !first.is_whitespace());
    if !begins_well || name.chars().count() > MAX_NAME || name.contains(char::is_control) {
        return bad(format!(
            "`name`: give 1 to {MAX_NAME} characters, none of them a control character, that begin with neither a dash nor \
             white space"
        ));
    }
    let target = target.map_or(Ok(Target::Running), |target| target.parse());
    match target {
        Ok(target) => Ok(SubmittedPlan { plan, name, target }),
        Err(problem) => bad(format!("`target`: {problem}")),
    }
}

/// The ready-made plans, the targets that this web tier can use, and the folder of runs.
#[utoipa::path(
    get, path = "/api/v1/experiments", operation_id = "readExperiments",
    responses((status = 200, description = "The plans and targets", body = Overview))
)]
#[get("/api/v1/experiments")]
async fn overview(experiments: Data<Experiments>) -> Answer {
    let view = |target: Target| TargetView { name: target.name(), refused: experiments.refused(target) };
    let targets = Target::ALL.map(view).into();
    let plans = READY_MADE.into_iter().map(|(name, text)| {
        let description = load_plan(name, &PlanFlags::default()).map(|plan| plan.description);
        description.map(|description| ReadyMade { name, description, text })
    });
    let plans =
        plans.collect::<Result<_, _>>().map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
    let (dir, unwritable) = (experiments.runs.dir().display().to_string(), experiments.runs.unwritable());
    Ok(HttpResponse::Ok().json(Overview { plans, targets, dir, unwritable }))
}

/// Checks a plan without starting anything: returns its trials and their time, or what is wrong with it.
#[utoipa::path(
    post, path = "/api/v1/experiments/check", operation_id = "checkPlan",
    request_body = PlanText,
    responses(
        (status = 200, description = "The trials and their time, or why the plan is invalid", body = Verdict),
    )
)]
#[post("/api/v1/experiments/check")]
async fn check(body: Json<PlanText>, experiments: Data<Experiments>) -> Answer {
    let PlanText { plan, name, target } = body.into_inner();
    let verdict = match experiments.check(&submitted(plan, name, target)?).await? {
        Ok(plan) => {
            let (trials, time_ms) = (plan.trial_count(), plan.time().as_millis() as u64);
            Verdict::Possible { plan: Box::new(plan), trials, time_ms }
        }
        Err(problem) => Verdict::Impossible { problem },
    };
    Ok(HttpResponse::Ok().json(verdict))
}

/// The experiment that is running, or ran last.
#[utoipa::path(
    get, path = "/api/v1/experiments/running", operation_id = "readExperiment",
    responses((status = 200, description = "Its current state", body = ExperimentView), (status = 404, description = "None was started by this web tier", body = ErrorAnswer))
)]
#[get("/api/v1/experiments/running")]
async fn running(experiments: Data<Experiments>) -> Answer {
    let none = || ApiError::new(ErrorCode::NotFound, "no experiment was started here");
    Ok(HttpResponse::Ok().json(experiments.view().ok_or_else(none)?))
}

/// Stops the running experiment; it writes the results that it has.
#[utoipa::path(
    delete, path = "/api/v1/experiments/running", operation_id = "stopExperiment",
    responses((status = 200, description = "Stopping", body = ExperimentView), (status = 404, description = "None is running", body = ErrorAnswer))
)]
#[delete("/api/v1/experiments/running")]
async fn stop(call: HttpRequest, experiments: Data<Experiments>, history: Data<History>) -> Answer {
    let view = experiments.stop()?;
    // The experiment's process ends later.
    history.expect(EXPERIMENT, EventKind::ExperimentEnded, caller(&call));
    Ok(HttpResponse::Ok().json(view))
}

/// Starts an experiment, or resumes a run.
#[utoipa::path(
    post, path = "/api/v1/experiments/runs", operation_id = "startExperiment",
    request_body = NewRun,
    responses(
        (status = 202, description = "Started", body = ExperimentView),
        (status = 404, description = "There is no such run to resume", body = ErrorAnswer),
        (status = 422, description = "The plan is invalid, or this web tier cannot use its target", body = ErrorAnswer),
        (status = 409, description = "Another experiment is running; the message names it", body = ErrorAnswer),
        (status = 500, description = "The folder cannot be written; the message says what to change", body = ErrorAnswer),
    )
)]
#[post("/api/v1/experiments/runs")]
async fn start(
    call: HttpRequest,
    body: Json<NewRun>,
    experiments: Data<Experiments>,
    history: Data<History>,
) -> Answer {
    let experiments = experiments.into_inner();
    history.expect(EXPERIMENT, EventKind::ExperimentStarted, caller(&call));
    let view = match body.into_inner() {
        NewRun { resume: Some(id), plan: None, name: None, target: None } => experiments.resume(&id).await?,
        NewRun { resume: None, plan: Some(plan), name, target } => {
            experiments.start(&submitted(plan, name, target)?).await?
        }
        _ => {
            return Err(ApiError::new(
                ErrorCode::Unprocessable,
                "give either `plan`, with `name` and `target`, or `resume`",
            ));
        }
    };
    Ok(HttpResponse::Accepted().json(view))
}

/// The runs in the folder, newest first.
#[utoipa::path(
    get, path = "/api/v1/experiments/runs", operation_id = "listRuns",
    responses((status = 200, description = "Without their trials", body = [RunView]))
)]
#[get("/api/v1/experiments/runs")]
async fn list(experiments: Data<Experiments>) -> Answer {
    Ok(HttpResponse::Ok().json(off_thread(&experiments, |experiments| Ok(experiments.runs.list())).await?))
}

/// One run.
#[utoipa::path(
    get, path = "/api/v1/experiments/runs/{id}", operation_id = "readRun",
    params(("id" = String, Path)),
    responses((status = 200, description = "With its trials", body = RunView))
)]
#[get("/api/v1/experiments/runs/{id}")]
async fn read(id: Path<String>, experiments: Data<Experiments>) -> Answer {
    Ok(HttpResponse::Ok().json(off_thread(&experiments, move |experiments| experiments.runs.view(&id)).await?))
}

/// Deletes a run with all its files.
#[utoipa::path(
    delete, path = "/api/v1/experiments/runs/{id}", operation_id = "deleteRun",
    params(("id" = String, Path)),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "The run is active", body = ErrorAnswer),
    )
)]
#[delete("/api/v1/experiments/runs/{id}")]
async fn remove(id: Path<String>, experiments: Data<Experiments>) -> Answer {
    off_thread(&experiments, move |experiments| experiments.delete(&id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Pair {
    before: String,
    after: String,
}

/// Compares two runs.
#[utoipa::path(
    get, path = "/api/v1/experiments/comparison", operation_id = "compareRuns",
    params(Pair),
    responses(
        (status = 200, description = "As `swarmq experiment compare --json` prints it", body = Comparison),
        (status = 404, description = "One of the runs does not exist", body = ErrorAnswer),
        (status = 422, description = "The runs cannot be compared", body = ErrorAnswer),
    )
)]
#[get("/api/v1/experiments/comparison")]
async fn compare(pair: Query<Pair>, experiments: Data<Experiments>) -> Answer {
    let comparison = experiments.compare(&pair.before, &pair.after).await?;
    Ok(HttpResponse::Ok().json(comparison))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Download {
    /// True: the browser saves the file instead of showing it.
    #[serde(default)]
    download: bool,
}

/// A file of a run: `results.json`, `report.json`, `results.csv`, `report.html` or `plan.toml`.
#[utoipa::path(
    get, path = "/api/v1/experiments/runs/{id}/files/{name}", operation_id = "readFile",
    params(("id" = String, Path), ("name" = String, Path), Download),
    responses((status = 200, description = "The file", content(
        (Object = "application/json"), (String = "text/csv"), (String = "text/html"), (String = "application/toml"),
    )))
)]
#[get("/api/v1/experiments/runs/{id}/files/{name}")]
async fn file(path: Path<(String, String)>, query: Query<Download>, experiments: Data<Experiments>) -> Answer {
    let (id, name) = path.into_inner();
    let saved_as = format!("{id}-{name}");
    let (bytes, content_type) = off_thread(&experiments, move |experiments| experiments.runs.file(&id, &name)).await?;
    let disposition = match query.download {
        true => DispositionType::Attachment,
        false => DispositionType::Inline,
    };
    let disposition = ContentDisposition { disposition, parameters: vec![DispositionParam::Filename(saved_as)] };
    let mut response = HttpResponse::Ok();
    response.content_type(content_type).insert_header(disposition).insert_header((header::CACHE_CONTROL, "no-cache"));
    Ok(response.insert_header((header::CONTENT_SECURITY_POLICY, REPORT_POLICY)).body(bytes))
}

/// Reads or changes files where that does not hold up other calls.
async fn off_thread<T: Send + 'static>(
    experiments: &Data<Experiments>,
    act: impl FnOnce(Arc<Experiments>) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let experiments = experiments.clone().into_inner();
    let done = web::block(move || act(experiments)).await;
    done.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?
}

/// Adds the routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service((overview, check, running, stop, start, list, compare, file, read, remove));
}

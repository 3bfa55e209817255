//! What takes long and is not a run: plans are checked, and runs compared.

use actix_web::web::block;
use serde::Serialize;
use utoipa::ToSchema;

use super::Experiments;
use crate::experiment::analysis::{Comparison, Strictness, compare};
use crate::experiment::plan::{Plan, PlanFlags, Target, read_plan};
use crate::experiment::run::read_results;
use crate::experiment::target::check;
use crate::runtime::http::ApiError;
use crate::wire::ErrorCode;

/// Plans that are checked, and runs that are compared, at one time: each takes a thread for a while.
pub const CHECKS: usize = 2;

/// A plan, what to call it, and what to run it against.
#[derive(Clone)]
pub struct SubmittedPlan {
    pub plan: String,
    pub name: String,
    pub target: Target,
}

/// Why a plan is invalid.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanProblem {
    /// Line of the plan's text, from 1; none if the error has no single line.
    #[schema(required)]
    pub line: Option<usize>,
    pub message: String,
}

impl From<PlanProblem> for ApiError {
    fn from(problem: PlanProblem) -> Self {
        Self::new(ErrorCode::Unprocessable, problem.message)
    }
}

impl SubmittedPlan {
    /// The plan, with the address of the deployment where it is for one that runs.
    fn read(&self, url: &str) -> Result<Plan, PlanProblem> {
        let url = (self.target == Target::Running).then(|| url.to_owned());
        let flags = PlanFlags { name: Some(self.name.clone()), target: Some(self.target), url, ..PlanFlags::default() };
        let plan = read_plan("plan", "the plan", &self.plan, &flags)
            .map_err(|error| PlanProblem { line: error.line(), message: error.to_string() })?;
        match check(&plan) {
            Ok(()) => Ok(plan),
            Err(error) => Err(PlanProblem { line: None, message: format!("{error:#}") }),
        }
    }
}

impl Experiments {
    /// Why a target can't be used from the page; none where it can.
    pub fn refused(&self, target: Target) -> Option<String> {
        match target {
            Target::Running => None,
            Target::Swarm => Some(
                "the web tier has no access to Docker's API, and so can't scale a stack: run `swarmq experiment` on a \
                 manager of the swarm"
                    .to_owned(),
            ),
            Target::InProcess | Target::Processes => {
                let nodes = self.deployment.nodes();
                (nodes.len() > 1).then(|| {
                    format!(
                        "this deployment is on {} nodes, and a trial here would say nothing of it: it would have a share \
                         of the web tier's node alone",
                        nodes.len()
                    )
                })
            }
        }
    }

    /// A plan, read and checked; or what is wrong with it, or why its target can't be used from here.
    ///
    /// # Errors
    /// `Internal` when the thread that does it ends early.
    pub async fn check(&self, submitted: &SubmittedPlan) -> Result<Result<Plan, PlanProblem>, ApiError> {
        if let Some(why) = self.refused(submitted.target) {
            let message = format!("the target `{}`: {why}", submitted.target);
            return Ok(Err(PlanProblem { line: None, message }));
        }
        let (submitted, url) = (submitted.clone(), self.program.url.clone());
        self.off_thread(move || submitted.read(&url)).await
    }

    /// Compares two runs.
    ///
    /// # Errors
    /// `NotFound` for a run that is not there, `Unprocessable` for results that can't be compared.
    pub async fn compare(&self, before: &str, after: &str) -> Result<Comparison, ApiError> {
        let (before, after) = (self.runs.folder(before)?, self.runs.folder(after)?);
        let compared = self.off_thread(move || -> anyhow::Result<_> {
            Ok(compare(&read_results(&before)?, &read_results(&after)?, &[], &[], Strictness::Estimate)?)
        });
        let refuse = |error| ApiError::new(ErrorCode::Unprocessable, format!("the runs can't be compared: {error:#}"));
        compared.await?.map_err(refuse)
    }

    /// Does what takes long, a few at one time.
    pub(super) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _place = self.checks.acquire().await;
        block(work).await.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
    }
}

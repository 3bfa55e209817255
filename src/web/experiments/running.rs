//! Experiments that are started on the page: one at a time, in a process of its own, told to the dashboards as it goes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::Addr;
use actix_web::web::block;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{Following, Program, RunView, Runs};
use crate::experiment::analysis::{Comparison, Strictness, compare};
use crate::experiment::plan::{Plan, PlanFlags, Target, read_plan};
use crate::experiment::run::read_results;
use crate::experiment::target::check;
use crate::runtime::http::ApiError;
use crate::runtime::supervision::{StartTemporary, Supervisor};
use crate::web::hub::Deployment;
use crate::wire::{ErrorCode, ExperimentState, ExperimentView, now_ms};

/// Plans that are checked, and runs that are compared, at one time: each takes a thread for a while.
const CHECKS: usize = 2;

/// The experiments of a web tier.
pub struct Experiments {
    pub runs: Runs,
    program: Program,
    deployment: Arc<Deployment>,
    /// Supervises what follows the one that runs.
    jobs: Addr<Supervisor>,
    checks: Semaphore,
    running: Mutex<Running>,
    /// Whether one runs.
    busy: watch::Sender<bool>,
}

#[derive(Default)]
struct Running {
    /// The one that runs, or ran last.
    view: Option<ExperimentView>,
    stop: CancellationToken,
    draining: bool,
}

/// A plan, what to call it, and what to run it against.
#[derive(Clone)]
pub struct Wanted {
    pub plan: String,
    pub name: String,
    pub target: Target,
}

/// Why a plan can't be carried out.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanProblem {
    /// Of the plan's text, from 1; none where it is not one line's.
    #[schema(required)]
    pub line: Option<usize>,
    pub message: String,
}

impl From<PlanProblem> for ApiError {
    fn from(problem: PlanProblem) -> Self {
        Self::new(ErrorCode::Unprocessable, problem.message)
    }
}

impl Wanted {
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
    pub fn new(runs: Runs, program: Program, deployment: Arc<Deployment>, jobs: Addr<Supervisor>) -> Self {
        Self {
            runs,
            program,
            deployment,
            jobs,
            checks: Semaphore::new(CHECKS),
            running: Mutex::default(),
            busy: watch::Sender::new(false),
        }
    }

    /// The experiment that runs, or ran last.
    pub fn view(&self) -> Option<ExperimentView> {
        self.lock().view.clone()
    }

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
    pub async fn check(&self, wanted: &Wanted) -> Result<Result<Plan, PlanProblem>, ApiError> {
        if let Some(why) = self.refused(wanted.target) {
            let message = format!("the target `{}`: {why}", wanted.target);
            return Ok(Err(PlanProblem { line: None, message }));
        }
        let (wanted, url) = (wanted.clone(), self.program.url.clone());
        self.off_thread(move || wanted.read(&url)).await
    }

    /// Two runs side by side.
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
    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let _place = self.checks.acquire().await;
        block(work).await.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
    }

    /// Starts the experiment of a plan.
    ///
    /// # Errors
    /// `Unprocessable` for a plan that can't be carried out, `Conflict` while another runs, `Internal` when its folder can't be
    /// written or its process can't be started.
    pub async fn start(self: &Arc<Self>, wanted: &Wanted) -> Result<ExperimentView, ApiError> {
        self.is_free()?;
        let plan = self.check(wanted).await??;
        let (trials, time_ms) = (plan.trial_count(), plan.time().as_millis() as u64);
        let mut running = self.free()?;
        let id = self.runs.create(&plan.name, &wanted.plan)?;
        let view = ExperimentView {
            id,
            plan: plan.name,
            target: wanted.target.name().to_owned(),
            state: ExperimentState::Starting,
            reason: None,
            started_at: now_ms(),
            ended_at: None,
            trials,
            ended: 0,
            ended_before: 0,
            problems: 0,
            time_ms,
            trial: None,
        };
        self.launch(&mut running, view, wanted.target, Some((&wanted.name, &wanted.plan)))
    }

    /// Goes on with a run that has trials left.
    ///
    /// # Errors
    /// As for a new one; `NotFound` for a run that is not there, `Conflict` for one that is complete.
    pub async fn resume(self: &Arc<Self>, id: &str) -> Result<ExperimentView, ApiError> {
        let (experiments, run) = (self.clone(), id.to_owned());
        let view = self.off_thread(move || experiments.runs.view(&run)).await??;
        let RunView { plan, target, finished_at, trials, ended, problems, .. } = view;
        let refuse = |why: &str| Err(ApiError::new(ErrorCode::Conflict, format!("the run {id} {why}")));
        let target = match target.parse::<Target>() {
            Ok(target) if trials > 0 => target,
            _ => return refuse("has no trial that ended: start its plan again"),
        };
        match (finished_at, self.refused(target)) {
            (Some(_), _) => return refuse("is complete: start its plan again"),
            (None, Some(why)) => return refuse(&format!("can't be gone on with here: {why}")),
            (None, None) => {}
        }
        let view = ExperimentView {
            id: id.to_owned(),
            plan,
            target: target.name().to_owned(),
            state: ExperimentState::Starting,
            reason: None,
            started_at: now_ms(),
            ended_at: None,
            trials,
            // Those that had a problem are tried again.
            ended: ended - problems,
            ended_before: ended - problems,
            problems: 0,
            time_ms: 0,
            trial: None,
        };
        self.launch(&mut *self.free()?, view, target, None)
    }

    /// Asks the experiment that runs to write what it has and end; its view.
    ///
    /// # Errors
    /// `NotFound` when none runs.
    pub fn stop(&self) -> Result<ExperimentView, ApiError> {
        if !*self.busy.borrow() {
            return Err(ApiError::new(ErrorCode::NotFound, "no experiment runs"));
        }
        self.lock().stop.cancel();
        let view = self.change(|view| view.state = ExperimentState::Stopping);
        view.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no experiment runs"))
    }

    /// Deletes a run.
    ///
    /// # Errors
    /// `Conflict` for the one that runs.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        let running = self.lock();
        if *self.busy.borrow() && running.view.as_ref().is_some_and(|view| view.id == id) {
            return Err(ApiError::new(ErrorCode::Conflict, format!("the run {id} is under way: stop it first")));
        }
        self.runs.delete(id)
    }

    /// Starts no more, asks the one that runs to end, and waits until it has.
    pub async fn drain(&self) {
        {
            let mut running = self.lock();
            running.draining = true;
            running.stop.cancel();
        }
        let mut busy = self.busy.subscribe();
        // An error can't be: the sender is this struct's own.
        let _ = busy.wait_for(|busy| !busy).await;
    }

    fn is_free(&self) -> Result<(), ApiError> {
        self.free().map(drop)
    }

    /// The place of the one that may run, when it is free.
    fn free(&self) -> Result<MutexGuard<'_, Running>, ApiError> {
        let running = self.lock();
        if running.draining {
            return Err(ApiError::new(ErrorCode::Draining, "the instance is shutting down"));
        }
        if *self.busy.borrow() {
            let what = running.view.as_ref().map_or_else(String::new, |view| {
                format!(": {} of the plan {}, {} of {} trials", view.id, view.plan, view.ended, view.trials)
            });
            return Err(ApiError::new(
                ErrorCode::Conflict,
                format!("an experiment runs{what}; stop it first, or wait"),
            ));
        }
        Ok(running)
    }

    fn launch(
        self: &Arc<Self>,
        running: &mut Running,
        view: ExperimentView,
        target: Target,
        plan: Option<(&str, &str)>,
    ) -> Result<ExperimentView, ApiError> {
        let started = self.runs.folder(&view.id).and_then(|folder| {
            let started = self.program.start(&folder, target, plan);
            started
                .map_err(|error| ApiError::new(ErrorCode::Internal, format!("its process can't be started: {error}")))
        });
        let experiment = started?;
        running.view = Some(view.clone());
        running.stop = CancellationToken::new();
        self.busy.send_replace(true);
        self.tell(&view);
        let (following, stop) = (Following::new(self.clone()), running.stop.clone());
        self.jobs.do_send(StartTemporary::job(move || following.follow(experiment, stop)));
        Ok(view)
    }

    /// Changes the view and tells it to the dashboards.
    pub(super) fn change(&self, change: impl FnOnce(&mut ExperimentView)) -> Option<ExperimentView> {
        let mut running = self.lock();
        let view = running.view.as_mut()?;
        change(view);
        let view = view.clone();
        self.tell(&view);
        Some(view)
    }

    /// The one that ran has ended.
    pub(super) fn free_again(&self) {
        self.busy.send_replace(false);
    }

    fn tell(&self, view: &ExperimentView) {
        self.deployment.show_experiment(view.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Experiments that are started on the page: one at a time, in a process of its own, told to the dashboards as it goes.

use std::sync::Arc;

use actix::Addr;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{CHECKS, Following, Program, RunView, Runs, SubmittedPlan};
use crate::experiment::plan::Target;
use crate::runtime::http::ApiError;
use crate::runtime::supervision::{StartTemporary, Supervisor};
use crate::web::hub::Deployment;
use crate::wire::{ErrorCode, ExperimentState, ExperimentView, now_ms};

/// The experiments of a web tier.
pub struct Experiments {
    pub runs: Runs,
    pub(super) program: Program,
    pub(super) deployment: Arc<Deployment>,
    /// Supervises what follows the one that runs.
    jobs: Addr<Supervisor>,
    pub(super) checks: Semaphore,
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

    /// The experiment that is running, or ran last.
    pub fn view(&self) -> Option<ExperimentView> {
        self.running.lock().view.clone()
    }

    /// Starts the experiment of a plan.
    ///
    /// # Errors
    /// `Unprocessable` for a plan that can't be carried out, `Conflict` while another runs, `Internal` when its folder can't be
    /// written or its process can't be started.
    pub async fn start(self: &Arc<Self>, submitted: &SubmittedPlan) -> Result<ExperimentView, ApiError> {
        self.is_free()?;
        let plan = self.check(submitted).await??;
        let (trials, time_ms) = (plan.trial_count(), plan.time().as_millis() as u64);
        let running = self.free()?;
        let id = self.runs.create(&plan.name, &submitted.plan)?;
        let view = ExperimentView {
            id,
            plan: plan.name,
            target: submitted.target.name().to_owned(),
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
        self.launch(running, view, submitted.target, Some((&submitted.name, &submitted.plan)))
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
        self.launch(self.free()?, view, target, None)
    }

    /// Asks the experiment that runs to write what it has and end; its view.
    ///
    /// # Errors
    /// `NotFound` when none runs.
    pub fn stop(&self) -> Result<ExperimentView, ApiError> {
        if !*self.busy.borrow() {
            return Err(ApiError::new(ErrorCode::NotFound, "no experiment runs"));
        }
        self.running.lock().stop.cancel();
        let view = self.change(|view| view.state = ExperimentState::Stopping);
        view.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no experiment runs"))
    }

    /// Deletes a run.
    ///
    /// # Errors
    /// `Conflict` for the one that runs.
    pub fn delete(&self, id: &str) -> Result<(), ApiError> {
        let running = self.running.lock();
        if *self.busy.borrow() && running.view.as_ref().is_some_and(|view| view.id == id) {
            return Err(ApiError::new(ErrorCode::Conflict, format!("the run {id} is under way: stop it first")));
        }
        self.runs.delete(id)
    }

    /// Starts no more, asks the one that runs to end, and waits until it has.
    pub async fn drain(&self) {
        {
            let mut running = self.running.lock();
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
        let running = self.running.lock();
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
        mut running: MutexGuard<'_, Running>,
        view: ExperimentView,
        target: Target,
        plan: Option<(&str, &str)>,
    ) -> Result<ExperimentView, ApiError> {
        let folder = self.runs.folder(&view.id)?;
        let experiment = self
            .program
            .start(&folder, target, plan)
            .map_err(|error| ApiError::new(ErrorCode::Internal, format!("its process can't be started: {error}")))?;
        let stop = CancellationToken::new();
        (running.view, running.stop) = (Some(view.clone()), stop.clone());
        self.busy.send_replace(true);
        self.tell(&view);
        // When `Following` is dropped it takes the lock: at once, if the supervisor has ended.
        drop(running);
        let following = Following::new(self.clone());
        self.jobs.do_send(StartTemporary::job(move || following.follow(experiment, stop)));
        Ok(self.view().unwrap_or(view))
    }

    /// Changes the view and tells it to the dashboards.
    pub(super) fn change(&self, change: impl FnOnce(&mut ExperimentView)) -> Option<ExperimentView> {
        let mut running = self.running.lock();
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
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    use actix_rt::Arbiter;

    use super::super::stand_in;
    use super::*;
    use crate::runtime::status;
    use crate::runtime::supervision::CrashChildren;
    use crate::runtime::testing::no_workers;
    use crate::web::history::History;
    use crate::web::hub::OwnSettings;
    use crate::web::links::LinkTable;
    use crate::web::requests::Requests;
    use crate::web::{Feed, Load};

    /// Experiments that a script carries out. `jobs` supervises them.
    fn experiments(dir: &Path, script: &str, jobs: &Addr<Supervisor>) -> Arc<Experiments> {
        let (second, status, feed) = (Duration::from_secs(1), status(), Arc::new(Feed::default()));
        let links = Arc::new(LinkTable::new(false, status.clone(), "requester:1".into(), second));
        let requests = Arc::new(Requests::new(links.clone(), status, feed.clone(), 9, (9, 1 << 20), second));
        let own = OwnSettings {
            id: "web-1".into(),
            timeout: second,
            task: "echo".into(),
            batch: second,
            controls: true,
            keep_requests: 9,
        };
        let history = Arc::new(History::new(9, feed.clone()));
        let load = Arc::new(Load::new(history.clone()));
        let deployment = Deployment::new(1 << 20, 9, second, own, (feed, requests), links, (load, history));
        let runs = Runs::new(dir.join("runs"));
        Arc::new(Experiments::new(runs, stand_in(dir, script), Arc::new(deployment), jobs.clone()))
    }

    fn plan() -> SubmittedPlan {
        SubmittedPlan { plan: "repetitions = 1".into(), name: "quick".into(), target: Target::Running }
    }

    fn assert_failed(view: Option<ExperimentView>) {
        let view = view.unwrap();
        assert!(view.state == ExperimentState::Failed && view.ended_at.is_some(), "{view:?}");
        assert!(view.reason.as_ref().unwrap().contains("the web tier failed"), "{view:?}");
    }

    #[actix_rt::test]
    async fn a_panic_of_the_job_ends_the_experiment_and_the_next_one_can_start() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Supervisor::launch(no_workers());
        let experiments = experiments(
            dir.path(),
            "echo $$ > $(dirname $0)/new && mv $(dirname $0)/new $(dirname $0)/pid; exec sleep 1000",
            &jobs,
        );
        experiments.start(&plan()).await.unwrap();
        let pid = loop {
            match fs::read_to_string(dir.path().join("pid")) {
                Ok(pid) => break pid,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert!(experiments.start(&plan()).await.is_err(), "one runs");
        jobs.send(CrashChildren).await.unwrap();
        experiments.busy.subscribe().wait_for(|busy| !busy).await.unwrap();
        assert_failed(experiments.view());
        let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        while state().split(')').nth(1).is_some_and(|rest| !rest.starts_with(" Z")) {
            tokio::task::yield_now().await;
        }
        experiments.start(&plan()).await.unwrap();
        experiments.drain().await;
    }

    /// The supervisor of an arbiter that was stopped.
    fn ended_supervisor() -> Addr<Supervisor> {
        let (arbiter, (started, supervisor)) = (Arbiter::new(), mpsc::channel());
        arbiter.spawn_fn(move || started.send(Supervisor::launch(no_workers())).unwrap());
        let supervisor = supervisor.recv().unwrap();
        arbiter.stop();
        arbiter.join().unwrap();
        supervisor
    }

    #[actix_rt::test]
    async fn an_experiment_whose_job_can_not_be_started_has_failed_and_nothing_hangs() {
        let dir = tempfile::tempdir().unwrap();
        let experiments = experiments(dir.path(), "exec sleep 1000", &ended_supervisor());
        for _ in 0..2 {
            assert_failed(experiments.start(&plan()).await.ok());
        }
        experiments.drain().await;
    }
}

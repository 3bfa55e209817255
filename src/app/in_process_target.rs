//! The target `in-process` of experiments: every tier in this process, on a separate thread, started for each trial.

use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use slog::{Discard, Logger, o};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::App;
use crate::config::Role;
use crate::experiment::plan::{Plan, Trial};
use crate::experiment::target::{Deployment, TargetDriver, load_settings, settings_of};

/// Maximum time until the deployment is ready.
const READY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Runs every tier in this process.
#[derive(Default)]
pub struct InProcess {
    running: Option<(oneshot::Sender<()>, JoinHandle<Result<()>>)>,
}

impl TargetDriver for InProcess {
    async fn set_up(&mut self, plan: &Plan, trial: &Trial) -> Result<Deployment> {
        let setup = &plan.cells[trial.cell].setup;
        let settings = load_settings(&settings_of(plan, setup, plan.seed_of(trial.repetition)))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, web_address) = oneshot::channel();
        let run = move || {
            actix_rt::System::new().block_on(async {
                let app = App::build(settings, Role::All, Logger::root(Discard, o!()))?;
                // An error means that the trial was cancelled.
                let _ = started.send(app.addresses.web);
                app.run_until_stopped(async {
                    let _ = stopped.await;
                })
                .await
            })
        };
        let thread = thread::Builder::new().name("deployment".to_owned()).spawn(run)?;
        self.running = Some((stop, thread));
        let Ok(web) = web_address.await else {
            return Err(self.end().await.err().unwrap_or_else(|| anyhow!("the deployment ended during its start")));
        };
        let deployment = Deployment::at(&format!("http://{}", web.context("no web tier")?), None);
        deployment.ready(setup, READY_TIMEOUT).await?;
        Ok(deployment)
    }

    async fn clear(&mut self) -> Result<()> {
        self.end().await
    }

    async fn leave(&mut self) -> Result<()> {
        self.end().await
    }

    fn shares_process(&self) -> bool {
        true
    }
}

impl InProcess {
    async fn end(&mut self) -> Result<()> {
        let Some((stop, thread)) = self.running.take() else { return Ok(()) };
        drop(stop);
        // On a blocking thread: the drain may take seconds, and this thread must keep handling signals.
        spawn_blocking(|| thread.join()).await?.map_err(|_| anyhow!("the deployment's thread panicked"))?
    }
}

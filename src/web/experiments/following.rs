//! Follows the experiment that runs: takes in what its process tells, to its end.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Experiment, Experiments, GRACE, Progress};
use crate::wire::{ExperimentState, TrialView, now_ms};

/// The place of the experiment that runs, free again when this is dropped; its view says then how it ended.
pub struct Following {
    experiments: Arc<Experiments>,
    end: (ExperimentState, Option<String>),
}

impl Drop for Following {
    fn drop(&mut self) {
        self.experiments.change(|view| {
            view.trial = None;
            view.ended_at = Some(now_ms());
            (view.state, view.reason) = self.end.clone();
        });
        self.experiments.free_again();
    }
}

impl Following {
    pub fn new(experiments: Arc<Experiments>) -> Self {
        let reason = "the web tier failed and ended the experiment: its log says why".to_owned();
        Self { experiments, end: (ExperimentState::Failed, Some(reason)) }
    }

    /// Takes in what the experiment tells. `stop`: it is asked to end.
    pub async fn follow(mut self, mut experiment: Experiment, stop: CancellationToken) {
        let mut finished = false;
        let mut trouble = None;
        let mut reading = async |experiment: &mut Experiment| loop {
            match experiment.next().await {
                Ok(Some(progress)) => finished |= self.take(progress),
                Ok(None) => break,
                Err(error) => {
                    trouble = Some(error.to_string());
                    break;
                }
            }
        };
        let stopped = tokio::select! {
            () = reading(&mut experiment) => false,
            () = stop.cancelled() => true,
        };
        if stopped {
            experiment.interrupt();
            // What it still says of trials that have ended; after that it is killed.
            let _ = timeout(GRACE, reading(&mut experiment)).await;
        }
        let (status, words) = experiment.end().await;
        self.end = match trouble {
            None if finished => (ExperimentState::Finished, None),
            None if stopped => (ExperimentState::Stopped, None),
            trouble => {
                let said = if words.is_empty() { String::new() } else { format!(": {words}") };
                (ExperimentState::Failed, Some(trouble.unwrap_or_else(|| format!("it ended early, {status}{said}"))))
            }
        };
    }

    /// Takes a line of progress in; true when it is the last.
    fn take(&self, progress: Progress) -> bool {
        let finished = matches!(progress, Progress::Finished { stopped: false, .. });
        self.experiments.change(|view| match progress {
            Progress::Plan { trials, time_ms } => (view.trials, view.time_ms) = (trials, time_ms),
            Progress::TrialStarted(trial) => {
                if view.state == ExperimentState::Starting {
                    view.state = ExperimentState::Running;
                }
                view.trial = Some(trial);
            }
            Progress::Load { elapsed_ms, total_ms, sent, ended } => {
                let trial = view.trial.get_or_insert_with(TrialView::default);
                let since_ms = elapsed_ms.saturating_sub(trial.elapsed_ms.unwrap_or(0)).max(1);
                trial.requests_per_s = ended.saturating_sub(trial.ended) as f64 * 1000.0 / since_ms as f64;
                (trial.elapsed_ms, trial.total_ms) = (Some(elapsed_ms), Some(total_ms));
                (trial.sent, trial.ended) = (sent, ended);
            }
            Progress::TrialEnded { trial } => {
                view.ended += 1;
                view.problems += usize::from(trial.problem.is_some());
                view.trial = None;
            }
            Progress::Finished { stopped: false, problems } => view.problems = problems,
            Progress::Finished { stopped: true, .. } => {}
        });
        finished
    }
}

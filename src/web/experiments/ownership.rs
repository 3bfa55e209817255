//! Who may change the deployment while an experiment does, and how the experiment's own calls are known.

use actix_web::http::header::HeaderMap;

use crate::experiment::plan::Target;
use crate::experiment::target::RUN_KEY_HEADER;
use crate::wire::ExperimentView;

/// Why nobody but an experiment may change the deployment, and what to do; none where it has ended, or has a deployment of its
/// own.
pub fn lock(experiment: &ExperimentView) -> Option<String> {
    let ExperimentView { id, plan, target, .. } = experiment;
    let is_owner = experiment.is_running() && target == Target::Running.name();
    is_owner.then(|| {
        format!(
            "the experiment {id} (plan {plan}) changes this deployment, and what others change would be in its results: wait \
             until it has ended, or stop it (DELETE /api/v1/experiments/running)"
        )
    })
}

/// A random text, another one for each start of the web tier. No secret is behind it: the calls need the token as well.
#[derive(Clone)]
pub struct RunKey(String);

impl RunKey {
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a call has it.
    pub fn is_shown(&self, headers: &HeaderMap) -> bool {
        headers.get(RUN_KEY_HEADER).is_some_and(|shown| shown.as_bytes() == self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ExperimentState;

    #[test]
    fn an_experiment_locks_the_deployment_that_it_runs_on_until_its_process_has_ended() {
        use ExperimentState::{Failed, Finished, Running, Starting, Stopped, Stopping};
        let view = |target: Target, state| {
            let json = serde_json::json!({
                "id": "a-run", "plan": "quick", "target": target.name(), "state": state, "startedAt": 1, "trials": 9,
                "ended": 0, "endedBefore": 0, "problems": 0, "timeMs": 1,
            });
            serde_json::from_value::<ExperimentView>(json).unwrap()
        };
        for state in [Starting, Running, Stopping] {
            let reason = lock(&view(Target::Running, state)).unwrap();
            assert!(reason.contains("a-run") && reason.contains("DELETE"), "{reason}");
            assert_eq!(lock(&view(Target::InProcess, state)), None, "it has a deployment of its own");
        }
        for state in [Finished, Stopped, Failed] {
            assert_eq!(lock(&view(Target::Running, state)), None);
        }
    }
}

//! What the page shows of the deployment's configuration, as the instances tell it, and what it should give.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::experiment::expected::{IdleExpectation, expect_idle};
use crate::responder::DelaySource;
use crate::web::experiments::lock;
use crate::wire::{Delay, Dispatch, ExperimentView, Tier, Topology};

/// The part that this web instance knows by itself.
#[derive(Clone, Debug)]
pub struct OwnSettings {
    /// This instance's id.
    pub id: String,
    pub timeout: Duration,
    /// The default task's name.
    pub task: String,
    pub batch: Duration,
    /// Whether controls need no token.
    pub controls: bool,
    /// Ended requests that are kept.
    pub keep_requests: usize,
}

/// Sent with each snapshot, and when it has changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PageSettings {
    /// The delay of the responders.
    delay: Delay,
    timeout_ms: u64,
    task: String,
    dispatch: Dispatch,
    controls: bool,
    /// Why nobody but the experiment that runs may change the deployment, and what to do; none where everybody may.
    #[schema(required)]
    locked: Option<String>,
    batch_ms: u64,
    /// Maximum ended requests that the server keeps.
    keep_requests: usize,
    /// None while it is computed, or if no responder is known.
    #[schema(required)]
    expected: Option<IdleExpectation>,
}

/// What there is to expect: messages of a request, responder workers, whether these share a queue, and their delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelInput {
    messages: usize,
    servers: usize,
    shared_queue: bool,
    delay: Delay,
}

impl ModelInput {
    /// The answer, by a simulation that may take a second.
    pub fn answer(self) -> Option<IdleExpectation> {
        let mut source = DelaySource::new(&self.delay, Some(1), 0);
        expect_idle(self.messages, self.servers, self.shared_queue, || source.draw().as_secs_f64() * 1000.0)
    }
}

/// The last expectation, with what it was made for.
#[derive(Default)]
pub struct LatencyModel {
    last: Option<(ModelInput, Option<IdleExpectation>)>,
    asked: Option<ModelInput>,
}

impl LatencyModel {
    /// The settings for a deployment in this state; without an expectation while that is worked out.
    pub fn settings(
        &self,
        own: &OwnSettings,
        topology: &Topology,
        experiment: Option<&ExperimentView>,
    ) -> PageSettings {
        let input = input(topology);
        let answer = self.last.filter(|(last, _)| Some(*last) == input);
        PageSettings {
            delay: input.map_or(Delay::NONE, |input| input.delay),
            timeout_ms: own.timeout.as_millis() as u64,
            task: own.task.clone(),
            dispatch: dispatch(topology),
            controls: own.controls,
            locked: experiment.and_then(lock),
            keep_requests: own.keep_requests,
            batch_ms: own.batch.as_millis() as u64,
            expected: answer.and_then(|(_, answer)| answer),
        }
    }

    /// What is to be worked out anew, if the deployment is not what the last expectation was made for, and that is not under
    /// way.
    pub fn stale_input(&mut self, topology: &Topology) -> Option<ModelInput> {
        let input = input(topology)?;
        let known = self.last.is_some_and(|(last, _)| last == input) || self.asked.is_some();
        if known {
            return None;
        }
        self.asked = Some(input);
        Some(input)
    }

    pub fn learn(&mut self, input: ModelInput, answer: Option<IdleExpectation>) {
        self.last = Some((input, answer));
        self.asked = None;
    }
}

fn dispatch(topology: &Topology) -> Dispatch {
    topology.living(Tier::Broker).find_map(|view| view.snapshot.dispatch).unwrap_or_default()
}

/// What there is to expect in a deployment; none while no responder is known.
fn input(topology: &Topology) -> Option<ModelInput> {
    let delay = topology.living(Tier::Responder).find_map(|view| view.snapshot.delay)?;
    let workers = |tier| topology.living(tier).map(|view| view.snapshot.workers.len()).sum();
    Some(ModelInput {
        messages: workers(Tier::Requester),
        servers: workers(Tier::Responder),
        shared_queue: dispatch(topology) == Dispatch::LeastBusy,
        delay,
    })
}

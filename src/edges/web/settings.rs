//! What the page shows of the deployment's configuration, as the instances tell it, and what it should give.

use std::time::Duration;

use serde::Serialize;

use crate::actors::delay_of;
use crate::model::{DelayShape, DelayView, Expected, Tier, Topology, expect};
use crate::process::Dispatch;
use crate::tasks::DelaySource;

/// The part that this web instance knows by itself.
#[derive(Clone, Debug)]
pub struct OwnSettings {
    pub timeout: Duration,
    /// The default task's name.
    pub task: String,
    pub batch: Duration,
    /// Whether controls need no token.
    pub controls: bool,
}

/// Sent with each snapshot.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageSettings {
    delay: DelayView,
    timeout_ms: u64,
    task: String,
    dispatch: String,
    controls: bool,
    batch_ms: u64,
    expected: Option<Expected>,
}

/// Messages of a request, responder workers, whether these share a queue, and their delay.
type Question = (usize, usize, bool, DelayView);

/// The last expectation, with what it was made for: it takes a simulation.
#[derive(Default)]
pub struct Oracle {
    last: Option<(Question, Option<Expected>)>,
}

impl Oracle {
    /// The settings for a deployment in this state.
    pub fn settings(&mut self, own: &OwnSettings, topology: &Topology) -> PageSettings {
        let dispatch = dispatch(topology);
        let question = question(topology);
        let none = DelayView { kind: DelayShape::None, min_ms: 0, max_ms: 0, mean_ms: 0, sigma: 0.5 };
        PageSettings {
            delay: question.map_or(none, |question| question.3),
            timeout_ms: own.timeout.as_millis() as u64,
            task: own.task.clone(),
            dispatch,
            controls: own.controls,
            batch_ms: own.batch.as_millis() as u64,
            expected: question.and_then(|question| self.expect(question)),
        }
    }

    /// True when the deployment is not what the last expectation was made for.
    pub fn asks_anew(&self, topology: &Topology) -> bool {
        let last = self.last.as_ref().map(|(last, _)| *last);
        question(topology).is_some_and(|question| last != Some(question))
    }

    fn expect(&mut self, question: Question) -> Option<Expected> {
        if let Some((last, answer)) = &self.last
            && *last == question
        {
            return *answer;
        }
        let (messages, servers, shared_queue, delay) = question;
        let answer = delay_of(&delay).ok().and_then(|delay| {
            let mut source = DelaySource::new(&delay, Some(1), 0);
            expect(messages, servers, shared_queue, || source.draw().as_secs_f64() * 1000.0)
        });
        self.last = Some((question, answer));
        answer
    }
}

fn dispatch(topology: &Topology) -> String {
    let dispatch = topology.living(Tier::Broker).find_map(|view| view.snapshot.dispatch.clone());
    dispatch.unwrap_or_else(|| Dispatch::default().name().to_owned())
}

/// What there is to expect in a deployment; none while no responder is known.
fn question(topology: &Topology) -> Option<Question> {
    let delay = topology.living(Tier::Responder).find_map(|view| view.snapshot.delay)?;
    let workers = |tier| topology.living(tier).map(|view| view.snapshot.workers.len()).sum();
    let shared_queue = dispatch(topology) == Dispatch::LeastBusy.name();
    Some((workers(Tier::Requester), workers(Tier::Responder), shared_queue, delay))
}

//! The factors of a plan, and a setup: a deployment and its load, with a level of every factor.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Value;
use utoipa::ToSchema;

use super::Load;
use crate::config::Socket;
use crate::wire::{Delay, DelayShape, Dispatch, FanOut, TaskName};

/// Maximum instances of a tier in a plan.
const MAX_INSTANCES: u32 = 1_000;

/// Maximum workers of an instance in a plan.
const MAX_WORKERS: u32 = 1_000;

/// Maximum payload of the `echo` task in a plan, in bytes.
pub const MAX_PAYLOAD: u32 = 1 << 20;

/// A property that trials vary. `Case` stands for several factors that change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    Case,
    RequesterInstances,
    /// Workers of each requester instance.
    Requesters,
    ResponderInstances,
    /// Workers of each responder instance.
    Responders,
    Delay,
    Task,
    /// Rounds of hashing of the `cpu` task.
    Rounds,
    FanOut,
    Dispatch,
    Socket,
    /// Messages in flight per requester worker with `socket = "dealer"`.
    Window,
    /// Payload of the `echo` task, in bytes.
    PayloadBytes,
    Load,
}

impl Factor {
    /// The factors that a plan can have in `[factors]`, `[fixed]` and a `[[case]]`.
    pub const ALL: [Self; 13] = [
        Self::RequesterInstances,
        Self::Requesters,
        Self::ResponderInstances,
        Self::Responders,
        Self::Delay,
        Self::Task,
        Self::Rounds,
        Self::FanOut,
        Self::Dispatch,
        Self::Socket,
        Self::Window,
        Self::PayloadBytes,
        Self::Load,
    ];

    /// The name in plans, results and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::RequesterInstances => "requester_instances",
            Self::Requesters => "requesters",
            Self::ResponderInstances => "responder_instances",
            Self::Responders => "responders",
            Self::Delay => "delay",
            Self::Task => "task",
            Self::Rounds => "rounds",
            Self::FanOut => "fan_out",
            Self::Dispatch => "dispatch",
            Self::Socket => "socket",
            Self::Window => "window",
            Self::PayloadBytes => "payload_bytes",
            Self::Load => "load",
        }
    }

    /// Finds a factor by its name; `case` is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Case]).find(|factor| factor.name() == name)
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A deployment and its load: a level of every factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    pub requester_instances: u32,
    /// Workers of each instance.
    pub requesters: u32,
    pub responder_instances: u32,
    /// Workers of each instance.
    pub responders: u32,
    /// Brokers in processes of their own, as found in a running deployment. 0: each responder instance has its own broker.
    #[serde(default)]
    pub brokers_apart: u32,
    pub delay: Delay,
    pub task: TaskName,
    /// Rounds of hashing of the `cpu` task.
    pub rounds: u64,
    pub fan_out: FanOut,
    pub dispatch: Dispatch,
    pub socket: Socket,
    /// Maximum messages in flight per requester worker with a DEALER. A REQ has 1.
    pub window: u32,
    /// Payload of the `echo` task, in bytes.
    pub payload_bytes: u32,
    #[schema(value_type = String, example = "closed 8")]
    pub load: Load,
}

/// The levels of factors that a plan does not set: the article's deployment, without its delay.
impl Default for Setup {
    fn default() -> Self {
        Self {
            requester_instances: 1,
            requesters: 3,
            responder_instances: 1,
            responders: 3,
            brokers_apart: 0,
            delay: Delay::NONE,
            task: TaskName::Echo,
            rounds: 10_000,
            fan_out: FanOut::All,
            dispatch: Dispatch::RoundRobin,
            socket: Socket::Req,
            window: 16,
            payload_bytes: 16,
            load: Load::Closed { clients: 1, think: Duration::ZERO },
        }
    }
}

impl Setup {
    /// Sets the level of a factor. Returns the level's text for tables.
    ///
    /// # Errors
    /// The value is not a level of the factor; the text says which levels are.
    pub fn set(&mut self, factor: Factor, value: &Value) -> Result<String, String> {
        match factor {
            Factor::Case => return Err("a case is made of other factors: write a [[case]]".to_owned()),
            Factor::RequesterInstances => self.requester_instances = whole(value, MAX_INSTANCES)?,
            Factor::Requesters => self.requesters = whole(value, MAX_WORKERS)?,
            Factor::ResponderInstances => self.responder_instances = whole(value, MAX_INSTANCES)?,
            Factor::Responders => self.responders = whole(value, MAX_WORKERS)?,
            Factor::Rounds => self.rounds = whole(value, u32::MAX)?.into(),
            Factor::Window => self.window = whole(value, 10_000)?,
            Factor::PayloadBytes => self.payload_bytes = whole(value, MAX_PAYLOAD)?,
            Factor::Delay => self.delay = delay(text(value)?)?,
            Factor::Task => self.task = text(value)?.parse().map_err(|error| format!("{error}"))?,
            Factor::FanOut => self.fan_out = one_of(value, &[("all", FanOut::All), ("one", FanOut::One)])?,
            Factor::Dispatch => {
                self.dispatch =
                    one_of(value, &[Dispatch::RoundRobin, Dispatch::LeastBusy].map(|each| (each.name(), each)))?
            }
            Factor::Socket => self.socket = one_of(value, &[("req", Socket::Req), ("dealer", Socket::Dealer)])?,
            Factor::Load => self.load = text(value)?.parse()?,
        }
        Ok(match value {
            Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        })
    }

    /// Messages of a request.
    pub fn messages_per_request(&self) -> u32 {
        match self.fan_out {
            FanOut::All => self.requester_instances * self.requesters,
            FanOut::One => 1,
        }
    }

    /// Why the levels exclude one another; `None` if they don't.
    pub fn conflict(&self) -> Option<String> {
        (self.requesters == 0 || self.responders == 0)
            .then(|| "a deployment without workers would never reply".to_owned())
    }
}

fn whole(value: &Value, most: u32) -> Result<u32, String> {
    let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("{value}: give a whole number from 1 to {most}"))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("{value}: give a text in quotes"))
}

fn one_of<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, String> {
    let given = text(value)?;
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    let found = choices.iter().find(|(name, _)| *name == given);
    found.map(|(_, choice)| *choice).ok_or_else(|| format!("`{given}`: give one of {}", names.join(", ")))
}

/// Reads `none`, `fixed 100ms`, `uniform 1s 3s`, `exponential 100ms` or `log-normal 100ms 0.5`.
fn delay(text: &str) -> Result<Delay, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let delay = match words[..] {
        ["none"] => Delay::NONE,
        ["fixed", mean] => Delay::fixed(span(mean)?),
        ["exponential", mean] => Delay { kind: DelayShape::Exponential, ..Delay::fixed(span(mean)?) },
        ["uniform", min, max] => Delay { kind: DelayShape::Uniform, min: span(min)?, max: span(max)?, ..Delay::NONE },
        ["log-normal", mean, sigma] => {
            let sigma = sigma.parse().unwrap_or(f64::NAN);
            Delay { kind: DelayShape::LogNormal, sigma, ..Delay::fixed(span(mean)?) }
        }
        _ => {
            return Err(format!(
                "`{text}` is not a delay: give `none`, `fixed TIME`, `uniform TIME TIME`, `exponential TIME` or `log-normal TIME SHAPE`"
            ));
        }
    };
    delay.checked().map_err(|error| format!("`{text}`: {error}"))
}

/// A time of a delay, or of thinking.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("the time `{text}`: {error}"))?;
    match time <= Delay::LONGEST {
        true => Ok(time),
        false => Err(format!("the time `{text}`: up to {} are allowed", humantime::format_duration(Delay::LONGEST))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_of_every_factor_can_be_set_and_is_shown_as_given() {
        let levels: [(Factor, Value); 13] = [
            (Factor::RequesterInstances, 2.into()),
            (Factor::Requesters, 4.into()),
            (Factor::ResponderInstances, 3.into()),
            (Factor::Responders, 8.into()),
            (Factor::Delay, "uniform  1s 3s".into()),
            (Factor::Task, "cpu".into()),
            (Factor::Rounds, 5.into()),
            (Factor::FanOut, "one".into()),
            (Factor::Dispatch, "least-busy".into()),
            (Factor::Socket, "dealer".into()),
            (Factor::Window, 7.into()),
            (Factor::PayloadBytes, 100.into()),
            (Factor::Load, "poisson 5/s".into()),
        ];
        let mut setup = Setup::default();
        assert_eq!(setup.messages_per_request(), 3);
        let shown: Vec<_> = levels.iter().map(|(factor, value)| setup.set(*factor, value).unwrap()).collect();
        assert_eq!(shown[4], "uniform 1s 3s");
        assert_eq!((setup.delay.average_ms(), setup.messages_per_request()), (2_000.0, 1));
        assert_eq!(Factor::ALL.map(|factor| Factor::named(factor.name())), Factor::ALL.map(Some));
        assert!(Factor::ALL.iter().all(|factor| levels.iter().any(|(known, _)| known == factor)));
    }

    #[test]
    fn errors_say_which_levels_are_valid() {
        for (factor, value, hint) in [
            (Factor::Requesters, Value::from(0), "1 to 1000"),
            (Factor::Requesters, "3".into(), "1 to 1000"),
            (Factor::Task, "dance".into(), "file, echo, cpu"),
            (Factor::Dispatch, "fair".into(), "round-robin, least-busy"),
            (Factor::Delay, "uniform 3s 1s".into(), "swap min and max"),
            (Factor::Delay, "fixed".into(), "fixed TIME"),
            (Factor::Delay, "fixed 11m".into(), "up to 10m"),
            (Factor::Delay, "log-normal 1s 9".into(), "up to 3"),
            (Factor::Case, "x".into(), "[[case]]"),
        ] {
            let error = Setup::default().set(factor, &value).unwrap_err();
            assert!(error.contains(hint), "{factor} {value}: {error}");
        }
    }
}

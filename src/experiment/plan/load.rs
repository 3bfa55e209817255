//! The load of a trial, as text: `closed 8`, `closed 8 think 100ms`, `constant 50/s`, `poisson 50/s`, `ramp 10/s 200/s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::span;

/// Maximum clients of a closed loop.
const MAX_CLIENTS: u32 = 10_000;

/// Maximum requests per second of an open loop.
const MAX_PER_S: f64 = 100_000.0;

/// When requests are sent. The text that [`fmt::Display`] writes is what [`FromStr`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Load {
    /// Each client sends its next request when its last one has ended and its think time has passed: an exponentially distributed
    /// time with this mean, which may be zero.
    Closed { clients: u32, think: Duration },
    /// Requests at even intervals, whether earlier ones have ended or not.
    Constant { per_s: f64 },
    /// Requests at random intervals, exponentially distributed: a Poisson process.
    Poisson { per_s: f64 },
    /// Requests at a rate that changes linearly from the first to the second during the trial.
    Ramp { from_per_s: f64, to_per_s: f64 },
}

impl Load {
    /// True if requests are sent whether earlier ones have ended or not.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }

    /// True unless the rate changes over a trial: without a steady rate there is no steady state.
    pub fn is_steady(&self) -> bool {
        !matches!(self, Self::Ramp { .. })
    }

    /// Offered requests per second of an open loop, the mean over a trial; `None` for a closed loop.
    pub fn offered_per_s(&self) -> Option<f64> {
        match *self {
            Self::Closed { .. } => None,
            Self::Constant { per_s } | Self::Poisson { per_s } => Some(per_s),
            Self::Ramp { from_per_s, to_per_s } => Some((from_per_s + to_per_s) / 2.0),
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { clients, think: Duration::ZERO } => write!(f, "closed {clients}"),
            Self::Closed { clients, think } => {
                // As a word: `1s500ms`.
                let think = humantime::format_duration(*think).to_string().replace(' ', "");
                write!(f, "closed {clients} think {think}")
            }
            Self::Constant { per_s } => write!(f, "constant {per_s}/s"),
            Self::Poisson { per_s } => write!(f, "poisson {per_s}/s"),
            Self::Ramp { from_per_s, to_per_s } => write!(f, "ramp {from_per_s}/s {to_per_s}/s"),
        }
    }
}

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words[..] {
            ["closed", count] => Ok(Self::Closed { clients: clients(count)?, think: Duration::ZERO }),
            ["closed", count, "think", time] => Ok(Self::Closed { clients: clients(count)?, think: span(time)? }),
            ["constant", per_s] => Ok(Self::Constant { per_s: rate(per_s)? }),
            ["poisson", per_s] => Ok(Self::Poisson { per_s: rate(per_s)? }),
            ["ramp", from, to] => Ok(Self::Ramp { from_per_s: rate(from)?, to_per_s: rate(to)? }),
            _ => Err(format!(
                "`{text}` is no load: give `closed CLIENTS`, `closed CLIENTS think TIME`, `constant RATE/s`, `poisson RATE/s` or \
                 `ramp RATE/s RATE/s`"
            )),
        }
    }
}

fn clients(text: &str) -> Result<u32, String> {
    let clients = text.parse().ok().filter(|clients| (1..=MAX_CLIENTS).contains(clients));
    clients.ok_or_else(|| format!("`{text}` clients: give 1 to {MAX_CLIENTS}"))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.strip_suffix("/s").unwrap_or(text).parse() {
        Ok(rate) if rate > 0.0 && rate <= MAX_PER_S => Ok(rate),
        _ => Err(format!("the rate `{text}`: give requests a second, above 0 and up to {MAX_PER_S}, such as 50/s")),
    }
}

impl TryFrom<String> for Load {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Load> for String {
    fn from(load: Load) -> Self {
        load.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_load_is_parsed_to_the_same_load() {
        for text in ["closed 8", "closed 8 think 1s500ms", "constant 0.5/s", "poisson 50/s", "ramp 10/s 200.5/s"] {
            assert_eq!(text.parse::<Load>().unwrap().to_string(), text);
        }
        let steady = |text: &str| text.parse::<Load>().unwrap().is_steady();
        assert!(steady("constant 5/s") && !steady("ramp 10/s 200/s"));
        assert_eq!("poisson 50".parse::<Load>(), "poisson  50/s".parse());
        assert_eq!("closed 8 think 0s".parse::<Load>(), "closed 8".parse());
    }

    #[test]
    fn errors_say_which_loads_are_valid() {
        for (text, hint) in [
            ("closed", "closed CLIENTS"),
            ("closed 0", "1 to 10000"),
            ("closed many", "1 to 10000"),
            ("closed 8 think", "think TIME"),
            ("closed 8 think long", "the time `long`"),
            ("closed 8 think 1h", "up to 10m"),
            ("constant -1/s", "above 0"),
            ("poisson inf/s", "above 0"),
            ("ramp 10/s", "ramp RATE/s RATE/s"),
            ("", "closed CLIENTS"),
        ] {
            let error = text.parse::<Load>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}

//! The load of a trial, in words: `closed 8`, `constant 50/s`, `poisson 50/s`, `ramp 10/s 200/s`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Clients that a closed loop may have.
const MAX_CLIENTS: u32 = 10_000;

/// Requests a second that an open loop may send.
const MAX_PER_S: f64 = 100_000.0;

/// When requests are sent. The text that [`fmt::Display`] writes is what [`FromStr`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Load {
    /// So many clients, each of which sends its next request when the last one has ended.
    Closed { clients: u32 },
    /// Requests at even intervals, whether earlier ones have ended or not.
    Constant { per_s: f64 },
    /// Requests at random intervals, exponentially distributed: a Poisson process.
    Poisson { per_s: f64 },
    /// Even intervals that change steadily from one rate to another, from the beginning to the end of the trial.
    Ramp { from_per_s: f64, to_per_s: f64 },
}

impl Load {
    /// True if requests are sent whether earlier ones have ended or not.
    pub fn is_open(&self) -> bool {
        !matches!(self, Self::Closed { .. })
    }

    /// Requests a second that an open loop means to send, on average over a trial; none for a closed one.
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
            Self::Closed { clients } => write!(f, "closed {clients}"),
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
            ["closed", clients] => match clients.parse() {
                Ok(clients) if (1..=MAX_CLIENTS).contains(&clients) => Ok(Self::Closed { clients }),
                _ => Err(format!("`{clients}` clients: give 1 to {MAX_CLIENTS}")),
            },
            ["constant", per_s] => Ok(Self::Constant { per_s: rate(per_s)? }),
            ["poisson", per_s] => Ok(Self::Poisson { per_s: rate(per_s)? }),
            ["ramp", from, to] => Ok(Self::Ramp { from_per_s: rate(from)?, to_per_s: rate(to)? }),
            _ => Err(format!(
                "`{text}` is no load: give `closed CLIENTS`, `constant RATE/s`, `poisson RATE/s` or `ramp RATE/s RATE/s`"
            )),
        }
    }
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
    fn what_is_written_is_read_again() {
        for text in ["closed 8", "constant 0.5/s", "poisson 50/s", "ramp 10/s 200.5/s"] {
            assert_eq!(text.parse::<Load>().unwrap().to_string(), text);
        }
        assert_eq!("poisson 50".parse::<Load>(), "poisson  50/s".parse());
    }

    #[test]
    fn what_is_no_load_is_told_what_would_be_one() {
        for (text, hint) in [
            ("closed", "closed CLIENTS"),
            ("closed 0", "1 to 10000"),
            ("closed many", "1 to 10000"),
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

//! The delay before each task: one type for settings, plans, controls, snapshots and results.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error, Unexpected};
use serde::{Deserialize, Serialize, Serializer};
use statrs::distribution::{ContinuousCDF, Normal};
use utoipa::ToSchema;

/// The largest `sigma` of the log-normal distribution; beyond it nearly every delay is 0 or the cap.
const MAX_SIGMA: f64 = 3.0;

/// The cap where none was given, unless the mean is longer.
const CAP: Duration = Duration::from_secs(60);

/// Share of the delays that may be cut before the distribution counts as another one.
const NEGLIGIBLE: f64 = 1e-4;

/// Distribution of the delay before each task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DelayShape {
    None,
    Fixed,
    #[default]
    Uniform,
    Exponential,
    LogNormal,
}

impl DelayShape {
    /// The name in settings, plans and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fixed => "fixed",
            Self::Uniform => "uniform",
            Self::Exponential => "exponential",
            Self::LogNormal => "log-normal",
        }
    }
}

/// The delay before each task. Times in milliseconds, fractions included, up to ten minutes; exact to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    pub kind: DelayShape,
    /// Shortest of `uniform`.
    #[serde(rename = "minMs", with = "millis")]
    #[schema(value_type = f64, minimum = 0, maximum = 600_000)]
    pub min: Duration,
    /// Longest of `uniform`.
    #[serde(rename = "maxMs", with = "millis")]
    #[schema(value_type = f64, minimum = 0, maximum = 600_000)]
    pub max: Duration,
    /// The delay of `fixed`; the mean of `exponential` and `log-normal`, before the cap.
    #[serde(rename = "meanMs", with = "millis")]
    #[schema(value_type = f64, minimum = 0, maximum = 600_000)]
    pub mean: Duration,
    /// Shape of `log-normal`, above 0 and up to 3.
    pub sigma: f64,
    /// Longest delay drawn from `exponential` and `log-normal`: a longer one becomes this. None: in a control call, the
    /// present cap or the mean, whichever is longer; elsewhere a minute or the mean.
    #[serde(rename = "capMs", default, with = "millis_or_none", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0, maximum = 600_000)]
    pub cap: Option<Duration>,
}

/// Why a distribution cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DelayError {
    /// The bounds of the uniform distribution are the wrong way round.
    #[error("the shortest delay, {min:?}, is longer than the longest, {max:?}: swap min and max")]
    Order { min: Duration, max: Duration },

    /// The shape of the log-normal distribution is out of range.
    #[error("sigma is {0}: give a number above 0 and up to {MAX_SIGMA}")]
    Sigma(f64),
}

impl Delay {
    /// The longest time of any field: ten minutes.
    pub const LONGEST: Duration = Duration::from_secs(600);

    /// No delay at all.
    pub const NONE: Self = Self {
        kind: DelayShape::None,
        min: Duration::ZERO,
        max: Duration::ZERO,
        mean: Duration::ZERO,
        sigma: 0.5,
        cap: None,
    };

    /// Always `time`.
    pub const fn fixed(time: Duration) -> Self {
        Self { kind: DelayShape::Fixed, mean: time, ..Self::NONE }
    }

    /// The delay itself where its distribution can be drawn from.
    ///
    /// # Errors
    /// Of `uniform`, when `min` is longer than `max`; of `log-normal`, when `sigma` is out of range.
    pub fn checked(self) -> Result<Self, DelayError> {
        match self.kind {
            DelayShape::Uniform if self.min > self.max => Err(DelayError::Order { min: self.min, max: self.max }),
            DelayShape::LogNormal if !(self.sigma > 0.0 && self.sigma <= MAX_SIGMA) => {
                Err(DelayError::Sigma(self.sigma))
            }
            _ => Ok(self),
        }
    }

    /// The longest delay drawn from `exponential` and `log-normal`.
    pub fn cap(&self) -> Duration {
        self.cap.unwrap_or(CAP.max(self.mean))
    }

    /// The mean of the delays that are drawn, in milliseconds.
    pub fn average_ms(&self) -> f64 {
        self.moments().0
    }

    /// The squared coefficient of variation of the delays that are drawn, variance / mean^2: 0 for a fixed delay, 1 for
    /// an exponential one without a cap.
    pub fn variability(&self) -> f64 {
        let (mean, square) = self.moments();
        if mean > 0.0 { (square / (mean * mean) - 1.0).max(0.0) } else { 0.0 }
    }

    /// Whether the cap cuts so many delays that the distribution is another one.
    pub fn is_cut(&self) -> bool {
        let (mean, cap) = (millis_of(self.mean), millis_of(self.cap()));
        let beyond = match self.kind {
            DelayShape::None | DelayShape::Fixed | DelayShape::Uniform => return false,
            _ if mean == 0.0 => return false,
            DelayShape::Exponential => (-cap / mean).exp(),
            DelayShape::LogNormal => 1.0 - self.log_normal_share(mean, cap, 0.0),
        };
        beyond > NEGLIGIBLE
    }

    /// The expectations of the delay and of its square, in milliseconds; of a distribution that is as good as whole, those of
    /// the whole.
    fn moments(&self) -> (f64, f64) {
        let [min, max, mean] = [self.min, self.max, self.mean].map(millis_of);
        let cap = if self.is_cut() { millis_of(self.cap()) } else { f64::INFINITY };
        match self.kind {
            DelayShape::None => (0.0, 0.0),
            DelayShape::Fixed => (mean, mean * mean),
            DelayShape::Uniform => (min.midpoint(max), (min * min + min * max + max * max) / 3.0),
            DelayShape::Exponential | DelayShape::LogNormal if mean == 0.0 => (0.0, 0.0),
            // Integrals of min(x, cap) and of its square.
            DelayShape::Exponential if cap.is_infinite() => (mean, 2.0 * mean * mean),
            DelayShape::LogNormal if cap.is_infinite() => (mean, mean * mean * (self.sigma * self.sigma).exp()),
            DelayShape::Exponential => {
                let beyond = (-cap / mean).exp();
                (mean * (1.0 - beyond), 2.0 * mean * (mean * (1.0 - beyond) - cap * beyond))
            }
            DelayShape::LogNormal => {
                let [below, first, second] = [0.0, 1.0, 2.0].map(|power| self.log_normal_share(mean, cap, power));
                let square = mean * mean * (self.sigma * self.sigma).exp();
                (mean * first + cap * (1.0 - below), square * second + cap * cap * (1.0 - below))
            }
        }
    }

    /// The share of the log-normal distribution's moment of this `power` that lies below `cap`.
    fn log_normal_share(&self, mean: f64, cap: f64, power: f64) -> f64 {
        let sigma = self.sigma;
        let standard = ((cap / mean).ln() + sigma * sigma / 2.0) / sigma - power * sigma;
        Normal::standard().cdf(standard)
    }
}

/// For people, in the words of plans, such as `exponential 100ms`; with its cap where that is not the usual one.
impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, max, mean, cap] = [self.min, self.max, self.mean, self.cap()].map(humantime::format_duration);
        match self.kind {
            DelayShape::None => return f.write_str("none"),
            DelayShape::Fixed => return write!(f, "fixed {mean}"),
            DelayShape::Uniform => return write!(f, "uniform {min} {max}"),
            DelayShape::Exponential => write!(f, "exponential {mean}")?,
            DelayShape::LogNormal => write!(f, "log-normal {mean} {}", self.sigma)?,
        }
        match (Self { cap: None, ..*self }).cap() == self.cap() {
            true => Ok(()),
            false => write!(f, ", at most {cap}"),
        }
    }
}

fn millis_of(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A time as a number of milliseconds: a whole one where it is whole.
mod millis {
    use super::*;

    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match time.subsec_nanos() % 1_000_000 {
            0 => serializer.serialize_u64(time.as_millis() as u64),
            _ => serializer.serialize_f64(time.as_nanos() as f64 / 1e6),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let given = f64::deserialize(deserializer)?;
        match (0.0..=millis_of(Delay::LONGEST)).contains(&given) {
            true => Ok(Duration::from_nanos((given * 1e6).round() as u64)),
            false => Err(D::Error::invalid_value(Unexpected::Float(given), &"a time from 0 to 600000 milliseconds")),
        }
    }
}

mod millis_or_none {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Millis(#[serde(with = "millis")] Duration);

    pub fn serialize<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Millis).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Millis>::deserialize(deserializer)?.map(|time| time.0))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn delay(kind: DelayShape, cap: Option<Duration>) -> Delay {
        Delay { kind, min: SECOND, max: 3 * SECOND, mean: SECOND, sigma: 0.5, cap }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        for (kind, mean, variability) in [
            (DelayShape::None, 0.0, 0.0),
            (DelayShape::Fixed, 1_000.0, 0.0),
            (DelayShape::Uniform, 2_000.0, 1.0 / 12.0),
            (DelayShape::Exponential, 1_000.0, 1.0),
            (DelayShape::LogNormal, 1_000.0, 0.25_f64.exp() - 1.0),
        ] {
            let delay = delay(kind, None);
            assert!((delay.average_ms() - mean).abs() < 1e-6, "{kind:?}: {}", delay.average_ms());
            assert!((delay.variability() - variability).abs() < 1e-9, "{kind:?}: {}", delay.variability());
            assert!(!delay.is_cut(), "{kind:?}");
            let zero = Delay { kind, ..Delay::NONE };
            assert_eq!((zero.average_ms(), zero.variability()), (0.0, 0.0));
        }
    }

    #[test]
    fn a_time_is_exact_in_json_and_a_cap_may_be_missing() {
        let exact = Delay {
            min: Duration::from_micros(500),
            max: Duration::from_nanos(599_999_999_999_999 / 1_000),
            cap: Some(5 * SECOND),
            ..delay(DelayShape::Exponential, None)
        };
        let written = json!(exact);
        assert_eq!(
            (&written["minMs"], &written["meanMs"], &written["capMs"]),
            (&json!(0.5), &json!(1000), &json!(5000))
        );
        assert_eq!(from_value::<Delay>(written).unwrap(), exact);
        let old = json!({ "kind": "fixed", "minMs": 0, "maxMs": 0, "meanMs": 70_000, "sigma": 0.5 });
        let read: Delay = from_value(old.clone()).unwrap();
        assert_eq!((json!(read), read.cap()), (old, Duration::from_secs(70)));
    }

    #[test]
    fn a_delay_reads_in_the_words_of_plans() {
        let text = |kind, cap| delay(kind, cap).to_string();
        assert_eq!(text(DelayShape::None, None), "none");
        assert_eq!(Delay::fixed(Duration::from_micros(1_500)).to_string(), "fixed 1ms 500us");
        assert_eq!(text(DelayShape::Uniform, None), "uniform 1s 3s");
        assert_eq!(text(DelayShape::Exponential, Some(60 * SECOND)), "exponential 1s");
        assert_eq!(text(DelayShape::LogNormal, Some(5 * SECOND)), "log-normal 1s 0.5, at most 5s");
    }

    #[test]
    fn a_time_out_of_range_is_refused_with_the_range() {
        for time in [json!(-1), json!(600_000.1), json!(1e300)] {
            let written = json!({ "kind": "fixed", "minMs": 0, "maxMs": 0, "meanMs": time, "sigma": 0.5 });
            let error = from_value::<Delay>(written).unwrap_err().to_string();
            assert!(error.contains("from 0 to 600000 milliseconds"), "{error}");
        }
    }

    #[test]
    fn a_wrong_distribution_is_an_error() {
        let swapped = Delay { min: 3 * SECOND, max: SECOND, ..delay(DelayShape::Uniform, None) };
        assert!(matches!(swapped.checked(), Err(DelayError::Order { .. })));
        for sigma in [0.0, -1.0, 3.1, f64::NAN, f64::INFINITY] {
            let error = Delay { sigma, ..delay(DelayShape::LogNormal, None) }.checked().unwrap_err();
            assert!(error.to_string().contains("up to 3"), "{error}");
        }
    }
}

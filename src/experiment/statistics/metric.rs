//! The metrics that are compared, with their names, units and better direction.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::experiment::run::{Results, TrialResult};

/// One figure of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Metric {
    /// Requests per second that ended with a response to every message.
    RequestsPerS,
    /// Messages per second with a response.
    MessagesPerS,
    /// Mean latency of requests from their due time, in milliseconds.
    Mean,
    /// Percentiles of this latency, in milliseconds; `P999` is the percentile 99.9.
    P50,
    P90,
    P95,
    P99,
    P999,
    /// Maximum of this latency, in milliseconds.
    Max,
    /// CPU time of all tiers per message, in microseconds.
    Cpu,
    /// Resident memory of all tiers at the end, in bytes.
    Memory,
    /// Share of the requests that failed or were refused, from 0 to 1.
    Errors,
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Milliseconds,
    Microseconds,
    Bytes,
    Share,
}

impl Metric {
    pub const ALL: [Self; 12] = [
        Self::RequestsPerS,
        Self::MessagesPerS,
        Self::Mean,
        Self::P50,
        Self::P90,
        Self::P95,
        Self::P99,
        Self::P999,
        Self::Max,
        Self::Cpu,
        Self::Memory,
        Self::Errors,
    ];

    /// The metrics that comparisons judge. The others depend closely on these, and each further metric that is judged makes a
    /// difference in any of them harder to find.
    pub const JUDGED: [Self; 5] = [Self::RequestsPerS, Self::P50, Self::P99, Self::Cpu, Self::Memory];

    /// The name in tables and rules.
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestsPerS => "requests/s",
            Self::MessagesPerS => "messages/s",
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Errors => "errors",
        }
    }

    pub fn unit(self) -> Unit {
        match self {
            Self::RequestsPerS | Self::MessagesPerS => Unit::PerSecond,
            Self::Mean | Self::P50 | Self::P90 | Self::P95 | Self::P99 | Self::P999 | Self::Max => Unit::Milliseconds,
            Self::Cpu => Unit::Microseconds,
            Self::Memory => Unit::Bytes,
            Self::Errors => Unit::Share,
        }
    }

    pub fn is_better_higher(self) -> bool {
        self.unit() == Unit::PerSecond
    }

    /// A trial's figure; `None` if it was not measured or the trial is not valid.
    pub fn of(self, trial: &TrialResult) -> Option<f64> {
        if trial.problem.is_some() {
            return None;
        }
        let latency = |us: f64| (trial.latency.count() > 0).then_some(us / 1000.0);
        if let Some(share) = self.share() {
            return latency(trial.latency.quantile_us(share) as f64);
        }
        match self {
            Self::RequestsPerS => Some(trial.requests_per_s),
            Self::MessagesPerS => Some(trial.messages_per_s),
            Self::Mean => latency(trial.latency.mean_us()),
            Self::P50 | Self::P90 | Self::P95 | Self::P99 | Self::P999 => None,
            Self::Max => latency(trial.latency.max_us() as f64),
            Self::Cpu => {
                let is_known = !trial.usage.is_empty() && trial.messages.total() > 0;
                is_known.then(|| trial.usage.iter().map(|tier| tier.cpu_us_per_message).sum())
            }
            Self::Memory => {
                let bytes = trial.usage.iter().map(|tier| tier.resident_bytes as f64).sum();
                (!trial.usage.is_empty()).then_some(bytes)
            }
            Self::Errors => {
                let wrong = trial.requests.failed + trial.requests.refused;
                (trial.requests.sent > 0).then(|| wrong as f64 / trial.requests.sent as f64)
            }
        }
    }

    /// The figures of a cell's trials, by repetition.
    pub fn by_repetition(self, results: &Results, cell: usize) -> BTreeMap<u32, f64> {
        let trials = results.trials.iter().filter(|trial| trial.cell == cell);
        trials.filter_map(|trial| Some((trial.repetition, self.of(trial)?))).collect()
    }

    /// The largest step between two possible figures of a cell's trials, as a share of the figure: one request, or the
    /// histograms' three digits.
    pub fn resolution(self, results: &Results, cell: usize) -> f64 {
        let of = |trial: &TrialResult| {
            let figure = self.of(trial)?;
            Some(match self.unit() {
                Unit::PerSecond => 1_000.0 / (figure * trial.measured_ms),
                Unit::Milliseconds => 0.001,
                Unit::Share => 1.0 / (figure * trial.requests.sent as f64),
                Unit::Microseconds | Unit::Bytes => 0.0,
            })
        };
        let trials = results.trials.iter().filter(|trial| trial.cell == cell);
        trials.filter_map(of).filter(|step| step.is_finite()).fold(0.0, f64::max)
    }

    /// The share of the requests that are not slower than a percentile. None: the metric is none.
    fn share(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            _ => None,
        }
    }

    /// True for a percentile of so few requests that it is just the slowest one.
    pub fn is_few(self, requests: u64) -> bool {
        self.share().is_some_and(|share| !has_beyond(requests, share))
    }

    /// A value with its unit, formatted for people.
    pub fn say(self, value: f64) -> String {
        match self.unit() {
            Unit::PerSecond => format!("{}/s", short(value)),
            Unit::Milliseconds => duration(value),
            Unit::Microseconds => duration(value / 1000.0),
            Unit::Bytes => format!("{} MB", short(value / 1e6)),
            Unit::Share => percent(value),
        }
    }
}

/// A number with about three significant digits: 0, 0.42, 12.3, 1,234.
pub fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let start = usize::from(whole.starts_with('-'));
    let mut grouped = whole.to_owned();
    for at in (start + 1..whole.len()).rev().filter(|at| (whole.len() - at).is_multiple_of(3)) {
        grouped.insert(at, ',');
    }
    grouped + rest
}

/// A share as a percentage: 0.945 is 94.5 %.
pub fn percent(share: f64) -> String {
    format!("{} %", short(share * 100.0))
}

/// A ratio with three decimals if it is within 5 % of 1, else as [`short`]: 0.64, 1.004, 12.3.
pub fn ratio_text(ratio: f64) -> String {
    if (0.95..=1.05).contains(&ratio) { format!("{ratio:.3}") } else { short(ratio) }
}

/// Milliseconds, formatted in a suitable unit.
fn duration(ms: f64) -> String {
    match ms {
        0.0 => "0 ms".to_owned(),
        _ if ms < 1.0 => format!("{} µs", short(ms * 1000.0)),
        _ if ms < 1000.0 => format!("{} ms", short(ms)),
        _ => format!("{} s", short(ms / 1000.0)),
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|metric| metric.name()).collect();
            let near = known.iter().map(|name| (strsim::jaro(text, name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = near.filter(|(alike, _)| *alike > 0.7).map(|(_, name)| format!(" Did you mean `{name}`?"));
            format!("`{text}` is not a metric.{} The metrics are {}", hint.unwrap_or_default(), known.join(", "))
        })
    }
}

/// True if at least one of `count` values is above the quantile at `share`. Otherwise the quantile is the maximum.
pub fn has_beyond(count: u64, share: f64) -> bool {
    // With a tolerance: 1 - 0.9 is slightly less than a tenth.
    (1.0 - share) * count as f64 > 1.0 - 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_known_from_the_first_value_above_it() {
        for (count, share) in [(2, 0.5), (10, 0.9), (100, 0.99), (1_000, 0.999), (10_000, 0.9999), (100_000, 0.99999)] {
            assert!(has_beyond(count, share) && !has_beyond(count - 1, share), "{count}, {share}");
        }
    }

    #[test]
    fn figures_have_about_three_digits_and_a_suitable_unit() {
        for (metric, value, said) in [
            (Metric::RequestsPerS, 1_234_567.8, "1,234,568/s"),
            (Metric::RequestsPerS, 0.417, "0.42/s"),
            (Metric::P50, 0.48, "480 µs"),
            (Metric::P50, 12.34, "12.3 ms"),
            (Metric::P99, 100.0, "100 ms"),
            (Metric::Max, 2_310.0, "2.31 s"),
            (Metric::Cpu, 85.0, "85 µs"),
            (Metric::Memory, 31_200_000.0, "31.2 MB"),
            (Metric::Errors, 0.015, "1.5 %"),
        ] {
            assert_eq!(metric.say(value), said);
        }
        assert_eq!([0.6401, 1.0042, 12.34, 1.05].map(ratio_text), ["0.64", "1.004", "12.3", "1.050"]);
        assert_eq!((short(-1234.0), short(-123.0), short(0.0)), ("-1,234".into(), "-123".into(), "0".into()));
    }

    #[test]
    fn names_are_parsed_and_an_error_suggests_the_nearest_one() {
        for metric in Metric::ALL {
            assert_eq!(metric.name().parse(), Ok(metric));
        }
        let error = "p999".parse::<Metric>().unwrap_err();
        assert!(error.contains("Did you mean `p99.9`") && error.contains("requests/s"), "{error}");
        assert!(!"latency".parse::<Metric>().unwrap_err().contains("Did you"));
    }
}

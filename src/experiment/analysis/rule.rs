//! Rules that a comparison checks: `p99 > 1.2x`, `requests/s < -10%`, `p50 > 50ms`.

use std::fmt;
use std::str::FromStr;

use crate::experiment::statistics::{Metric, Unit, short};

/// A rule. It is broken if its condition is true.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub metric: Metric,
    operator: Operator,
    threshold: Threshold,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// Longer signs first, so that `>=` is not read as `>`.
const OPERATORS: [(&str, Operator); 4] =
    [(">=", Operator::AtLeast), ("<=", Operator::AtMost), (">", Operator::Above), ("<", Operator::Below)];

#[derive(Clone, Debug, PartialEq)]
enum Threshold {
    /// Ratio of the second run to the first.
    Ratio(f64),
    /// Value of the second run, in the metric's unit.
    Value(f64),
}

/// What a limit is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// The ratio or the value itself.
    Estimate,
    /// The end of its interval that is farther from breaking the rule: broken only if all of the interval is beyond the limit.
    Interval,
}

impl Rule {
    /// True if the rule is broken. `ratio`: second run to first; `value`: the second run's, in the metric's unit; each with the
    /// ends of its interval.
    pub fn is_broken(&self, ratio: [f64; 3], value: [f64; 3], strictness: Strictness) -> bool {
        let ([found, low, high], limit) = match self.threshold {
            Threshold::Ratio(limit) => (ratio, limit),
            Threshold::Value(limit) => (value, limit),
        };
        let found = match (strictness, self.operator) {
            (Strictness::Estimate, _) => found,
            (Strictness::Interval, Operator::Above | Operator::AtLeast) => low,
            (Strictness::Interval, Operator::Below | Operator::AtMost) => high,
        };
        match self.operator {
            Operator::Above => found > limit,
            Operator::AtLeast => found >= limit,
            Operator::Below => found < limit,
            Operator::AtMost => found <= limit,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| *operator == self.operator).map_or("", |(sign, _)| sign);
        let limit = match self.threshold {
            Threshold::Ratio(limit) => format!("{}x", short(limit)),
            Threshold::Value(limit) => self.metric.say(limit),
        };
        write!(f, "{} {sign} {limit}", self.metric)
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = OPERATORS.iter().find_map(|(sign, operator)| Some((text.split_once(sign)?, *operator)));
        let Some(((metric, limit), operator)) = found else {
            return Err(format!("`{text}` has no comparison (> >= < <=): write it as `p99 > 1.2x`"));
        };
        let metric: Metric = metric.trim().parse()?;
        let threshold = threshold(metric, limit.trim()).ok_or_else(|| {
            format!(
                "`{}` is not a limit for {metric}: give a ratio such as 1.2x, a change such as +20%, or a value such as {}",
                limit.trim(),
                example(metric.unit())
            )
        })?;
        Ok(Self { metric, operator, threshold })
    }
}

fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::PerSecond => "100/s",
        Unit::Milliseconds => "50ms",
        Unit::Microseconds => "80us",
        Unit::Bytes => "64MB",
        Unit::Share => "1%",
    }
}

fn threshold(metric: Metric, text: &str) -> Option<Threshold> {
    if let Some(ratio) = text.strip_suffix('x') {
        return number(ratio).map(Threshold::Ratio);
    }
    if text.starts_with(['+', '-']) {
        let percent: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
        return Some(Threshold::Ratio(1.0 + percent / 100.0)).filter(|_| percent > -100.0 && percent.is_finite());
    }
    // Factors to the metric's unit.
    let units: &[(&str, f64)] = match metric.unit() {
        Unit::PerSecond => &[("/s", 1.0)],
        Unit::Milliseconds => &[("us", 1e-3), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)],
        Unit::Microseconds => &[("us", 1.0), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)],
        Unit::Bytes => &[("kB", 1e3), ("MB", 1e6), ("GB", 1e9)],
        Unit::Share => &[("%", 1e-2)],
    };
    let (value, size) = units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    Some(Threshold::Value(number(value)? * size))
}

fn number(text: &str) -> Option<f64> {
    text.trim_end().parse().ok().filter(|value: &f64| *value >= 0.0 && value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_ratio_a_change_or_a_value() {
        for (text, ratio, value, is_broken) in [
            ("p99 > 1.2x", 1.21, 0.0, true),
            ("p99>1.2x", 1.2, 0.0, false),
            ("p99 >= 1.2x", 1.2, 0.0, true),
            ("requests/s < -10%", 0.89, 0.0, true),
            ("requests/s < -10 %", 0.91, 0.0, false),
            ("p99.9 > +20%", 1.3, 0.0, true),
            ("p50 > 50ms", 9.0, 50.0, false),
            ("p50 > 0.05 s", 0.1, 51.0, true),
            ("cpu <= 1ms", 0.1, 1_000.0, true),
            ("memory > 64MB", 1.0, 65e6, true),
            ("errors > 1%", 1.0, 0.011, true),
            ("errors > 0%", 1.0, 0.0, false),
            ("messages/s < 100/s", 2.0, 99.0, true),
        ] {
            let rule = text.parse::<Rule>().unwrap();
            assert_eq!(rule.is_broken([ratio; 3], [value; 3], Strictness::Estimate), is_broken, "{text}");
        }
    }

    #[test]
    fn by_the_interval_a_rule_is_broken_by_the_end_that_is_nearer_to_keeping_it() {
        let is_broken = |text: &str| {
            text.parse::<Rule>().unwrap().is_broken([1.3, 1.1, 1.5], [50.0, 40.0, 60.0], Strictness::Interval)
        };
        assert!(
            is_broken("p99 > 1.05x") && !is_broken("p99 > 1.2x") && is_broken("p99 < 70ms") && !is_broken("p99 < 55ms")
        );
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for (text, written) in
            [("p99>1.2x", "p99 > 1.2x"), ("p50 <= 50ms", "p50 <= 50 ms"), ("errors > +50%", "errors > 1.5x")]
        {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn errors_of_rules_say_what_to_write() {
        for (text, hint) in [
            ("p99", "p99 > 1.2x"),
            ("p98 > 1.2x", "Did you mean `p9"),
            ("p99 > 1.2", "1.2x"),
            ("p99 > 20%", "+20%"),
            ("p99 > 100/s", "50ms"),
            ("requests/s < 50ms", "100/s"),
            ("p99 > -1x", "1.2x"),
            ("p99 > infx", "1.2x"),
            ("p99 > -100%", "1.2x"),
            ("", "p99 > 1.2x"),
        ] {
            let error = text.parse::<Rule>().unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}

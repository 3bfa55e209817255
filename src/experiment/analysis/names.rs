//! Cells, figures and ratios as parts of sentences.

use std::collections::BTreeMap;

use crate::experiment::plan::Factor;
use crate::experiment::statistics::{ALIKE, Estimate, Metric, Ratio, Verdict, percent, ratio_text, short};

/// A cell's levels as text, such as `2 requesters, delay none`; empty if no factor varies.
pub fn label(levels: &BTreeMap<Factor, String>) -> String {
    levels.iter().map(|(factor, level)| level_of(*factor, level)).collect::<Vec<_>>().join(", ")
}

pub(super) fn level_of(factor: Factor, level: &str) -> String {
    let name = factor.name().replace('_', " ");
    match factor {
        Factor::Case | Factor::Load | Factor::Dispatch => level.to_owned(),
        _ if level == "1" && name.ends_with('s') && factor != Factor::PayloadBytes => {
            format!("1 {}", name.trim_end_matches('s'))
        }
        _ if level.parse::<u64>().is_ok() && name.ends_with('s') => format!("{level} {name}"),
        _ => format!("{name} {level}"),
    }
}

/// A figure with its interval: `720/s (718/s to 722/s)`.
pub(super) fn figure_said(metric: Metric, figure: &Estimate) -> String {
    let say = |value: f64| metric.say(value);
    match figure.count {
        0 | 1 => say(figure.median),
        _ => format!("{} ({} to {})", say(figure.median), say(figure.low), say(figure.high)),
    }
}

/// A share of something with its interval: `94.5 % (93.9 to 95.2)`.
pub(super) fn share_said(share: &Estimate) -> String {
    match share.count {
        0 | 1 => percent(share.median),
        _ => format!("{} ({} to {})", percent(share.median), short(share.low * 100.0), short(share.high * 100.0)),
    }
}

/// What a ratio says of a figure, after "throughput is".
pub(super) fn ratio_said(ratio: &Ratio) -> String {
    let (times, low, high) = (ratio_text(ratio.ratio), ratio_text(ratio.low), ratio_text(ratio.high));
    match ratio.verdict {
        _ if ratio.coverage == 0.0 => format!("{times} times as high in a single repetition"),
        Verdict::Higher | Verdict::Lower => format!("{times} times as high ({low} to {high})"),
        Verdict::Alike => {
            format!("the same within {} ({times} times, {low} to {high})", percent(ALIKE - 1.0))
        }
        Verdict::Unclear => format!("not clearly different ({times} times, {low} to {high})"),
    }
}

pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", short(count as f64), if count == 1 { one } else { many })
}

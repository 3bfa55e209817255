//! The abstract of a run: its findings as sentences, warnings first.

use super::effects::effects;
use super::names::{capital, figure_said, label, level_of, plural, ratio_said, share_said};
use super::warnings::warnings;
use super::{CellSummary, Contrast, Finding, KneeFinding, Summary};
use crate::experiment::plan::Plan;
use crate::experiment::run::Results;
use crate::experiment::statistics::{
    ALIKE, Estimate, Limit, Metric, Ratio, SUSTAINED, TOLERATED, Verdict, percent, short,
};

/// Maximum effects, contrasts and knees in the abstract; reports show all contrasts and knees.
pub(super) const MAX_SENTENCES: usize = 6;

/// Minimum repetitions for intervals of medians with a coverage of 95 %.
const ENOUGH_REPETITIONS: u32 = 6;

/// The sentences about the trials completed so far.
pub(super) fn findings(results: &Results, summary: &Summary) -> Vec<Finding> {
    let warnings = warnings(results, summary).into_iter().map(|text| Finding { is_warning: true, text });
    let mut shown = match measured(summary).count() {
        0 => vec![],
        1 if results.plan.cells.len() == 1 => vec![one_cell(&summary.cells[0])],
        _ => effects(results, summary),
    };
    shown.extend(summary.contrasts.iter().take(MAX_SENTENCES).filter_map(contrast));
    shown.extend(power(results, summary));
    shown.extend(summary.knees.iter().take(MAX_SENTENCES).map(knee));
    shown.extend(utilisation(&results.plan, summary));
    shown.extend(expected(&results.plan, summary));
    let repetitions = results.plan.repetitions;
    if repetitions == 1 {
        shown.push("Each cell was measured once: how much chance moves the figures is not known, nor whether latencies were steady.".to_owned());
    } else if repetitions < ENOUGH_REPETITIONS {
        let coverage = percent(1.0 - 0.5_f64.powi(repetitions as i32 - 1));
        shown.push(format!(
            "Intervals of medians are from the least to the greatest of {repetitions} repetitions and contain the true median with a probability of {coverage}; {ENOUGH_REPETITIONS} or more repetitions give 95 %."
        ));
    }
    warnings.chain(shown.into_iter().map(|text| Finding { is_warning: false, text })).collect()
}

fn measured(summary: &Summary) -> impl Iterator<Item = &CellSummary> {
    summary.cells.iter().filter(|cell| cell.trials > 0)
}

fn is_open(plan: &Plan, cell: &CellSummary) -> bool {
    plan.cells[cell.cell].setup.load.is_open()
}

fn one_cell(cell: &CellSummary) -> String {
    let say = |metric: Metric| cell.figures.get(&metric).map(|figure| figure_said(metric, &figure.estimate));
    let Some(rate) = say(Metric::RequestsPerS) else { return "Nothing was measured.".to_owned() };
    match (say(Metric::P50), say(Metric::P99)) {
        // They say only how long the load lasted.
        _ if cell.is_overloaded => format!("{rate} requests are completed: that is what the workers can do."),
        (Some(half), Some(tail)) => {
            format!("{rate} requests are completed, half of them within {half}, 99 % within {tail}.")
        }
        _ => "No request was complete.".to_owned(),
    }
}

fn contrast(contrast: &Contrast) -> Option<String> {
    let throughput = contrast.ratios.get(&Metric::RequestsPerS)?;
    let p99 = contrast.ratios.get(&Metric::P99)?;
    let others = if contrast.others.is_empty() { String::new() } else { format!(" ({})", label(&contrast.others)) };
    let (level, base) = (level_of(contrast.factor, &contrast.level), level_of(contrast.factor, &contrast.base));
    Some(format!(
        "{} against {base}{others}: throughput is {}, p99 is {}.",
        capital(&level),
        ratio_said(throughput),
        ratio_said(p99)
    ))
}

/// Repetitions that a small difference would have needed, where what was measured does not tell.
fn power(results: &Results, summary: &Summary) -> Option<String> {
    let judged = [Metric::RequestsPerS, Metric::P99];
    let ratios = summary.contrasts.iter().flat_map(|contrast| &contrast.ratios);
    let is_unclear = |(metric, ratio): &(&Metric, &Ratio)| {
        judged.contains(metric) && ratio.verdict == Verdict::Unclear && ratio.coverage > 0.0
    };
    let unclear: Vec<_> = ratios.filter(is_unclear).collect();
    let (metric, most) = unclear
        .iter()
        .map(|(metric, ratio)| (**metric, ratio.needed))
        .max_by_key(|(_, needed)| needed.unwrap_or(usize::MAX))?;
    let difference = percent(ALIKE - 1.0);
    let most = most.map_or_else(|| "more than 10,000".to_owned(), |needed| short(needed as f64));
    let comparisons = plural(unclear.len(), "comparison", "comparisons");
    Some(format!(
        "Where a difference is not clear ({comparisons}), one of {difference} would have needed up to {most} repetitions in place of {}, for {metric} (found in 80 % of the runs, as the only comparison).",
        results.plan.repetitions
    ))
}

fn knee(finding: &KneeFinding) -> String {
    let others = if finding.others.is_empty() { String::new() } else { format!("With {}: ", label(&finding.others)) };
    let rate = |value: f64| Metric::RequestsPerS.say(value);
    let capacity = finding
        .capacity_per_s
        .map_or_else(String::new, |capacity| format!(", of {} that delay and worker counts allow", rate(capacity)));
    let said = match finding.knee {
        None => {
            let lowest = finding.points.first().map_or(0.0, |point| point.offered);
            format!("not even the lowest rate, {}, was sustained{capacity}.", rate(lowest))
        }
        Some(knee) => {
            let what = match (knee.beyond, knee.limit) {
                (Some(beyond), Some(Limit::Throughput)) => {
                    format!("at {} less than {} of the requests due were done", rate(beyond), percent(SUSTAINED))
                }
                (Some(beyond), _) => {
                    format!(
                        "at {} the p99 was more than {} times that of the lowest rate",
                        rate(beyond),
                        short(TOLERATED)
                    )
                }
                (None, _) => "no higher rate was measured".to_owned(),
            };
            let interval = match knee.at_least {
                Some(least) if least == knee.at_most => String::new(),
                Some(least) => format!(" (by the intervals {} to {})", rate(least), rate(knee.at_most)),
                None => format!(" (by the intervals {} at the most)", rate(knee.at_most)),
            };
            format!("{} was sustained{interval}{capacity}; {what}.", rate(knee.sustained))
        }
    };
    capital(&(others + &said))
}

/// How much of the workers' capacity the open loads ask for.
fn utilisation(plan: &Plan, summary: &Summary) -> Option<String> {
    let of_capacity =
        |cell: &CellSummary| Some(plan.cells[cell.cell].setup.load.offered_per_s()? / cell.capacity_per_s(plan)?);
    let mut shares: Vec<f64> = measured(summary).filter_map(of_capacity).collect();
    shares.sort_by(f64::total_cmp);
    let (least, most) = (percent(*shares.first()?), percent(*shares.last()?));
    let said = if least == most { least } else { format!("{least} to {most}") };
    Some(format!("The load is {said} of what delay and worker counts allow."))
}

/// Compares the cells with their expected figures.
fn expected(plan: &Plan, summary: &Summary) -> Option<String> {
    let said = |cells: &[&CellSummary], metric: Metric, say: &dyn Fn(&Estimate) -> String| {
        let mut shares: Vec<_> =
            cells.iter().filter_map(|cell| Some((cell.by_expected.get(&metric)?, cell.cell))).collect();
        shares.sort_by(|a, b| a.0.median.total_cmp(&b.0.median));
        let name = |cell: usize| label(&plan.cells[cell].levels);
        Some(match &shares[..] {
            [] => return None,
            [(only, _)] => say(only),
            [(least, at), .., (most, _)] => format!("{} (with {}) to {}", say(least), name(*at), say(most)),
        })
    };
    let (open, closed): (Vec<_>, Vec<_>) = measured(summary).partition(|cell| is_open(plan, cell));
    let times = |share: &Estimate| match share.count {
        1 => format!("{} times", short(share.median)),
        _ => format!("{} times ({} to {})", short(share.median), short(share.low), short(share.high)),
    };
    let steady: Vec<_> = measured(summary).filter(|cell| !cell.is_overloaded).collect();
    let parts = [
        said(&closed, Metric::RequestsPerS, &share_said)
            .map(|share| format!("throughput is {share} of that expected from delay and worker counts")),
        said(&open, Metric::RequestsPerS, &share_said)
            .map(|share| format!("of what is expected of the same arrivals, {share} are done")),
        said(&steady, Metric::P50, &times).map(|times| format!("the median latency is {times} the expected")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("{}.", capital(&parts.join("; "))))
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;

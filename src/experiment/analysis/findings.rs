//! The abstract of a run: its findings as sentences, warnings first.

use std::collections::BTreeMap;

use super::{CellSummary, Contrast, Finding, KneeFinding, Summary, differs};
use crate::experiment::plan::{Factor, Load, Plan};
use crate::experiment::run::Results;
use crate::experiment::statistics::{Limit, SUSTAINED, TOLERATED};
use crate::experiment::statistics::{Metric, short};

/// Maximum contrasts and knees in the abstract; reports have them all.
const MAX_SENTENCES: usize = 6;

/// Minimum repetitions for intervals with a coverage of 95 %.
const ENOUGH_REPETITIONS: u32 = 6;

/// A load average above this share of the cores means that other programs use the machine.
const BUSY: f64 = 0.5;

/// The sentences about the trials completed so far.
pub(super) fn findings(results: &Results, summary: &Summary) -> Vec<Finding> {
    let warnings = warnings(results, summary).into_iter().map(|text| Finding { is_warning: true, text });
    let mut shown = match measured(summary).count() {
        0 => vec![],
        1 if results.plan.cells.len() == 1 => vec![one_cell(&summary.cells[0])],
        _ => effects(&results.plan, &summary.cells),
    };
    shown.extend(summary.contrasts.iter().take(MAX_SENTENCES).filter_map(contrast));
    shown.extend(summary.knees.iter().take(MAX_SENTENCES).map(knee));
    shown.extend(expected(&results.plan, summary));
    let repetitions = results.plan.repetitions;
    if repetitions > 1 && repetitions < ENOUGH_REPETITIONS {
        let coverage = 100.0 * (1.0 - 0.5_f64.powi(repetitions as i32 - 1));
        shown.push(format!(
            "Intervals are from the least to the greatest of {repetitions} repetitions and contain the true median with a probability of {} %; {ENOUGH_REPETITIONS} or more repetitions give 95 %.",
            short(coverage)
        ));
    }
    warnings.chain(shown.into_iter().map(|text| Finding { is_warning: false, text })).collect()
}

/// A cell's levels as text, such as `2 requesters, delay none`; empty if no factor varies.
pub fn label(levels: &BTreeMap<Factor, String>) -> String {
    levels.iter().map(|(factor, level)| level_of(*factor, level)).collect::<Vec<_>>().join(", ")
}

fn level_of(factor: Factor, level: &str) -> String {
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

fn measured(summary: &Summary) -> impl Iterator<Item = &CellSummary> {
    summary.cells.iter().filter(|cell| cell.trials > 0)
}

/// Why expected figures may not be those of the trials.
fn doubts<'a>(results: &'a Results, summary: &'a Summary) -> impl Iterator<Item = String> + 'a {
    let with = |cell: &CellSummary, doubt: String| match label(&results.plan.cells[cell.cell].levels).as_str() {
        "" => format!("Expected figures: {doubt}."),
        label => format!("Expected figures of {label}: {doubt}."),
    };
    let of_cell = move |cell: &'a CellSummary| {
        cell.expected.iter().flat_map(|expected| expected.doubts()).map(move |doubt| with(cell, doubt))
    };
    measured(summary).flat_map(of_cell)
}

fn warnings(results: &Results, summary: &Summary) -> Vec<String> {
    let mut warnings = vec![];
    if summary.trials_done < summary.trials_planned {
        warnings.push(format!("{} of {} trials are complete.", summary.trials_done, summary.trials_planned));
    }
    let lost: Vec<_> =
        results.trials.iter().filter_map(|trial| Some((trial.number, trial.problem.as_ref()?))).collect();
    if let Some((number, problem)) = lost.first() {
        let count = plural(lost.len(), "trial has", "trials have");
        warnings.push(format!("{count} no figures; trial {}: {problem}", number + 1));
    }
    let unbalanced = summary.cells.iter().map(|cell| cell.unbalanced).sum();
    if unbalanced > 0 {
        let count = plural(unbalanced, "trial", "trials");
        warnings.push(format!("The ledger does not balance in {count}: messages were lost or counted twice."));
    }
    warnings.extend(doubts(results, summary).take(MAX_SENTENCES));
    let behind = summary.cells.iter().map(|cell| cell.behind).sum();
    if behind > 0 {
        let count = plural(behind, "trial", "trials");
        warnings.push(format!("The load generator fell behind in {count}: their figures show the generator's limit."));
    }
    let sum = |of: fn(&CellSummary) -> u64| summary.cells.iter().map(of).sum::<u64>();
    let (sent, failed, refused) =
        (sum(|cell| cell.requests.sent), sum(|cell| cell.requests.failed), sum(|cell| cell.requests.refused));
    if failed + refused > 0 {
        let reasons = summary.cells.iter().flat_map(|cell| &cell.errors);
        let why = reasons.max_by_key(|(_, count)| **count).map(|(reason, _)| format!(", most often: {reason}"));
        warnings.push(format!(
            "Of {} requests, {} failed and {} were refused{}.",
            short(sent as f64),
            short(failed as f64),
            short(refused as f64),
            why.unwrap_or_default()
        ));
    }
    let environment = &results.environment;
    if environment.load_average > BUSY * environment.cores as f64 {
        warnings.push(format!(
            "Other programs used the machine when the run began: the load average was {} on {}.",
            short(environment.load_average),
            plural(environment.cores, "core", "cores")
        ));
    }
    warnings
}

fn one_cell(cell: &CellSummary) -> String {
    let say = |metric: Metric| cell.median(metric).map_or_else(|| "unknown".to_owned(), |value| metric.say(value));
    format!(
        "{} requests per second are completed, half of them within {}, 99 % within {}.",
        say(Metric::RequestsPerS).trim_end_matches("/s"),
        say(Metric::P50),
        say(Metric::P99)
    )
}

/// The effect of each factor, the largest first.
fn effects(plan: &Plan, cells: &[CellSummary]) -> Vec<String> {
    let steady_rates = |factor: Factor| {
        factor == Factor::Load && !plan.cells.iter().any(|cell| matches!(cell.setup.load, Load::Closed { .. }))
    };
    let factors = plan.factors.iter().filter(|(factor, _)| !steady_rates(*factor) && plan.pair != Some(*factor));
    let mut effects: Vec<_> = factors.filter_map(|(factor, levels)| Effect::of(plan, cells, *factor, levels)).collect();
    effects.sort_by(|a, b| b.size().total_cmp(&a.size()));
    let mut said: Vec<String> = effects.iter().map(Effect::say).collect();
    if plan.factors.len() > 1 || plan.factors.iter().any(|(factor, _)| *factor == Factor::Case) {
        said.extend(best(plan, cells));
    }
    said
}

/// The cells with the highest throughput and the lowest p99.
fn best(plan: &Plan, cells: &[CellSummary]) -> Option<String> {
    let by = |metric: Metric| {
        let mut cells: Vec<_> = cells.iter().filter_map(|cell| Some((cell.median(metric)?, cell.cell))).collect();
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));
        cells
    };
    let name = |cell: usize| label(&plan.cells[cell].levels);
    let (rates, tails) = (by(Metric::RequestsPerS), by(Metric::P99));
    let ((rate, fastest), (tail, shortest)) = (*rates.last()?, *tails.first()?);
    let (rate, tail) = (Metric::RequestsPerS.say(rate), Metric::P99.say(tail));
    Some(match fastest == shortest {
        true => format!("{} has the highest throughput, {rate}, and the lowest p99, {tail}.", capital(&name(fastest))),
        false => format!(
            "{} has the highest throughput, {rate}; {} has the lowest p99, {tail}.",
            capital(&name(fastest)),
            name(shortest)
        ),
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The effect of a factor: its first level against its last, or the slowest against the fastest if levels have no order.
struct Effect {
    factor: Factor,
    from: String,
    to: String,
    /// Throughput and p99 at both levels, for each combination of the other factors.
    pairs: Vec<[(f64, f64); 2]>,
}

impl Effect {
    fn of(plan: &Plan, cells: &[CellSummary], factor: Factor, levels: &[String]) -> Option<Self> {
        let figures = |cell: &CellSummary| Some((cell.median(Metric::RequestsPerS)?, cell.median(Metric::P99)?));
        let at = |level: &str| {
            let found =
                cells.iter().filter(|cell| plan.cells[cell.cell].levels.get(&factor).is_some_and(|it| it == level));
            found.filter_map(|cell| Some((cell.cell, figures(cell)?))).collect::<Vec<_>>()
        };
        let is_numeric = levels.iter().all(|level| level.parse::<f64>().is_ok());
        let (from, to) = match is_numeric {
            true => (levels.first()?.clone(), levels.last()?.clone()),
            false => {
                let pace = |level: &&String| at(level).iter().map(|(_, (rate, _))| rate.ln()).sum::<f64>();
                let slowest = levels.iter().min_by(|a, b| pace(a).total_cmp(&pace(b)))?;
                let fastest = levels.iter().max_by(|a, b| pace(a).total_cmp(&pace(b)))?;
                (slowest.clone(), fastest.clone())
            }
        };
        let others = |cell: usize| {
            let mut levels = plan.cells[cell].levels.clone();
            levels.remove(&factor);
            levels
        };
        let after = at(&to);
        let pairs = at(&from).into_iter().filter_map(|(cell, before)| {
            let partner = after.iter().find(|(other, _)| others(*other) == others(cell))?;
            Some([before, partner.1])
        });
        let pairs: Vec<_> = pairs.filter(|[before, after]| before.0 > 0.0 && after.0 > 0.0).collect();
        (from != to && !pairs.is_empty()).then_some(Self { factor, from, to, pairs })
    }

    fn throughput_ratios(&self) -> impl Iterator<Item = f64> {
        self.pairs.iter().map(|[before, after]| after.0 / before.0)
    }

    /// The geometric mean of the ratios, so that 0.5 and 2 cancel out.
    fn mean_ratio(&self) -> f64 {
        (self.throughput_ratios().map(f64::ln).sum::<f64>() / self.pairs.len() as f64).exp()
    }

    fn size(&self) -> f64 {
        self.mean_ratio().ln().abs()
    }

    fn say(&self) -> String {
        let (from, to) = (level_of(self.factor, &self.from), level_of(self.factor, &self.to));
        let rate = |value: f64| Metric::RequestsPerS.say(value);
        let p99 = |value: f64| Metric::P99.say(value);
        if let [[before, after]] = self.pairs[..] {
            return format!(
                "From {from} to {to}, throughput is {} ({} to {}) and p99 goes from {} to {}.",
                times(after.0 / before.0),
                rate(before.0),
                rate(after.0),
                p99(before.1),
                p99(after.1)
            );
        }
        let ratios: Vec<f64> = self.throughput_ratios().collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        format!(
            "From {from} to {to}, throughput is {} on average over the levels of the other factors, {} to {} times.",
            times(self.mean_ratio()),
            short(least),
            short(most)
        )
    }
}

fn contrast(contrast: &Contrast) -> Option<String> {
    let throughput = contrast.ratios.get(&Metric::RequestsPerS)?;
    let p99 = contrast.ratios.get(&Metric::P99)?;
    let others = if contrast.others.is_empty() { String::new() } else { format!(" ({})", label(&contrast.others)) };
    let (level, base) = (level_of(contrast.factor, &contrast.level), level_of(contrast.factor, &contrast.base));
    let describe = |name: &str, ratio: &crate::experiment::statistics::Estimate| match differs(ratio) {
        true => format!("{} times its {name} ({} to {})", short(ratio.median), short(ratio.low), short(ratio.high)),
        false => format!(
            "no clear difference in {name} ({} times, {} to {})",
            short(ratio.median),
            short(ratio.low),
            short(ratio.high)
        ),
    };
    Some(format!(
        "{} against {base}{others}: {}, {}.",
        capital(&level),
        describe("throughput", throughput),
        describe("p99", p99)
    ))
}

fn knee(finding: &KneeFinding) -> String {
    let others = if finding.others.is_empty() { String::new() } else { format!("With {}: ", label(&finding.others)) };
    let capacity = finding
        .capacity_per_s
        .map_or_else(String::new, |rate| format!(", where the workers could serve {}", Metric::RequestsPerS.say(rate)));
    let rate = |value: f64| Metric::RequestsPerS.say(value);
    let said = match finding.knee {
        None => {
            let lowest = finding.points.first().map_or(0.0, |point| point.offered);
            format!("not even the lowest rate, {}, was sustained{capacity}.", rate(lowest))
        }
        Some(knee) => {
            let what = match (knee.beyond, knee.limit) {
                (Some(beyond), Some(Limit::Throughput)) => {
                    format!("at {} less than {} % of the rate was achieved", rate(beyond), short(SUSTAINED * 100.0))
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
            format!("{} was sustained{capacity}; {what}.", rate(knee.sustained))
        }
    };
    capital(&(others + &said))
}

/// Compares the cells with their expected figures.
fn expected(plan: &Plan, summary: &Summary) -> Option<String> {
    let sorted_ratios = |metric: Metric| {
        let mut cells: Vec<_> =
            measured(summary).filter_map(|cell| Some((*cell.of_expected.get(&metric)?, cell.cell))).collect();
        cells.sort_by(|a, b| a.0.total_cmp(&b.0));
        (!cells.is_empty()).then_some(cells)
    };
    let throughput = sorted_ratios(Metric::RequestsPerS)?;
    let name = |cell: usize| label(&plan.cells[cell].levels);
    let percent = |ratio: f64| format!("{} %", short(ratio * 100.0));
    let mut said = match &throughput[..] {
        [] => return None,
        [(least, at), .., (most, _)] if percent(*least) != percent(*most) => {
            format!("Throughput is {} to {} of the expected, least with {}", percent(*least), percent(*most), name(*at))
        }
        [(each, _), ..] => format!("Throughput is {} of the expected", percent(*each)),
    };
    let over = measured(summary).filter_map(|cell| Some(cell.median(Metric::P50)? - cell.expected(Metric::P50)?));
    let mut over: Vec<f64> = over.collect();
    over.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (over.first(), over.last()) {
        let ms = |value: f64| match value < 0.0 {
            true => format!("-{}", Metric::P50.say(-value)),
            false => Metric::P50.say(value),
        };
        said += &match over.len() {
            1 => format!("; the median latency is {} above the expected", ms(*least)),
            _ => format!("; the median latency differs from the expected by {} to {}", ms(*least), ms(*most)),
        };
    }
    Some(said + ".")
}

fn times(ratio: f64) -> String {
    match (ratio - 1.0).abs() < 0.005 {
        true => "the same".to_owned(),
        false => format!("{} times as high", short(ratio)),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", short(count as f64), if count == 1 { one } else { many })
}

//! Sentences about the effect of each factor, and about the best cells.

use std::collections::BTreeMap;

use super::contrast::ratio;
use super::findings::MAX_SENTENCES;
use super::names::{capital, figure_said, label, level_of, ratio_said};
use super::{CellSummary, Summary};
use crate::experiment::plan::Factor;
use crate::experiment::run::Results;
use crate::experiment::statistics::{Metric, Ratio, judge};

/// Maximum cells that are named as no different from the best.
const MAX_NAMED: usize = 3;

/// A factor's first level against a later one.
struct Effect {
    factor: Factor,
    from: String,
    to: String,
    /// What the sentence is about: throughput of closed loops; of open ones, where throughput is the load, the p99.
    metric: Metric,
    /// For each combination of the other factors: their levels, and the ratios of throughput and p99.
    pairs: Vec<(BTreeMap<Factor, String>, BTreeMap<Metric, Ratio>)>,
}

/// The effects of the factors, the largest first, and the best cells.
pub(super) fn effects(results: &Results, summary: &Summary) -> Vec<String> {
    let plan = &results.plan;
    let is_open = plan.cells.iter().any(|cell| cell.setup.load.is_open());
    let metric = if is_open { Metric::P99 } else { Metric::RequestsPerS };
    let mut effects = vec![];
    for (factor, levels) in &plan.factors {
        // Pairs and rates have sentences of their own.
        if plan.pair == Some(*factor) || (*factor == Factor::Load && is_open) {
            continue;
        }
        let [first, later @ ..] = &levels[..] else { continue };
        // Numbers have an order; of other levels, which is best would be chosen by what is measured.
        let is_numeric = levels.iter().all(|level| level.parse::<f64>().is_ok());
        let compared = if is_numeric { &later[later.len().saturating_sub(1)..] } else { later };
        effects.extend(compared.iter().filter_map(|to| Effect::of(results, summary, *factor, [first, to], metric)));
    }
    judge(effects.iter_mut().flat_map(|effect| &mut effect.pairs).flat_map(|(_, ratios)| ratios.values_mut()));
    effects.sort_by(|a, b| b.size().total_cmp(&a.size()));
    let mut said: Vec<String> = effects.iter().take(MAX_SENTENCES).map(Effect::say).collect();
    if !is_open && (plan.factors.len() > 1 || plan.factors.iter().any(|(factor, _)| *factor == Factor::Case)) {
        said.extend(best(results, &summary.cells, Metric::RequestsPerS, "highest throughput"));
        said.extend(best(results, &summary.cells, Metric::P99, "lowest p99"));
    }
    said
}

impl Effect {
    fn of(
        results: &Results,
        summary: &Summary,
        factor: Factor,
        [from, to]: [&String; 2],
        metric: Metric,
    ) -> Option<Self> {
        let cells = &results.plan.cells;
        let others = |cell: usize| {
            let mut levels = cells[cell].levels.clone();
            levels.remove(&factor);
            levels
        };
        let at = |level: &String| {
            let is_there = |cell: &&CellSummary| cells[cell.cell].levels.get(&factor) == Some(level) && cell.trials > 0;
            summary.cells.iter().filter(is_there).map(|cell| cell.cell).collect::<Vec<_>>()
        };
        let after = at(to);
        let pair = |first: usize| {
            let second = after.iter().find(|second| others(**second) == others(first))?;
            let found = [metric, Metric::P99].map(|one| Some((one, ratio(results, one, first, *second)?)));
            let found: BTreeMap<_, _> = found.into_iter().flatten().collect();
            found.contains_key(&metric).then(|| (others(first), found))
        };
        let mut pairs: Vec<_> = at(from).into_iter().filter_map(pair).collect();
        pairs.sort_by(|(_, a), (_, b)| a[&metric].ratio.total_cmp(&b[&metric].ratio));
        (!pairs.is_empty()).then(|| Self { factor, from: from.clone(), to: to.clone(), metric, pairs })
    }

    /// The mean of the logarithms, so that 0.5 and 2 cancel out.
    fn size(&self) -> f64 {
        (self.pairs.iter().map(|(_, ratios)| ratios[&self.metric].ratio.ln()).sum::<f64>() / self.pairs.len() as f64)
            .abs()
    }

    fn say(&self) -> String {
        let (from, to) = (level_of(self.factor, &self.from), level_of(self.factor, &self.to));
        let name = if self.metric == Metric::P99 { "p99" } else { "throughput" };
        let said = |ratios: &BTreeMap<Metric, Ratio>| ratio_said(&ratios[&self.metric]);
        match &self.pairs[..] {
            [] => String::new(),
            [(_, ratios)] => {
                let tail = ratios.get(&Metric::P99).filter(|_| self.metric != Metric::P99);
                let tail = tail.map_or_else(String::new, |ratio| format!(", and p99 is {}", ratio_said(ratio)));
                format!("From {from} to {to}, {name} is {}{tail}.", said(ratios))
            }
            [(least, low), .., (most, high)] => format!(
                "From {from} to {to}, {name} is {} with {} at the least, and {} with {} at the most.",
                said(low),
                label(least),
                said(high),
                label(most)
            ),
        }
    }
}

/// The cell that is best by a metric, and those that are not clearly worse.
fn best(results: &Results, cells: &[CellSummary], metric: Metric, what: &str) -> Option<String> {
    let mut known: Vec<_> = cells.iter().filter_map(|cell| Some((cell.median(metric)?, cell))).collect();
    known.sort_by(|(a, _), (b, _)| if metric.is_better_higher() { b.total_cmp(a) } else { a.total_cmp(b) });
    let [(_, first), others @ ..] = &known[..] else { return None };
    let name = |cell: &CellSummary| label(&results.plan.cells[cell.cell].levels);
    let against = |(_, cell): &(f64, &CellSummary)| ratio(results, metric, first.cell, cell.cell);
    let mut compared: Vec<Option<Ratio>> = others.iter().map(against).collect();
    judge(compared.iter_mut().flatten());
    let is_tied = |ratio: &Option<Ratio>| !ratio.is_some_and(|ratio| ratio.is_clear());
    let tied: Vec<String> =
        others.iter().zip(&compared).filter(|(_, ratio)| is_tied(ratio)).map(|((_, cell), _)| name(cell)).collect();
    let figure = figure_said(metric, &first.figures[&metric].estimate);
    let tied = match &tied[..] {
        [] => String::new(),
        few if few.len() <= MAX_NAMED => format!("; not clearly different: {}", few.join("; ")),
        many => format!("; {} other cells are not clearly different", many.len()),
    };
    Some(format!("{} has the {what}, {figure}{tied}.", capital(&name(first))))
}

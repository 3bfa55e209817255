//! Runs and comparisons as terminal tables, with small bars.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, Table};

use crate::experiment::analysis::{CellSummary, Comparison, Figure, Summary, label};
use crate::experiment::plan::Factor;
use crate::experiment::run::Results;
use crate::experiment::statistics::{Estimate, Metric, Ratio, Verdict, percent, ratio_text, short};

/// Width of the longest bar, in characters.
const BAR: usize = 12;

/// Block characters of 0 to 7 eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The metrics with a column in `compare`.
const COMPARED: [Metric; 6] =
    [Metric::RequestsPerS, Metric::P50, Metric::P99, Metric::Cpu, Metric::Memory, Metric::Errors];

/// A row for each cell: throughput with a bar, latencies, share of the expected, problems.
pub fn table(results: &Results, summary: &Summary) -> String {
    let factors: Vec<Factor> = results.plan.factors.iter().map(|(factor, _)| *factor).collect();
    let mut table = start(
        factors
            .iter()
            .map(|factor| factor.name().replace('_', " "))
            .chain(["requests/s", "", "p50", "p99", "p99.9", "of expected", "failed"].map(str::to_owned)),
    );
    let rate = |cell: usize| summary.cells[cell].median(Metric::RequestsPerS).unwrap_or_default();
    let most = (0..summary.cells.len()).map(rate).fold(0.0, f64::max);
    for (at, cell) in summary.cells.iter().enumerate() {
        let levels = &results.plan.cells[cell.cell].levels;
        let mut row = Row::from(factors.iter().map(|factor| levels.get(factor).cloned().unwrap_or_default()));
        let figure = |metric: Metric| {
            right(cell.figures.get(&metric).map(|figure| say(metric, figure) + mark(cell, metric, figure)))
        };
        row.add_cell(figure(Metric::RequestsPerS));
        row.add_cell(Cell::new(bar(rate(at), most)));
        for metric in [Metric::P50, Metric::P99, Metric::P999] {
            row.add_cell(figure(metric));
        }
        let share = cell.by_expected.get(&Metric::RequestsPerS);
        row.add_cell(right(share.map(|share| percent(share.median))));
        row.add_cell(right((cell.trials > 0).then(|| short((cell.requests.failed + cell.requests.refused) as f64))));
        table.add_row(row);
    }
    with_meanings(table.to_string())
}

/// A table with the meanings of the signs that it has.
fn with_meanings(mut table: String) -> String {
    for (sign, meaning) in MARKS {
        if table.contains(sign) {
            let _ = write!(table, "\n{sign} {meaning}");
        }
    }
    table
}

/// Signs behind figures.
const MARKS: [(&str, &str); 3] = [
    ("*", "of fewer requests than the percentile needs: just the slowest one"),
    ("!", "latency without a steady state: it depends on warm-up and duration"),
    ("^", "latency cut off by timeouts: the true one is higher"),
];

fn mark(cell: &CellSummary, metric: Metric, figure: &Figure) -> &'static str {
    match metric {
        Metric::RequestsPerS => "",
        _ if cell.is_overloaded || cell.is_unsteady => MARKS[1].0,
        _ if cell.messages.timeouts > 0 => MARKS[2].0,
        _ => few(figure),
    }
}

fn few(figure: &Figure) -> &'static str {
    if figure.is_few { MARKS[0].0 } else { "" }
}

/// The cells of both runs with the ratios of the second to the first, then other differences and broken rules.
pub fn compare_table(comparison: &Comparison) -> String {
    let named = |metric: Metric| metric.name().to_owned();
    let mut table = start(["cell".to_owned(), String::new()].into_iter().chain(COMPARED.map(named)));
    for cell in &comparison.cells {
        let row = |title: &str, which: &str, of: &dyn Fn(Metric) -> Option<String>| {
            let mut row = Row::from([title, which]);
            COMPARED.iter().for_each(|metric| _ = row.add_cell(right(of(*metric))));
            row
        };
        let title = if cell.levels.is_empty() { "all".to_owned() } else { label(&cell.levels) };
        let median = |metric: Metric, figure: &Figure| metric.say(figure.estimate.median) + few(figure);
        table.add_row(row(&title, "before", &|metric| cell.before.get(&metric).map(|it| median(metric, it))));
        table.add_row(row("", "after", &|metric| cell.after.get(&metric).map(|it| median(metric, it))));
        table.add_row(row("", "ratio", &|metric| {
            cell.ratios.get(&metric).map(|ratio| times(metric, ratio, comparison.aa_runs > 0))
        }));
    }
    let mut said = with_meanings(table.to_string());
    let mut list = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            let _ = write!(said, "\n{title}");
            lines.iter().for_each(|line| _ = write!(said, "\n  {line}"));
        }
    };
    list("Intervals and marks:", &method(comparison));
    list("Not alike:", &comparison.unlike);
    list("Only in the first:", &comparison.only_before);
    list("Only in the second:", &comparison.only_after);
    list("Broken rules:", &comparison.broken);
    said
}

fn start(header: impl Iterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

fn right(text: Option<String>) -> Cell {
    Cell::new(text.unwrap_or_else(|| "–".to_owned())).set_alignment(CellAlignment::Right)
}

/// A median, and half of its interval's width unless that is negligible.
fn say(metric: Metric, figure: &Figure) -> String {
    let Estimate { median, low, high, count, .. } = figure.estimate;
    let half = (high - low) / 2.0;
    match count > 1 && median > 0.0 && half / median >= 0.005 {
        true => format!("{} ±{} %", metric.say(median), short((half / median * 100.0).round())),
        false => metric.say(median),
    }
}

/// A ratio, its interval, and what it says: better or worse if it is known how much runs of one program differ, higher or lower
/// if not.
fn times(metric: Metric, ratio: &Ratio, is_known: bool) -> String {
    let mark = match ratio.verdict {
        Verdict::Higher if !is_known => " higher",
        Verdict::Lower if !is_known => " lower",
        Verdict::Higher if metric.is_better_higher() => " better",
        Verdict::Lower if !metric.is_better_higher() => " better",
        Verdict::Higher | Verdict::Lower => " worse",
        Verdict::Alike => " alike",
        Verdict::Unclear => "",
    };
    let interval = match ratio.coverage > 0.0 {
        true => format!(" ({}–{})", ratio_text(ratio.low), ratio_text(ratio.high)),
        false => String::new(),
    };
    format!("{}x{mark}{interval}", ratio_text(ratio.ratio))
}

/// How a comparison was made.
fn method(comparison: &Comparison) -> Vec<String> {
    let how = match comparison.is_paired {
        true => "trials of the same repetition, which have the same arrivals, are compared with one another",
        false => "all trials of both runs are compared, because seed, warm-up, duration or count differ",
    };
    let between = match comparison.aa_runs {
        0 => "they hold for these two runs: other runs of the same programs may differ by more, which --aa measures"
            .to_owned(),
        runs => format!("they include how much {runs} runs of the first program differ (A/A)"),
    };
    vec![
        format!("95 % of intervals contain the true ratio; {how}"),
        between,
        "a mark is wrong in one of twenty comparisons (Holm, over all marked metrics and cells); alike: within 5 %"
            .to_owned(),
    ]
}

/// A bar in eighths of characters.
fn bar(value: f64, most: f64) -> String {
    let eighths = if most > 0.0 { (value / most * (BAR * 8) as f64).round() as usize } else { 0 };
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::analysis::Summary;
    use crate::experiment::expected::Expectations;
    use crate::experiment::{good_trial, results_of};

    #[test]
    fn bars_have_the_length_of_their_values() {
        assert_eq!((bar(12.0, 12.0), bar(6.0, 12.0), bar(0.0, 12.0)), ("█".repeat(12), "█".repeat(6), String::new()));
        assert_eq!((bar(1.5, 12.0), bar(1.0, 0.0)), ("█▌".to_owned(), String::new()));
    }

    #[test]
    fn every_cell_has_a_row_also_before_its_first_trial() {
        let plan = "duration = \"10s\"\nrepetitions = 3\n[factors]\nresponders = [1, 2, 3]";
        let mut results = results_of(plan, |cell, again| good_trial(cell, again, 100.0 + 10.0 * f64::from(again), 100));
        results.trials.retain(|trial| trial.cell < 2);
        let table = table(&results, &Summary::of(&results, &Expectations::of(&results.plan)));
        assert_eq!(table.matches("110/s ±9 %").count(), 2, "{table}");
        assert_eq!(table.matches(&"█".repeat(12)).count(), 2, "{table}");
        assert!(table.contains("responders") && table.contains("–"), "{table}");
    }
}

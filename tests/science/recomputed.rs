//! The figures of a recorded `results.json`, worked out from its fields once more, by nothing of the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Quantiles of Student's t at 97.5 %, by degrees of freedom from 1.
const STUDENT: [f64; 7] = [12.706_204_7, 4.302_652_7, 3.182_446_3, 2.776_445_1, 2.570_581_8, 2.446_911_9, 2.364_624_3];

/// A run.
pub struct Recorded(pub Value);

/// By repetition.
pub type Figures = BTreeMap<u64, f64>;

impl Recorded {
    pub fn read(path: &Path) -> Self {
        Self(serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
    }

    pub fn cells(&self) -> usize {
        self.0["plan"]["cells"].as_array().unwrap().len()
    }

    pub fn setup(&self, cell: usize) -> &Value {
        &self.0["plan"]["cells"][cell]["setup"]
    }

    /// The trials of a cell that have figures.
    pub fn trials(&self, cell: usize) -> impl Iterator<Item = &Value> {
        let all = self.0["trials"].as_array().unwrap().iter();
        all.filter(move |trial| trial["cell"] == cell && trial["problem"].is_null())
    }

    /// Requests a second, or a percentile in milliseconds: `requests/s`, `p50`, `p99`.
    pub fn figures(&self, cell: usize, metric: &str) -> Figures {
        let figure = |trial: &Value| match metric {
            "requests/s" => trial["requestsPerS"].as_f64().unwrap(),
            percentile => trial["latency"][format!("{percentile}Us")].as_f64().unwrap() / 1_000.0,
        };
        self.trials(cell).map(|trial| (trial["repetition"].as_u64().unwrap(), figure(trial))).collect()
    }

    /// Median, least and greatest: with up to eight values the interval is all of them.
    pub fn estimate(&self, cell: usize, metric: &str) -> [f64; 3] {
        estimate(self.figures(cell, metric).values().copied())
    }

    /// The step of counting: one request of a trial's, or the last of a latency's three digits.
    fn step(&self, cell: usize, metric: &str) -> f64 {
        let counted =
            |trial: &Value| 1_000.0 / (trial["requestsPerS"].as_f64().unwrap() * trial["measuredMs"].as_f64().unwrap());
        if metric == "requests/s" { self.trials(cell).map(counted).fold(0.0, f64::max) } else { 0.001 }
    }

    /// The ratio of two cells' trials of the same repetition, with its interval, and the repetitions that a difference of 5 %
    /// needs.
    pub fn ratio(&self, metric: &str, first: usize, second: usize) -> ([f64; 3], Option<f64>) {
        let (before, after) = (self.figures(first, metric), self.figures(second, metric));
        let step = self.step(first, metric).max(self.step(second, metric));
        ratio(before.iter().map(|(repetition, before)| [*before, after[repetition]]), step)
    }

    /// The mean latency of the second half by that of the first.
    pub fn halves(&self, cell: usize) -> [f64; 3] {
        let means =
            self.trials(cell).map(|trial| [0, 1].map(|half| trial["steadiness"]["meanMs"][half].as_f64().unwrap()));
        ratio(means, 0.0).0
    }

    /// Messages a second that the responder workers can do.
    pub fn capacity(&self, cell: usize) -> f64 {
        let setup = self.setup(cell);
        let of = |field: &str| setup["delay"][field].as_f64().unwrap();
        let mean = if setup["delay"]["kind"] == "uniform" { of("minMs").midpoint(of("maxMs")) } else { of("meanMs") };
        let workers = setup["responders"].as_f64().unwrap() * setup["responderInstances"].as_f64().unwrap();
        workers * 1_000.0 / mean
    }

    /// The rate of an open load, of `poisson 50/s` 50.
    pub fn rate(&self, cell: usize) -> Option<f64> {
        let load = self.setup(cell)["load"].as_str().unwrap();
        load.strip_prefix("poisson ")?.strip_suffix("/s")?.parse().ok()
    }

    /// For each rate of some cells, the share of what was due that was done, and the p99 by that of the lowest rate: its median
    /// and its interval.
    pub fn load_points(&self, cells: &[usize]) -> Vec<(f64, [f64; 3], [f64; 3])> {
        let mut sorted = cells.to_vec();
        sorted.sort_by(|a, b| self.rate(*a).unwrap().total_cmp(&self.rate(*b).unwrap()));
        let lowest = self.figures(sorted[0], "p99");
        let share = |trial: &Value| {
            let number = |value: &Value| value.as_f64().unwrap();
            let seconds = number(&trial["measuredMs"]) / 1_000.0;
            let due = number(&trial["requests"]["sent"]) + number(&trial["generator"]["unsent"]);
            let under_way = due / seconds * number(&trial["latency"]["meanUs"]) / 1e6;
            ((number(&trial["requestsPerS"]) * seconds + 3.0 * (2.0 * under_way).sqrt()) / due).min(1.0)
        };
        let point = |cell: usize| {
            let times = self.figures(cell, "p99").into_iter().map(|(repetition, p99)| p99 / lowest[&repetition]);
            (self.rate(cell).unwrap(), estimate(self.trials(cell).map(share)), estimate(times))
        };
        sorted.into_iter().map(point).collect()
    }
}

/// Median, least and greatest.
pub fn estimate(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    assert!(values.len() <= 8, "of more values the interval is not all of them");
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    [median, values[0], values[values.len() - 1]]
}

/// The ratio of geometric means with its interval by Student's t, and the repetitions that a difference of 5 % needs.
fn ratio(pairs: impl Iterator<Item = [f64; 2]>, step: f64) -> ([f64; 3], Option<f64>) {
    let logs: Vec<f64> = pairs.map(|[before, after]| (after / before).ln()).collect();
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let variance = variance.max(step * step / 6.0);
    let half = step + STUDENT[logs.len() - 2] * (variance / count).sqrt();
    let found = 1.05_f64.ln() - step;
    let needed = (1.959964 + 0.841621_f64).powi(2) * variance / (found * found) + 1.959964_f64.powi(2) / 2.0;
    ([mean, mean - half, mean + half].map(f64::exp), (found > 0.0 && needed <= 10_000.0).then(|| needed.ceil()))
}

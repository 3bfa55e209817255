//! The sentences of reports of recorded runs: every number in each of them is worked out once more from the run's
//! `results.json`. A sentence that is not known here fails.
//!
//! `recorded/` holds results of short runs of the ready-made plans, without what sentences do not tell of: hops, percentiles,
//! the machine's name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use swarmq::experiment::analysis::{Summary, label};
use swarmq::experiment::expected::Expectations;
use swarmq::experiment::run::{Results, read_results};

use crate::reading::{assert_numbers, numbers, parts};
use crate::recomputed::{Recorded, estimate};

struct Checked {
    run: Recorded,
    results: Results,
    expectations: Expectations,
    /// How many repetitions the differences that are not clear would have needed, as contrasts say them.
    needed: Vec<Option<f64>>,
}

impl Checked {
    /// The cell whose label has these parts, in any order.
    fn cell(&self, labels: &[&str]) -> usize {
        let parts = |text: &str| {
            text.split(", ").filter(|part| !part.is_empty()).map(str::to_lowercase).collect::<BTreeSet<_>>()
        };
        let wanted: BTreeSet<_> = labels.iter().flat_map(|label| parts(label)).collect();
        let cells = &self.results.plan.cells;
        let found = cells.iter().position(|cell| parts(&label(&cell.levels)) == wanted);
        found.unwrap_or_else(|| panic!("no cell {labels:?}"))
    }

    /// Cells whose label has a part, each with the label of the rest.
    fn with(&self, part: &str) -> Vec<(usize, String)> {
        let cells = self.results.plan.cells.iter().enumerate();
        let rest = |(at, levels): (usize, &_)| {
            let label = label(levels);
            let others: Vec<&str> = label.split(", ").filter(|other| *other != part).collect();
            label.split(", ").any(|other| other == part).then(|| (at, others.join(", ")))
        };
        cells.filter_map(|(at, cell)| rest((at, &cell.levels))).collect()
    }

    fn assert_ratio(&self, said: &str, metric: &str, first: usize, second: usize) {
        let (ratio, _) = self.run.ratio(metric, first, second);
        let [_, low, high] = ratio;
        match said {
            _ if said.starts_with("the same within 5 %") => {
                assert!(low >= 1.0 / 1.05 && high <= 1.05, "{said}: {ratio:?}");
                assert_numbers(&said["the same within 5 %".len()..], &ratio);
            }
            _ if said.starts_with("not clearly different") => assert_numbers(said, &ratio),
            _ => {
                assert!(low > 1.0 || high < 1.0, "{said}: {ratio:?}");
                assert_numbers(said, &ratio);
            }
        }
    }

    /// Measured by expected of a cell, within each repetition.
    fn by_expected(&self, cell: usize, metric: &str) -> [f64; 3] {
        let expected = self.expectations.cell(cell).unwrap().as_ref().unwrap();
        let range = &expected.figures[&metric.parse().unwrap()];
        estimate(
            self.run.figures(cell, metric).into_iter().map(|(again, figure)| figure / range.values[again as usize]),
        )
    }

    /// From the cell with the least median to that with the greatest: `A (with CELL) to B`.
    fn assert_extremes(&self, said: &str, cells: &[usize], metric: &str, unit: f64) {
        let mut shares: Vec<[f64; 3]> = cells.iter().map(|cell| self.by_expected(*cell, metric)).collect();
        shares.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let [least, most] = [shares[0], shares[shares.len() - 1]].map(|share| share.map(|part| part * unit));
        let Some((first, rest)) = said.split_once(" (with ") else { return assert_numbers(said, &least) };
        let (name, last) = rest.split_once(") to ").unwrap();
        assert_eq!(self.by_expected(self.cell(&[name]), metric).map(|part| part * unit), least, "{said}");
        assert_numbers(first, &least);
        assert_numbers(last, &most);
    }

    /// True for a sentence that is known and whose numbers are right; wrong ones panic.
    fn check(&mut self, text: &str) -> bool {
        let repetitions = self.run.0["plan"]["repetitions"].as_f64().unwrap();
        let all: Vec<usize> = (0..self.run.cells()).collect();
        let (open, closed): (Vec<_>, Vec<_>) = all.iter().copied().partition(|cell| self.run.rate(*cell).is_some());
        if let Some(found) = parts("{} requests are completed, half of them within {}, 99 % within {}.", text) {
            for (said, metric) in found.into_iter().zip(["requests/s", "p50", "p99"]) {
                assert_numbers(said, &self.run.estimate(0, metric));
            }
        } else if let Some(found) = parts("From {} to {}, {} is {}.", text) {
            let metric = if found[2] == "throughput" { "requests/s" } else { "p99" };
            let pairs: Vec<_> =
                self.with(found[0]).into_iter().map(|(at, rest)| (at, self.cell(&[found[1], &rest]))).collect();
            let mut sizes: Vec<_> = pairs.iter().map(|(a, b)| self.run.ratio(metric, *a, *b).0[0]).collect();
            sizes.sort_by(f64::total_cmp);
            if let Some(extremes) = parts("{} with {} at the least, and {} with {} at the most", found[3]) {
                for (said, others, size) in
                    [(extremes[0], extremes[1], sizes[0]), (extremes[2], extremes[3], sizes[sizes.len() - 1])]
                {
                    let (first, second) = (self.cell(&[found[0], others]), self.cell(&[found[1], others]));
                    assert_eq!(self.run.ratio(metric, first, second).0[0], size, "{text}");
                    self.assert_ratio(said, metric, first, second);
                }
            } else {
                let (throughput, p99) =
                    found[3].split_once(", and p99 is ").map_or((found[3], None), |(a, b)| (a, Some(b)));
                self.assert_ratio(throughput, metric, pairs[0].0, pairs[0].1);
                p99.into_iter().for_each(|said| self.assert_ratio(said, "p99", pairs[0].0, pairs[0].1));
            }
        } else if let Some(found) = parts("{} has the {}.", text) {
            let (what, rest) = found[1].split_once(", ").unwrap();
            let metric = if what == "highest throughput" { "requests/s" } else { "p99" };
            let medians: Vec<f64> = all.iter().map(|cell| self.run.estimate(*cell, metric)[0]).collect();
            let best = medians.iter().copied().reduce(if metric == "p99" { f64::min } else { f64::max }).unwrap();
            let figure = self.run.estimate(self.cell(&[found[0]]), metric);
            assert_eq!(figure[0], best, "{text}");
            let (said, tied) = rest.split_once("; not clearly different: ").unwrap_or((rest, ""));
            assert_numbers(said, &figure);
            tied.split("; ").filter(|name| !name.is_empty()).for_each(|name| _ = self.cell(&[name]));
        } else if let Some(found) = parts("{}: throughput is {}, p99 is {}.", text) {
            let (level, rest) = found[0].split_once(" against ").unwrap();
            let (base, others) =
                rest.split_once(" (").map_or((rest, ""), |(base, others)| (base, others.trim_end_matches(')')));
            let (first, second) = (self.cell(&[base, others]), self.cell(&[level, others]));
            for (said, metric) in [(found[1], "requests/s"), (found[2], "p99")] {
                self.assert_ratio(said, metric, first, second);
                if said.starts_with("not clearly different") {
                    self.needed.push(self.run.ratio(metric, first, second).1);
                }
            }
        } else if let Some(found) = parts(
            "Where a difference is not clear ({}), one of 5 % would have needed up to {} repetitions in place of {}, for {} (found in 80 % of the runs, as the only comparison).",
            text,
        ) {
            assert_numbers(found[0], &[self.needed.len() as f64]);
            let most = self.needed.iter().copied().collect::<Option<Vec<f64>>>();
            let most = most.map_or(10_000.0, |all| all.into_iter().fold(0.0, f64::max));
            assert_numbers(found[1], &[most]);
            assert_numbers(found[2], &[repetitions]);
        } else if let Some(found) = parts("{}/s was sustained{}; {}.", text) {
            self.check_knee(text, &found);
        } else if let Some(found) = parts("The load is {} of what delay and worker counts allow.", text) {
            let mut shares: Vec<f64> =
                open.iter().map(|cell| 100.0 * self.run.rate(*cell).unwrap() / self.run.capacity(*cell)).collect();
            shares.sort_by(f64::total_cmp);
            shares.dedup();
            assert_numbers(found[0], &[shares[0], shares[shares.len() - 1]][..numbers(found[0]).len()]);
        } else if text.contains("of that expected from delay and worker counts")
            || text.starts_with("Of what is expected")
        {
            for part in text.trim_end_matches('.').split("; ") {
                if let Some(found) = parts("Throughput is {} of that expected from delay and worker counts", part) {
                    self.assert_extremes(found[0], &closed, "requests/s", 100.0);
                } else if let Some(found) = parts("Of what is expected of the same arrivals, {} are done", part) {
                    self.assert_extremes(found[0], &open, "requests/s", 100.0);
                } else if let Some(found) = parts("the median latency is {} the expected", part) {
                    let steady: Vec<usize> = all.iter().copied().filter(|cell| !self.is_overloaded(*cell)).collect();
                    self.assert_extremes(&found[0].replace(" times", ""), &steady, "p50", 1.0);
                } else {
                    panic!("{part}");
                }
            }
        } else if let Some(found) = parts(
            "Intervals of medians are from the least to the greatest of {} repetitions and contain the true median with a probability of {}; 6 or more repetitions give 95 %.",
            text,
        ) {
            assert_numbers(found[0], &[repetitions]);
            assert_numbers(found[1], &[100.0 * (1.0 - 0.5_f64.powf(repetitions - 1.0))]);
        } else if let Some(found) = parts(
            "More was asked than the workers can do ({}): the queue grew for the whole trial, and latencies say only how long that was.",
            text,
        ) {
            for said in found[0].split("; ") {
                let (name, rates) = said.rsplit_once(": ").unwrap_or(("", said));
                let cell = self.cell(&[name]);
                assert!(self.is_overloaded(cell), "{said}");
                let done = self.run.estimate(cell, "requests/s")[0];
                assert_numbers(rates, &[self.run.rate(cell).unwrap(), done, self.run.capacity(cell)]);
            }
        } else if let Some(found) = parts(
            "There was no steady state: the mean latency of the second half of the measured time is not that of the first ({}). Latencies depend on warm-up and duration; longer ones help, unless more was asked than the workers can do.",
            text,
        ) {
            for said in found[0].split("; ") {
                let (name, ratio) = said.rsplit_once(": ").unwrap_or(("", said));
                assert_numbers(ratio, &self.run.halves(self.cell(&[name])));
            }
        } else if let Some(found) = parts("Of {} requests, {} failed and {} were refused{}.", text) {
            for (said, field) in found.into_iter().zip(["sent", "failed", "refused"]) {
                let of = |trial: &serde_json::Value| trial["requests"][field].as_f64().unwrap();
                assert_numbers(said, &[all.iter().flat_map(|cell| self.run.trials(*cell)).map(of).sum()]);
            }
        } else if let Some(found) = parts(
            "Latencies are cut off at the timeout of {} ({}): those of requests that timed out are not among them, so that true percentiles are higher.",
            text,
        ) {
            assert_numbers(found[0], &[self.run.0["plan"]["timeoutMs"].as_f64().unwrap()]);
            for said in found[1].split("; ") {
                let (name, count) = said.rsplit_once(": ").unwrap_or(("", said));
                let trials = self.run.trials(self.cell(&[name]));
                assert_numbers(count, &[trials.map(|trial| trial["messages"]["timeouts"].as_f64().unwrap()).sum()]);
            }
        } else if let Some(found) =
            parts("Other programs used the machine when the run began: the load average was {} on {}.", text)
        {
            let environment = &self.run.0["environment"];
            assert_numbers(found[0], &[environment["loadAverage"].as_f64().unwrap()]);
            assert_numbers(found[1], &[environment["cores"].as_f64().unwrap()]);
        } else if let Some(found) =
            parts("The load generator fell behind in {}: their figures show the generator's limit.", text)
        {
            let behind =
                |cell: &usize| self.run.trials(*cell).filter(|trial| trial["generator"]["behind"] == true).count();
            assert_numbers(found[0], &[all.iter().map(behind).sum::<usize>() as f64]);
        } else if let Some(found) = parts("The hypervisor took up to {} of the cores' time in {}.", text) {
            let steal = |cell: &usize| {
                self.run.trials(*cell).map(|trial| trial["machine"]["steal"].as_f64().unwrap()).collect::<Vec<_>>()
            };
            let stolen: Vec<f64> = all.iter().flat_map(steal).filter(|steal| *steal > 0.01).collect();
            assert_numbers(found[0], &[100.0 * stolen.iter().copied().fold(0.0, f64::max)]);
            assert_numbers(found[1], &[stolen.len() as f64]);
        } else {
            return text == "A debug build was measured: a release build is several times as fast.";
        }
        true
    }

    fn is_overloaded(&self, cell: usize) -> bool {
        let sum = |of: &dyn Fn(&serde_json::Value) -> f64| {
            self.run.trials(cell).map(|trial| of(&trial["steadiness"])).sum::<f64>()
        };
        let under_way = |steadiness: &serde_json::Value, at: usize| steadiness["underWay"][at].as_f64().unwrap();
        let growth = sum(&|it| under_way(it, 1) - under_way(it, 0));
        let due = sum(&|it| it["due"].as_f64().unwrap());
        self.run.rate(cell).is_some() && growth > 0.02 * due && growth > 2.0 * (2.0 * due).sqrt()
    }

    fn check_knee(&self, text: &str, found: &[&str]) {
        let (others, sustained) =
            found[0].split_once(": ").map_or(("", found[0]), |(others, rate)| (&others[5..], rate));
        let has = |cell: &usize| {
            let label = label(&self.results.plan.cells[*cell].levels).to_lowercase();
            others.split(", ").all(|part| label.contains(&part.to_lowercase()))
        };
        let cells: Vec<usize> = (0..self.run.cells()).filter(has).collect();
        let points = self.run.load_points(&cells);
        let is_within = |share: f64, times: f64| share >= 0.95 && times <= 3.0;
        // By the estimates (0), the lower (1) or upper (2) ends of both intervals.
        let highest = |share: usize, times: usize| {
            points.iter().rposition(|(_, shares, ratios)| is_within(shares[share], ratios[times]))
        };
        let knee = highest(0, 0).unwrap();
        assert_numbers(sustained, &[points[knee].0]);
        let least = highest(1, 2).map(|at| points[at].0);
        let most = points[highest(2, 1).unwrap()].0;
        let capacity = self.run.capacity(cells[0]);
        let mut limits = vec![];
        if found[1].contains("by the intervals") {
            limits.extend(least.into_iter().chain([most]));
        } else {
            assert_eq!(least, Some(most), "{text}");
        }
        limits.push(capacity);
        assert_numbers(found[1], &limits);
        match points.get(knee + 1) {
            None => assert_eq!(found[2], "no higher rate was measured"),
            Some((rate, share, _)) if share[0] < 0.95 => {
                assert_numbers(found[2], &[*rate, 95.0]);
                assert!(found[2].ends_with("of the requests due were done"), "{text}");
            }
            Some((rate, ..)) => {
                assert!(found[2].starts_with(&format!("at {rate}/s the p99 was more than 3 times")), "{text}")
            }
        }
    }
}

#[test]
fn every_number_in_a_sentence_follows_from_the_results() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/science/recorded");
    let mut checked = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let results = read_results(&path).unwrap();
        let expectations = Expectations::of(&results.plan);
        let sentences = Summary::of(&results, &expectations).findings;
        let mut run = Checked { run: Recorded::read(&path), results, expectations, needed: vec![] };
        for sentence in &sentences {
            assert!(run.check(&sentence.text), "{}: nothing is known of: {}", path.display(), sentence.text);
            checked.insert(sentence.text.clone());
        }
    }
    println!("{checked:#?}");
    for kind in [
        "requests are completed, half",
        "at the least, and",
        "has the highest throughput",
        "against",
        "would have needed",
        "was sustained",
        "The load is",
        "of that expected",
        "Of what is expected",
        "Intervals of medians",
        "More was asked",
        "failed and",
        "cut off at the timeout",
    ] {
        assert!(checked.iter().any(|text| text.contains(kind)), "no recorded run says: {kind}");
    }
}

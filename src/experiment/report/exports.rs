//! Exports results: a CSV table of the trials, and their histograms.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::experiment::plan::Factor;
use crate::experiment::run::{Results, TABLE, TrialResult, replace};
use crate::experiment::statistics::Metric;
use crate::wire::{Latency, now_ms};

/// Rewrites `results.csv`, and writes a histogram log for each measured trial that has none yet.
///
/// # Errors
/// Errors of the file system. A file is written completely or not at all.
pub fn write_exports(folder: &Path, results: &Results) -> anyhow::Result<()> {
    let mut csv = vec![];
    write_csv(&mut csv, results)?;
    replace(&folder.join(TABLE), &csv)?;
    let logs = folder.join("histograms");
    fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
    for trial in results.trials.iter().filter(|trial| trial.problem.is_none()) {
        let path = logs.join(format!("trial-{:04}.hlog", trial.number + 1));
        if !path.exists() {
            let mut log = vec![];
            write_log(&mut log, results, trial)?;
            replace(&path, &log)?;
        }
    }
    Ok(())
}

/// Columns between the factors and the metrics.
const COUNTS: [&str; 8] =
    ["measured_ms", "sent", "complete", "failed", "refused", "responses", "errored_messages", "timeouts"];

/// A row for each trial, in the order in which they ran.
pub(super) fn write_csv(out: impl Write, results: &Results) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    let factors: Vec<Factor> = results.plan.factors.iter().map(|(factor, _)| *factor).collect();
    let mut header: Vec<String> = ["trial", "cell", "repetition", "started_at"].map(str::to_owned).to_vec();
    header.extend(factors.iter().map(|factor| factor.name().to_owned()));
    header.extend(COUNTS.map(str::to_owned));
    header.extend(Metric::ALL.map(column));
    header.extend(["lag_p99_ms", "unsent", "behind", "balanced", "problem"].map(str::to_owned));
    header.extend(["too_few_for", "under_way_first", "under_way_last"].map(str::to_owned));
    header.extend(["first_half_ms", "second_half_ms"].map(str::to_owned));
    header.extend(["load_average", "busy", "steal", "cpu_pressure", "mhz"].map(str::to_owned));
    csv.write_record(&header)?;
    for trial in &results.trials {
        let levels = results.plan.cells.get(trial.cell).map(|cell| &cell.levels);
        let (requests, messages, generator) = (&trial.requests, &trial.messages, &trial.generator);
        let mut row = vec![
            (trial.number + 1).to_string(),
            trial.cell.to_string(),
            trial.repetition.to_string(),
            trial.started_at.to_string(),
        ];
        row.extend(factors.iter().map(|factor| levels.and_then(|it| it.get(factor)).cloned().unwrap_or_default()));
        row.push(trial.measured_ms.to_string());
        row.extend([requests.sent, requests.complete, requests.failed, requests.refused].map(|it| it.to_string()));
        row.extend([messages.responses, messages.errors, messages.timeouts].map(|it| it.to_string()));
        row.extend(Metric::ALL.map(|metric| metric.of(trial).map_or_else(String::new, |value| value.to_string())));
        row.push((generator.lag.quantile_us(0.99) as f64 / 1000.0).to_string());
        row.push(generator.unsent.to_string());
        row.extend([generator.behind, trial.ledger.balanced].map(|it| it.to_string()));
        row.push(trial.problem.clone().unwrap_or_default());
        let count = trial.latency.count();
        let few = Metric::ALL.into_iter().filter(|metric| count > 0 && metric.is_few(count));
        row.push(few.map(Metric::name).collect::<Vec<_>>().join(" "));
        let steadiness = trial.steadiness.as_ref();
        let under_way = steadiness.map(|it| it.under_way.map(|count| Some(count as f64))).unwrap_or_default();
        let halves = steadiness.and_then(|it| it.mean_ms).map(|means| means.map(Some)).unwrap_or_default();
        let machine = trial.machine.as_ref();
        let of_machine =
            machine.map(|it| [Some(it.load_average), Some(it.busy), Some(it.steal), it.cpu_pressure, it.mhz]);
        let known = under_way.into_iter().chain(halves).chain(of_machine.unwrap_or_default());
        row.extend(known.map(|value| value.map_or_else(String::new, |value| value.to_string())));
        csv.write_record(&row)?;
    }
    csv.flush()
}

/// A metric's column, with its unit.
fn column(metric: Metric) -> String {
    match metric {
        Metric::RequestsPerS => "requests_per_s".to_owned(),
        Metric::MessagesPerS => "messages_per_s".to_owned(),
        Metric::Cpu => "cpu_us_per_message".to_owned(),
        Metric::Memory => "resident_bytes".to_owned(),
        Metric::Errors => "error_share".to_owned(),
        latency => format!("{}_ms", latency.name().replace('.', "_")),
    }
}

/// A histogram log in HdrHistogram's format: the requests' latency without a tag, then tagged ones. Times in microseconds.
pub(super) fn write_log(out: &mut impl Write, results: &Results, trial: &TrialResult) -> io::Result<()> {
    let broken = |error| io::Error::other(format!("a histogram cannot be written: {error:?}"));
    let mut serializer = V2DeflateSerializer::new();
    let comment = format!(
        "swarmq, plan {}, trial {}, cell {}, repetition {}; written at {}; values in microseconds, maxima in milliseconds",
        results.plan.name.replace('\n', " "),
        trial.number + 1,
        trial.cell,
        trial.repetition,
        now_ms()
    );
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment(&comment)
        .with_start_time(UNIX_EPOCH + Duration::from_millis(trial.started_at))
        .with_base_time(UNIX_EPOCH + Duration::from_millis(trial.started_at))
        .with_max_value_divisor(1000.0);
    let mut log = builder.begin_log_with(out, &mut serializer)?;
    let length = Duration::from_secs_f64(trial.measured_ms.max(0.0) / 1000.0);
    let mut write = |latency: &Latency, tag: Option<&str>| {
        let tag = tag.and_then(Tag::new);
        log.write_histogram(latency.histogram(), Duration::ZERO, length, tag).map_err(broken)
    };
    write(&trial.latency, None)?;
    write(&trial.generator.lag, Some("lag"))?;
    for (hop, latency) in &trial.hops {
        write(latency, Some(hop.name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::experiment::run::Steadiness;
    use crate::experiment::{good_trial, results_of};

    const PLAN: &str =
        "duration = \"10s\"\nrepetitions = 2\n[factors]\nresponders = [1, 2]\ndelay = [\"none\", \"fixed 5ms\"]";

    #[test]
    fn the_table_has_a_row_for_each_trial_with_its_levels_and_units() {
        let mut results = results_of(PLAN, |cell, again| good_trial(cell, again, 100.0, 100));
        results.trials[1].problem = Some("it, \"died\"".to_owned());
        results.trials[7].steadiness = Some(Steadiness { under_way: [3, 4], due: 9, mean_ms: Some([20.5, 21.25]) });
        let mut text = vec![];
        write_csv(&mut text, &results).unwrap();
        let mut csv = csv::Reader::from_reader(&text[..]);
        let header = csv.headers().unwrap().clone();
        let rows: Vec<_> = csv.records().map(Result::unwrap).collect();
        let at = |row: usize, column: &str| {
            let index = header.iter().position(|name| name == column).unwrap_or_else(|| panic!("{column}: {header:?}"));
            &rows[row][index]
        };
        assert_eq!(rows.len(), 8);
        assert_eq!((at(0, "trial"), at(0, "requests_per_s"), at(0, "sent")), ("1", "100", "1000"));
        let levels = |row| (at(row, "responders"), at(row, "delay"));
        assert_eq!((levels(0), levels(7)), (("1", "none"), ("2", "fixed 5ms")));
        assert_eq!((at(1, "p99_9_ms"), at(1, "problem")), ("", "it, \"died\""));
        assert_eq!((at(0, "too_few_for"), at(0, "under_way_first"), at(0, "load_average")), ("p99.9", "", ""));
        let halves =
            ["under_way_first", "under_way_last", "first_half_ms", "second_half_ms"].map(|column| at(7, column));
        assert_eq!(halves, ["3", "4", "20.5", "21.25"]);
        assert!((at(0, "p99_9_ms").parse::<f64>().unwrap() - 100.0).abs() < 1.0);
        assert_eq!((at(0, "cpu_us_per_message"), at(0, "balanced"), at(0, "error_share")), ("50", "true", "0"));
    }

    #[test]
    fn hdr_histogram_can_parse_the_histograms() {
        let results = results_of(PLAN, |cell, again| good_trial(cell, again, 100.0, 100));
        let mut text = vec![];
        write_log(&mut text, &results, &results.trials[0]).unwrap();
        let mut found = vec![];
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes =
                    base64::Engine::decode(&base64::prelude::BASE64_STANDARD, interval.encoded_histogram()).unwrap();
                let histogram = Deserializer::new().deserialize::<u64, _>(&mut &bytes[..]).unwrap();
                assert_eq!(interval.duration(), Duration::from_secs(10));
                found.push((interval.tag().map(|tag| tag.as_str().to_owned()), histogram));
            }
        }
        assert_eq!(found[0], (None, results.trials[0].latency.histogram().clone()));
        let tags: Vec<_> = found[1..].iter().flat_map(|(tag, _)| tag).collect();
        assert_eq!(tags, ["lag", "service", "total"]);
    }

    #[test]
    fn histograms_that_exist_are_not_rewritten() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = results_of(PLAN, |cell, again| good_trial(cell, again, 100.0, 100));
        let all = std::mem::take(&mut results.trials);
        results.trials.push(all[0].clone());
        write_exports(folder.path(), &results).unwrap();
        let first = folder.path().join("histograms/trial-0001.hlog");
        fs::write(&first, "as it was").unwrap();
        results.trials.push(all[1].clone());
        results.trials.push(TrialResult { problem: Some("it died".to_owned()), ..all[2].clone() });
        write_exports(folder.path(), &results).unwrap();
        assert_eq!(fs::read_to_string(first).unwrap(), "as it was");
        let names = |folder: &Path| {
            let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&folder.path().join("histograms")), ["trial-0001.hlog", "trial-0002.hlog"]);
        assert_eq!(names(folder.path()), ["histograms", "results.csv"]);
        assert_eq!(fs::read_to_string(folder.path().join("results.csv")).unwrap().lines().count(), 4);
    }
}

//! The instances' metrics in Prometheus' text format. The library writes OpenMetrics; the parts used here are the same in the
//! text format, except the names of counters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::DeploymentMetrics;
use crate::runtime::InstanceStatus;
use crate::wire::{Figures, InstanceState, Latency, Snapshot};

/// The content type of `/metrics`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the latency buckets, in seconds: from a broker's microseconds to the longest usual timeout.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics of all instances of the process, and with the web tier those of the deployment. Fails only if formatting fails.
pub fn text(instances: &[Arc<InstanceStatus>], deployment: Option<Figures>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("swarmq");
    if let Some(figures) = deployment {
        registry.register_collector(Box::new(DeploymentMetrics(figures)));
    }
    let instances = instances.iter().map(|status| status.snapshot());
    registry.register_collector(Box::new(AllMetrics(instances.collect())));
    let mut text = String::new();
    encode_registry(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct AllMetrics(Vec<Snapshot>);

/// One value of a metric, with its labels besides the instance's.
struct Value {
    labels: Vec<(&'static str, String)>,
    value: u64,
}

impl AllMetrics {
    /// Writes one metric for all instances. A counter's name must end with `_total`.
    fn family(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, kind): (&str, &str, MetricType),
        values: impl Fn(&Snapshot) -> Vec<Value>,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
        for snapshot in &self.0 {
            for Value { mut labels, value } in values(snapshot) {
                labels.extend(identity(snapshot));
                // Counters are written as gauges too: `encode_counter` would add a second `_total` to the name.
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

fn identity(snapshot: &Snapshot) -> [(&'static str, String); 2] {
    [("tier", snapshot.instance.tier.name().to_owned()), ("instance", snapshot.instance.id.clone())]
}

fn one(value: u64) -> Vec<Value> {
    vec![Value { labels: vec![], value }]
}

impl Collector for AllMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (counter, gauge) = (MetricType::Counter, MetricType::Gauge);
        self.family(encoder, ("ready", "1 if the instance is ready, else 0", gauge), |snapshot| {
            one(u64::from(snapshot.state == InstanceState::Ready))
        })?;
        self.family(
            encoder,
            ("messages_sent_total", "Messages accepted (web tier: requests, once for each link)", counter),
            |snapshot| one(snapshot.ledger.sent),
        )?;
        self.family(encoder, ("messages_ended_total", "Messages that have ended, by outcome", counter), |snapshot| {
            let ledger = &snapshot.ledger;
            [("response", ledger.responses), ("error", ledger.errors), ("timeout", ledger.timeouts)]
                .map(|(outcome, value)| Value { labels: vec![("outcome", outcome.to_owned())], value })
                .into()
        })?;
        self.family(encoder, ("messages_in_flight", "Messages without an outcome", gauge), |snapshot| {
            one(snapshot.ledger.in_flight)
        })?;
        self.family(encoder, ("messages_retried_total", "Messages sent again", counter), |snapshot| {
            one(snapshot.ledger.retries)
        })?;
        self.family(
            encoder,
            (
                "messages_expired_total",
                "Messages whose deadline passed before their work was complete; also counted as timeouts",
                counter,
            ),
            |snapshot| one(snapshot.ledger.expired),
        )?;
        self.family(
            encoder,
            ("replies_late_total", "Replies that arrived after their message had ended", counter),
            |snapshot| one(snapshot.ledger.late),
        )?;
        self.family(
            encoder,
            ("replies_duplicate_total", "Second and further replies to one message", counter),
            |snapshot| one(snapshot.ledger.duplicates),
        )?;
        self.family(
            encoder,
            ("queue_depth", "Messages that no worker has started (separate round-robin broker: all in flight)", gauge),
            |snapshot| one(snapshot.queue),
        )?;
        self.family(encoder, ("queue_bytes", "Bytes of messages and unread replies at a broker", gauge), |snapshot| {
            snapshot.queue_bytes.map(one).unwrap_or_default()
        })?;
        self.family(encoder, ("workers", "Workers in the pool", gauge), |snapshot| one(snapshot.workers.len() as u64))?;
        self.family(encoder, ("workers_busy", "Workers that have a message", gauge), |snapshot| {
            one(snapshot.busy_workers() as u64)
        })?;
        let help = "Restarts of workers and other components after a death";
        self.family(encoder, ("worker_restarts_total", help, counter), |snapshot| one(snapshot.restarts))?;
        self.family(
            encoder,
            ("telemetry_dropped_total", "Per-message events that were not published", counter),
            |snapshot| one(snapshot.dropped_events),
        )?;
        let help = "Time that messages spend on each hop";
        let mut metric = encoder.encode_descriptor("hop_seconds", help, None, MetricType::Histogram)?;
        for snapshot in &self.0 {
            for (hop, latency) in &snapshot.hops {
                let mut labels = vec![("hop", hop.name().to_owned())];
                labels.extend(identity(snapshot));
                Buckets(latency).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// A latency histogram in Prometheus' fixed buckets.
struct Buckets<'a>(&'a Latency);

impl EncodeMetric for Buckets<'_> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut below = 0;
        let mut buckets = Vec::with_capacity(BUCKETS.len() + 1);
        for bound in BUCKETS {
            let up_to = self.0.count_up_to(Duration::from_secs_f64(bound));
            buckets.push((bound, up_to.saturating_sub(below)));
            below = up_to;
        }
        buckets.push((f64::INFINITY, self.0.count().saturating_sub(below)));
        let sum = self.0.sum();
        encoder.encode_histogram::<NoLabelSet>(sum.as_secs_f64(), self.0.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::telemetry::EventSink;
    use crate::wire::{Hop, Outcome, Tier, snapshot};

    fn status(id: &str) -> Arc<InstanceStatus> {
        Arc::new(InstanceStatus::new(snapshot(id, Tier::Responder).instance, EventSink::new(0).0, false, false))
    }

    /// The value of the sample whose line begins with `start`.
    fn value(text: &str, start: &str) -> f64 {
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    #[test]
    fn special_characters_of_an_id_are_escaped() {
        let text = text(&[status("küche \"1\"\\a\nb{},=")], None).unwrap();
        let sample = r#"swarmq_ready{tier="responder",instance="küche \"1\"\\a\nb{},="} 1"#;
        assert!(text.lines().any(|line| line == sample), "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("swarmq_")), "{text}");
    }

    #[test]
    fn every_metric_has_one_help_line_with_its_full_name() {
        let text = text(&[status("a"), status("b")], None).unwrap();
        let types: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        assert!(types.len() > 10, "{text}");
        for (name, kind) in types {
            let help = format!("# HELP {name} ");
            assert_eq!(text.lines().filter(|line| line.starts_with(&help)).count(), 1, "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        }
    }

    #[test]
    fn restarts_of_components_other_than_workers_are_counted() {
        let status = status("a");
        status.of_component().add_worker(0).restarting("panicked".to_owned());
        let snapshot = status.snapshot();
        assert_eq!((snapshot.restarts, snapshot.workers.len()), (1, 0));
        assert_eq!(value(&text(&[status], None).unwrap(), "swarmq_worker_restarts_total"), 1.0);
    }

    #[test]
    fn counters_never_fall_when_workers_leave_or_short_times_are_recorded() {
        let status = status("a");
        let cells = [status.add_worker(0), status.add_worker(1)];
        cells.iter().for_each(|cell| cell.restarting("panicked".to_owned()));
        status.ledger.sent();
        status.ledger.ended(Outcome::Response);
        let mut sum = 0.0;
        for micros in [3_599_000_000, 1, 7, 0, 123_456, 0] {
            status.hops.record(Hop::Total, Duration::from_micros(micros));
            let now = value(&text(std::slice::from_ref(&status), None).unwrap(), "swarmq_hop_seconds_sum");
            assert!(now >= sum, "{now} after {sum}");
            sum = now;
        }
        for _ in cells {
            status.drop_worker();
            let text = text(std::slice::from_ref(&status), None).unwrap();
            assert_eq!(value(&text, "swarmq_worker_restarts_total"), 2.0, "{text}");
        }
    }
}

//! The instances' snapshots as Prometheus metrics.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::model::{InstanceState, Latency, Snapshot};

/// What `/metrics` answers with.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the latency buckets, in seconds: from a broker's microseconds to the longest usual timeout.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The metrics of all instances of the process. Fails only where a text can't be written.
pub fn text(snapshots: Vec<Snapshot>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("swarmq");
    registry.register_collector(Box::new(Figures(snapshots)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Figures(Vec<Snapshot>);

/// One value of a metric, with what tells it from the others.
struct Value {
    labels: Vec<(&'static str, String)>,
    value: u64,
}

impl Figures {
    /// One metric over all instances.
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
                let mut sample = metric.encode_family(&labels)?;
                match kind {
                    MetricType::Counter => sample.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
                    _ => sample.encode_gauge(&value)?,
                }
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

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (counter, gauge) = (MetricType::Counter, MetricType::Gauge);
        self.family(encoder, ("ready", "1 when the instance would do work", gauge), |snapshot| {
            one(u64::from(snapshot.state == InstanceState::Ready))
        })?;
        self.family(
            encoder,
            ("messages_sent", "Messages taken on (web tier: requests by link)", counter),
            |snapshot| one(snapshot.ledger.sent),
        )?;
        self.family(encoder, ("messages_ended", "Messages by their outcome", counter), |snapshot| {
            let ledger = &snapshot.ledger;
            [("response", ledger.responses), ("error", ledger.errors), ("timeout", ledger.timeouts)]
                .map(|(outcome, value)| Value { labels: vec![("outcome", outcome.to_owned())], value })
                .into()
        })?;
        self.family(encoder, ("messages_in_flight", "Messages without an outcome", gauge), |snapshot| {
            one(snapshot.ledger.in_flight)
        })?;
        self.family(encoder, ("messages_retried", "Messages sent again", counter), |snapshot| {
            one(snapshot.ledger.retries)
        })?;
        self.family(encoder, ("replies_late", "Replies to messages that had ended", counter), |snapshot| {
            one(snapshot.ledger.late)
        })?;
        self.family(encoder, ("replies_duplicate", "Further replies to one message", counter), |snapshot| {
            one(snapshot.ledger.duplicates)
        })?;
        self.family(encoder, ("queue_depth", "Messages waiting for a worker", gauge), |snapshot| one(snapshot.queue))?;
        self.family(encoder, ("queue_bytes", "Bytes of messages and unread replies at a broker", gauge), |snapshot| {
            snapshot.queue_bytes.map(one).unwrap_or_default()
        })?;
        self.family(encoder, ("workers", "Workers in the pool", gauge), |snapshot| one(snapshot.workers.len() as u64))?;
        self.family(encoder, ("workers_busy", "Workers with a message in hand", gauge), |snapshot| {
            one(snapshot.busy_workers() as u64)
        })?;
        self.family(encoder, ("worker_restarts", "Workers started again after a death", counter), |snapshot| {
            one(snapshot.workers.iter().map(|worker| u64::from(worker.restarts)).sum())
        })?;
        self.family(encoder, ("telemetry_dropped", "Per-message events left out", counter), |snapshot| {
            one(snapshot.dropped_events)
        })?;
        let help = "Time on a stretch of a message's way";
        let mut metric = encoder.encode_descriptor("hop", help, Some(&Unit::Seconds), MetricType::Histogram)?;
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
        let sum = self.0.mean_us() * self.0.count() as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, self.0.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

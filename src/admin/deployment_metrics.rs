//! The metrics of the whole deployment, from the figures of the process's web instance.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue};
use prometheus_client::metrics::MetricType;

use crate::wire::{Figures, TierFigures};

/// The figures of the deployment, as metrics that begin with `deployment_`.
#[derive(Debug)]
pub struct DeploymentMetrics(pub Figures);

type Labels = Vec<(&'static str, &'static str)>;

impl DeploymentMetrics {
    /// Writes a metric with some values for each tier.
    fn of_tiers<V: EncodeGaugeValue>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help, kind): (&str, &str, MetricType),
        values: impl Fn(&TierFigures) -> Vec<(Labels, V)>,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
        for tier in &self.0.tiers {
            for (mut labels, value) in values(tier) {
                labels.push(("tier", tier.tier.name()));
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

/// Writes a metric with one value.
fn one<V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    value: V,
) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, kind)?.encode_gauge(&value)
}

impl Collector for DeploymentMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let (counter, gauge, figures) = (MetricType::Counter, MetricType::Gauge, &self.0);
        let help = "Time since which the totals of the deployment count, as seconds since the epoch";
        one(encoder, ("deployment_counted_since_seconds", help, gauge), figures.since as f64 / 1_000.0)?;
        let help = "Requests that the web tier accepted";
        one(encoder, ("deployment_requests_total", help, counter), figures.requests)?;
        let help = "Messages accepted by all instances of a tier, also by those that have ended";
        self.of_tiers(encoder, ("deployment_messages_sent_total", help, counter), |tier| {
            vec![(vec![], tier.ledger.sent)]
        })?;
        let help = "Messages that have ended at all instances of a tier, by outcome";
        self.of_tiers(encoder, ("deployment_messages_ended_total", help, counter), |tier| {
            let ledger = &tier.ledger;
            let outcomes = [("response", ledger.responses), ("error", ledger.errors), ("timeout", ledger.timeouts)];
            outcomes.map(|(outcome, value)| (vec![("outcome", outcome)], value)).into()
        })?;
        let help = "Messages without an outcome in the living instances of a tier";
        self.of_tiers(encoder, ("deployment_messages_in_flight", help, gauge), |tier| {
            vec![(vec![], tier.ledger.in_flight)]
        })?;
        let help = "Messages that were in flight in instances that are gone";
        self.of_tiers(encoder, ("deployment_messages_lost", help, gauge), |tier| vec![(vec![], tier.lost)])?;
        if let Some(capacity) = figures.capacity_per_s {
            let help = "Messages per second that could end as responses without a queue that grows";
            one(encoder, ("deployment_capacity", help, gauge), capacity)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::text;
    use super::*;
    use crate::wire::{Ledger, Tier};

    #[test]
    fn the_totals_of_every_tier_are_metrics_with_names_and_types_as_prometheus_wants_them() {
        let tier = |tier| TierFigures {
            tier,
            instances: 1,
            per_s: 2.0,
            ledger: Ledger { sent: 9, responses: 5, timeouts: 1, in_flight: 1, ..Ledger::default() },
            lost: 2,
            lost_with: vec![],
            balanced: true,
            unbalanced: vec![],
        };
        let figures = Figures {
            at: 2_500,
            since: 1_500,
            tiers: Tier::ALL.map(tier).into(),
            rates: [].into(),
            requests: 3,
            messages_per_request: 3,
            offered_per_s: 2.0,
            served_per_s: 2.0,
            capacity_per_s: Some(40.5),
            bottleneck: None,
            nodes: vec![],
        };
        let text = text(&[], Some(figures)).unwrap();
        for line in [
            "# TYPE swarmq_deployment_messages_ended_total counter",
            "# TYPE swarmq_deployment_messages_lost gauge",
            "swarmq_deployment_counted_since_seconds 1.5",
            "swarmq_deployment_requests_total 3",
            r#"swarmq_deployment_messages_sent_total{tier="requester"} 9"#,
            r#"swarmq_deployment_messages_ended_total{outcome="timeout",tier="broker"} 1"#,
            r#"swarmq_deployment_messages_in_flight{tier="web"} 1"#,
            r#"swarmq_deployment_messages_lost{tier="responder"} 2"#,
            "swarmq_deployment_capacity 40.5",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}: {text}");
        }
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        for (name, kind) in types {
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        }
    }
}

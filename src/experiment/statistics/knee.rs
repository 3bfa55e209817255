//! The knee of a load curve: the highest rate that a deployment sustains.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Estimate;

/// A point of a load curve: the trials of one rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadPoint {
    /// The load's rate, in requests per second. With random arrivals, the number of requests due in a trial varies.
    pub offered: f64,
    /// Completed requests per second, the median.
    pub achieved: f64,
    pub p99_ms: f64,
    /// Completed requests divided by the requests that were due in the same trial, at most 1. Requests that may be under way at
    /// the begin and end of the measured time count as completed, because their number is random.
    pub share: Estimate,
    /// The p99 divided by the p99 at the lowest rate, within each repetition.
    pub p99_times: Estimate,
}

/// Why a rate can't be sustained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// Less than 95 % of the requests due were achieved.
    Throughput,
    /// The p99 is more than 3 times the p99 at the lowest rate.
    Latency,
}

/// The knee of a load curve, between two of its rates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Knee {
    /// The highest sustained rate by the medians, in requests per second.
    pub sustained: f64,
    /// The highest rate whose whole intervals are within the limits; `None` if there is no such rate.
    #[schema(required)]
    pub at_least: Option<f64>,
    /// The highest rate with any part of its intervals within the limits.
    pub at_most: f64,
    /// The next higher rate that was measured. `None`: the highest measured rate was sustained.
    #[schema(required)]
    pub beyond: Option<f64>,
    /// Why `beyond` was not sustained.
    #[schema(required)]
    pub limit: Option<Limit>,
}

/// Share of the requests due that must be achieved.
pub const SUSTAINED: f64 = 0.95;

/// Maximum p99, as a multiple of the p99 at the lowest rate.
pub const TOLERATED: f64 = 3.0;

fn limit(share: f64, p99_times: f64) -> Option<Limit> {
    match share < SUSTAINED {
        true => Some(Limit::Throughput),
        false => (p99_times > TOLERATED).then_some(Limit::Latency),
    }
}

impl LoadPoint {
    fn limit(&self) -> Option<Limit> {
        limit(self.share.median, self.p99_times.median)
    }
}

/// The knee: the highest rate with at least [`SUSTAINED`] achieved, with a p99 of at most [`TOLERATED`] times the p99
/// at the lowest rate. Thresholds are used because curvature (Kneedle: Satopaa and others, 2011) follows the noise of 5 to 10
/// points and finds a knee in any curve. The highest such rate counts: a single slow trial below the knee is noise, whereas a
/// rate above capacity can't be sustained by chance.
///
/// `points` are sorted by rate. `None` if no rate was sustained.
pub fn knee(points: &[LoadPoint]) -> Option<Knee> {
    let highest = |is_within: &dyn Fn(&LoadPoint) -> bool| points.iter().rposition(is_within);
    let last = highest(&|point| point.limit().is_none())?;
    let surely = highest(&|point| limit(point.share.low, point.p99_times.high).is_none());
    let perhaps = highest(&|point| limit(point.share.high, point.p99_times.low).is_none());
    let next = points.get(last + 1);
    Some(Knee {
        sustained: points[last].offered,
        at_least: surely.map(|at| points[at].offered),
        at_most: points[perhaps.unwrap_or(last)].offered,
        beyond: next.map(|next| next.offered),
        limit: next.and_then(LoadPoint::limit),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates with three shares achieved, and three multiples of the lowest rate's p99.
    fn points(points: &[(f64, [f64; 3], [f64; 3])]) -> Vec<LoadPoint> {
        let point = |(offered, shares, times): &(f64, [f64; 3], [f64; 3])| LoadPoint {
            offered: *offered,
            achieved: offered * shares[0],
            p99_ms: 10.0 * times[0],
            share: Estimate::of(shares, 0.95).unwrap(),
            p99_times: Estimate::of(times, 0.95).unwrap(),
        };
        points.iter().map(point).collect()
    }

    #[test]
    fn the_knee_is_the_highest_rate_within_both_limits_and_has_an_interval() {
        let curve = points(&[
            (1.0, [1.0; 3], [1.0; 3]),
            (3.0, [1.0; 3], [9.0, 9.0, 9.0]),
            (5.0, [1.0; 3], [1.2, 1.3, 1.1]),
            (6.0, [1.0; 3], [2.9, 2.8, 3.1]),
            (7.0, [0.97, 0.9, 0.99], [3.1, 2.9, 3.3]),
            (8.0, [0.8, 0.81, 0.79], [3.1, 2.9, 3.3]),
        ]);
        let whole =
            Knee { sustained: 6.0, at_least: Some(5.0), at_most: 7.0, beyond: Some(7.0), limit: Some(Limit::Latency) };
        assert_eq!(knee(&curve), Some(whole), "one slow rate below does not count");
        let by_rate = points(&[(1.0, [1.0; 3], [1.0; 3]), (2.0, [0.9; 3], [1.1; 3])]);
        let limit = Some(Limit::Throughput);
        let knee_by_rate = Knee { sustained: 1.0, at_least: Some(1.0), at_most: 1.0, beyond: Some(2.0), limit };
        assert_eq!(knee(&by_rate), Some(knee_by_rate));
        let none = Knee { sustained: 1.0, at_least: Some(1.0), at_most: 1.0, beyond: None, limit: None };
        assert_eq!(knee(&by_rate[..1]), Some(none));
        assert_eq!((knee(&by_rate[1..]), knee(&[])), (None, None));
    }
}

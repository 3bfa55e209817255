//! Latency histograms per hop: HdrHistogram in microseconds, mergeable across workers and instances.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer as HdrReader, Serializer as _, V2Serializer};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeStruct};
use utoipa::ToSchema;

use super::Footprint;

/// Maximum recorded time, in microseconds: one hour, the maximum timeout. Longer times count as this.
const MAX_US: u64 = 3_600_000_000;

/// A hop of a message's way, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Hop {
    /// Waiting in the requester for its worker.
    Queued,
    /// Between requester and broker, both ways.
    Wire,
    /// At the broker: waiting for a responder worker.
    Broker,
    /// In the responder worker: delay and task.
    Service,
    /// The whole time that the tier sees.
    Total,
}

impl Hop {
    /// The name in JSON, metrics and histogram logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Wire => "wire",
            Self::Broker => "broker",
            Self::Service => "service",
            Self::Total => "total",
        }
    }
}

/// A histogram of times: two significant digits (an error below 1 %), up to one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        let mut histogram = Histogram::new(2).expect("2 digits are within HdrHistogram's 0 to 5");
        histogram.auto(true);
        Self(histogram)
    }
}

impl Latency {
    /// A histogram with three significant digits, an error below 0.1 %, for experiments. Takes ten times the memory.
    pub fn precise() -> Self {
        let mut histogram = Histogram::new(3).expect("3 digits are within HdrHistogram's 0 to 5");
        histogram.auto(true);
        Self(histogram)
    }

    pub fn record(&mut self, time: Duration) {
        // Infallible: the histogram resizes itself, and the value is limited.
        let _ = self.0.record(time.as_micros().min(u128::from(MAX_US)) as u64);
    }

    /// Adds another histogram's counts to these.
    pub fn merge(&mut self, other: &Self) {
        // Infallible: every `Latency` resizes itself.
        let _ = self.0.add(&other.0);
    }

    /// The records since an earlier state of the same histogram; all records if `earlier` is not a state of it.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        match difference.0.subtract(&earlier.0) {
            Ok(()) => difference,
            Err(_) => self.clone(),
        }
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The quantile for a share from 0.0 to 1.0, in microseconds; 0 without records.
    pub fn quantile_us(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    pub fn mean_us(&self) -> f64 {
        self.0.mean()
    }

    /// Sum of all times, to the histogram's precision. Never decreases when times are added: it is summed in whole microseconds.
    pub fn sum(&self) -> Duration {
        let times = self
            .0
            .iter_recorded()
            .map(|step| self.0.median_equivalent(step.value_iterated_to()).saturating_mul(step.count_at_value()));
        Duration::from_micros(times.fold(0, u64::saturating_add))
    }

    pub fn max_us(&self) -> u64 {
        self.0.max()
    }

    /// The histogram, in microseconds.
    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    /// Number of records up to a time.
    pub fn count_up_to(&self, time: Duration) -> u64 {
        self.0.count_between(0, time.as_micros() as u64)
    }
}

/// JSON with the main figures, and the whole histogram (V2, base64) for programs that merge it.
impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.0, &mut bytes).map_err(serde::ser::Error::custom)?;
        let mut fields = serializer.serialize_struct("Latency", 7)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("meanUs", &(self.mean_us().round() as u64))?;
        fields.serialize_field("p50Us", &self.quantile_us(0.5))?;
        fields.serialize_field("p95Us", &self.quantile_us(0.95))?;
        fields.serialize_field("p99Us", &self.quantile_us(0.99))?;
        fields.serialize_field("maxUs", &self.max_us())?;
        fields.serialize_field("histogram", &BASE64_STANDARD.encode(bytes))?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            histogram: String,
        }
        let fields = Fields::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(fields.histogram).map_err(D::Error::custom)?;
        // The deserializer allocates the size that the header declares.
        if is_oversized(&bytes) {
            return Err(D::Error::custom("not a histogram of up to three digits and one hour"));
        }
        let mut histogram: Histogram<u64> =
            HdrReader::new().deserialize(&mut bytes.as_slice()).map_err(D::Error::custom)?;
        histogram.auto(true);
        Ok(Self(histogram))
    }
}

/// True if a histogram's header declares more than a [`Latency`] can have: more than three digits, times far longer than
/// [`MAX_US`], more counts than follow, or compression. Format V2: cookie, length, offset and digits of four bytes each, least
/// and greatest value of eight.
fn is_oversized(bytes: &[u8]) -> bool {
    const COOKIE: u64 = 0x1c84_9313;
    let number = |place: Range<usize>| {
        bytes.get(place).map(|digits| digits.iter().fold(0, |sum, digit| sum << 8 | u64::from(*digit)))
    };
    let is = |place, allowed: &dyn Fn(u64) -> bool| number(place).is_some_and(allowed);
    !(is(0..4, &|cookie| cookie == COOKIE)
        && is(4..8, &|length| length <= bytes.len() as u64)
        && is(12..16, &|digits| digits <= 3)
        && is(24..32, &|max| max <= 4 * MAX_US))
}

impl Footprint for Latency {
    fn footprint(&self) -> usize {
        size_of::<Self>() + self.0.distinct_values() * size_of::<u64>()
    }
}

/// The histograms of one instance, by hop.
pub type Hops = BTreeMap<Hop, Latency>;

/// The histograms that an instance's workers record into.
#[derive(Debug, Default)]
pub struct HopCounters(Mutex<Hops>);

impl HopCounters {
    pub fn record(&self, hop: Hop, time: Duration) {
        self.record_all([(hop, time)]);
    }

    /// Records the hops of one message.
    pub fn record_all(&self, times: impl IntoIterator<Item = (Hop, Duration)>) {
        let mut hops = self.0.lock();
        times.into_iter().for_each(|(hop, time)| hops.entry(hop).or_default().record(time));
    }

    pub fn read(&self) -> Hops {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::default();
        times.into_iter().for_each(|ms| latency.record(Duration::from_millis(ms)));
        latency
    }

    #[test]
    fn quantiles_are_within_one_percent() {
        let latency = of(1..=1000);
        for (share, expected) in [(0.5, 500_000.0), (0.95, 950_000.0), (0.99, 990_000.0)] {
            let ratio = latency.quantile_us(share) as f64 / expected;
            assert!((0.99..1.01).contains(&ratio), "{share}: {ratio}");
        }
        assert_eq!(latency.count(), 1000);
        assert_eq!(latency.count_up_to(Duration::from_millis(2000)), 1000);
    }

    #[test]
    fn the_merge_of_two_halves_is_the_whole() {
        let mut merged = of(1..=50);
        merged.merge(&of(51..=100));
        assert_eq!(merged, of(1..=100));
    }

    #[test]
    fn since_returns_the_records_added_after_the_earlier_state() {
        let (earlier, mut later) = (of(1..=50), of(1..=50));
        later.merge(&of(51..=60));
        assert_eq!(later.since(&earlier).count(), 10);
        assert_eq!(earlier.since(&later).count(), 50);
    }

    #[test]
    fn a_histogram_survives_json() {
        let latency = of([1, 5, 3_000, 4_000_000]);
        let json = serde_json::to_string(&latency).unwrap();
        assert_eq!(serde_json::from_str::<Latency>(&json).unwrap(), latency);
        assert!(json.starts_with(r#"{"count":4,"#), "{json}");
        assert!(serde_json::from_str::<Latency>(r#"{"histogram":"AAAA"}"#).is_err());
    }

    #[test]
    fn a_header_that_declares_too_large_a_histogram_is_refused() {
        let of = |digits, max| {
            let mut bytes = Vec::new();
            V2Serializer::new().serialize(&Histogram::<u64>::new_with_max(max, digits).unwrap(), &mut bytes).unwrap();
            bytes
        };
        let read = |bytes: &[u8]| {
            serde_json::from_value::<Latency>(serde_json::json!({ "histogram": BASE64_STANDARD.encode(bytes) }))
        };
        let valid = of(3, MAX_US);
        assert!(read(&valid).is_ok());
        let mut long = valid.clone();
        long[4] = 0x7f;
        let mut compressed = valid;
        compressed[3] = 0x14;
        for bytes in [of(4, MAX_US), of(2, 1 << 60), long, compressed] {
            assert!(read(&bytes).unwrap_err().to_string().contains("three digits"));
        }
        assert!(Latency::precise().footprint() > Latency::default().footprint());
    }
}

//! Numbers and times with their allowed range in their type, so that a setting out of range can't be constructed.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};

/// A mebibyte.
pub const MIB: u64 = 1 << 20;

/// A value outside the range of the type it was meant for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is out of range: allowed is {allowed}")]
pub struct OutOfRange {
    pub(super) value: String,
    pub(super) allowed: String,
}

/// A whole number from `MIN` to `MAX`, both included. Read from a TOML integer or from text such as `8` or `10_000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Int<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Int<MIN, MAX> {
    /// The number `VALUE`, checked at compile time.
    #[must_use]
    pub const fn literal<const VALUE: u64>() -> Self {
        const { assert!(MIN <= VALUE && VALUE <= MAX, "literal out of range") };
        Self(VALUE)
    }

    /// The number `value`.
    ///
    /// # Errors
    /// `OutOfRange` when it is below `MIN` or above `MAX`.
    pub fn new(value: u64) -> Result<Self, OutOfRange> {
        if (MIN..=MAX).contains(&value) {
            return Ok(Self(value));
        }
        Err(OutOfRange { value: value.to_string(), allowed: Self::allowed() })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number as a length or count in memory.
    #[must_use]
    pub fn usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn allowed() -> String {
        format!("a whole number from {MIN} to {MAX}")
    }
}

/// A TCP port to listen on; 0 asks the system for any free one.
pub type Port = Int<0, 65_535>;

impl Port {
    /// The number as a TCP port.
    #[must_use]
    pub const fn port(self) -> u16 {
        self.0 as u16
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Int<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Int<MIN, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Int<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IntVisitor::<MIN, MAX>)
    }
}

struct IntVisitor<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Visitor<'_> for IntVisitor<MIN, MAX> {
    type Value = Int<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Int::<MIN, MAX>::allowed())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Int::new(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        let number = u64::try_from(value).ok();
        number.and_then(|value| Int::new(value).ok()).ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let number = text.trim().replace('_', "").parse().ok();
        number.and_then(|value| Int::new(value).ok()).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Int<MIN, MAX> {
    fn schema_name() -> Cow<'static, str> {
        format!("Int_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX, "x-allowed": Self::allowed() })
    }
}

/// A time from `MIN_MS` to `MAX_MS` milliseconds, both included, written with its unit: `10s`, `1500ms`, `1m 30s`.
/// A number without a unit is refused, because it may mean seconds or milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span<const MIN_MS: u64, const MAX_MS: u64>(Duration);

impl<const MIN_MS: u64, const MAX_MS: u64> Span<MIN_MS, MAX_MS> {
    /// `MS` milliseconds, checked at compile time.
    #[must_use]
    pub const fn literal<const MS: u64>() -> Self {
        const { assert!(MIN_MS <= MS && MS <= MAX_MS, "literal out of range") };
        Self(Duration::from_millis(MS))
    }

    /// The time `value`.
    ///
    /// # Errors
    /// `OutOfRange` when it is shorter than `MIN_MS` or longer than `MAX_MS` milliseconds.
    pub fn new(value: Duration) -> Result<Self, OutOfRange> {
        if (Duration::from_millis(MIN_MS)..=Duration::from_millis(MAX_MS)).contains(&value) {
            return Ok(Self(value));
        }
        Err(OutOfRange { value: humantime::format_duration(value).to_string(), allowed: Self::allowed() })
    }

    /// The time.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    fn allowed() -> String {
        let [min, max] = [MIN_MS, MAX_MS].map(|ms| humantime::format_duration(Duration::from_millis(ms)));
        format!("a time with its unit, from {min} to {max}")
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> fmt::Display for Span<MIN_MS, MAX_MS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> Serialize for Span<MIN_MS, MAX_MS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const MIN_MS: u64, const MAX_MS: u64> Deserialize<'de> for Span<MIN_MS, MAX_MS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor::<MIN_MS, MAX_MS>)
    }
}

struct SpanVisitor<const MIN_MS: u64, const MAX_MS: u64>;

impl<const MIN_MS: u64, const MAX_MS: u64> Visitor<'_> for SpanVisitor<MIN_MS, MAX_MS> {
    type Value = Span<MIN_MS, MAX_MS>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Span::<MIN_MS, MAX_MS>::allowed())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let time = humantime::parse_duration(text.trim()).ok();
        time.and_then(|value| Span::new(value).ok()).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<const MIN_MS: u64, const MAX_MS: u64> JsonSchema for Span<MIN_MS, MAX_MS> {
    fn schema_name() -> Cow<'static, str> {
        format!("Span_{MIN_MS}_{MAX_MS}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration", "x-allowed": Self::allowed() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::{Duration, Int, Span};

    type Percent = Int<1, 100>;
    type Short = Span<10, 60_000>;

    #[test]
    fn a_whole_number_is_read_from_a_number_or_from_text() {
        for written in [json!(8), json!("8"), json!(" 8 "), json!("0_8")] {
            assert_eq!(from_value::<Percent>(written).unwrap().get(), 8);
        }
    }

    #[test]
    fn a_whole_number_out_of_range_or_malformed_names_the_range() {
        for written in
            [json!(0), json!(101), json!(-1), json!("101"), json!("-1"), json!("many"), json!(1.5), json!("")]
        {
            let message = from_value::<Percent>(written).unwrap_err().to_string();
            assert!(message.contains("a whole number from 1 to 100"), "{message}");
        }
    }

    #[test]
    fn a_time_is_read_with_its_unit_and_written_back() {
        for (written, ms) in [("10ms", 10), ("1m", 60_000), ("1s 500ms", 1500), ("1500ms", 1500)] {
            let span: Short = from_value(json!(written)).unwrap();
            assert_eq!(span.get(), Duration::from_millis(ms));
            assert_eq!(from_value::<Short>(json!(span)).unwrap(), span);
        }
        assert_eq!(json!(Short::literal::<1500>()), json!("1s 500ms"));
    }

    #[test]
    fn a_time_out_of_range_or_without_a_unit_names_the_range() {
        for written in [json!("9ms"), json!("61s"), json!("9999us"), json!(10), json!("10"), json!("soon")] {
            let message = from_value::<Short>(written).unwrap_err().to_string();
            assert!(message.contains("a time with its unit, from 10ms to 1m"), "{message}");
        }
    }
}

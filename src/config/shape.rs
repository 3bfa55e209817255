//! The shape of the log-normal distribution, with its range in its type.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use serde::{Serialize, Serializer};

use super::OutOfRange;

/// The shape (sigma) of a log-normal distribution: above 0, at most 3.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Shape(f64);

impl Shape {
    /// The shape of a moderate tail, 0.5.
    pub const MODERATE: Self = Self(0.5);
    const ALLOWED: &'static str = "a number above 0, at most 3";

    /// The shape `value`.
    ///
    /// # Errors
    /// `OutOfRange` when it is 0 or less, above 3, or NaN.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if value > 0.0 && value <= 3.0 {
            return Ok(Self(value));
        }
        Err(OutOfRange { value: value.to_string(), allowed: Self::ALLOWED.into() })
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl Visitor<'_> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Shape::ALLOWED)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Shape, E> {
        Shape::new(value).map_err(|_| E::invalid_value(Unexpected::Float(value), &self))
    }

    // TOML's `sigma = 1` is an integer.
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Shape, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Shape, E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Shape, E> {
        let number = text.trim().parse().ok();
        number.and_then(|value| Shape::new(value).ok()).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl JsonSchema for Shape {
    fn schema_name() -> Cow<'static, str> {
        "Shape".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": 3, "x-allowed": Self::ALLOWED })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::Shape;

    #[test]
    fn a_shape_is_above_zero_and_at_most_three() {
        for (written, value) in [(json!(0.5), 0.5), (json!("0.5"), 0.5), (json!(3), 3.0)] {
            assert_eq!(from_value::<Shape>(written).unwrap().get(), value);
        }
        for written in [json!(0), json!(3.1), json!("nan"), json!(-1), json!(true)] {
            let message = from_value::<Shape>(written).unwrap_err().to_string();
            assert!(message.contains("above 0, at most 3"), "{message}");
        }
    }
}

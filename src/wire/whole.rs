//! Whole numbers in request bodies: in JSON, and so in the API's description, 3, 3.0 and 3e0 are the same number.

use serde::de::{Deserialize, Deserializer, Error, Unexpected};

/// The largest whole number up to which a double is exact.
const MAX_EXACT: f64 = (1_u64 << 53) as f64;

/// Reads a whole number from 0 to 2^53; for `deserialize_with`.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    of(f64::deserialize(deserializer)?)
}

/// Reads a whole number from 0 to 2^53, or null.
pub fn whole_or_none<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)?.map(of).transpose()
}

fn of<T: TryFrom<u64>, E: Error>(number: f64) -> Result<T, E> {
    let exact = number.fract() == 0.0 && (0.0..=MAX_EXACT).contains(&number);
    let whole = exact.then(|| T::try_from(number as u64).ok()).flatten();
    whole.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &"a whole number from 0"))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(deserialize_with = "whole")]
        count: u32,
        #[serde(default, deserialize_with = "whole_or_none")]
        most: Option<u64>,
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_float() {
        for text in ["7", "7.0", "0.7e1", "70e-1"] {
            let body: Body = serde_json::from_str(&format!(r#"{{"count":{text},"most":{text}}}"#)).unwrap();
            assert_eq!((body.count, body.most), (7, Some(7)), "{text}");
        }
        for text in ["7.5", "-1", "1e300", "4294967296", "null", "\"7\""] {
            assert!(serde_json::from_str::<Body>(&format!(r#"{{"count":{text}}}"#)).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Body>(r#"{"count":0,"most":null}"#).unwrap().most, None);
    }
}

//! The deployment's CURVE key, which all instances share.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde::{Serialize, Serializer};

use super::Secret;

/// Length of a key, in bytes.
const LENGTH: usize = 32;

/// A CURVE key pair. `Debug` and `Serialize` hide it.
#[derive(Clone, PartialEq, Eq)]
pub struct CurveKey {
    public: [u8; LENGTH],
    secret: [u8; LENGTH],
}

impl CurveKey {
    const HIDDEN: &'static str = "(hidden)";
    const ALLOWED: &'static str = "a public and a secret key, as `swarmq keygen` writes them";

    /// A new key pair; `None` if libzmq is built without CURVE.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let pair = zmq::CurveKeyPair::new().ok()?;
        Some(Self { public: pair.public_key, secret: pair.secret_key })
    }

    /// Parses two keys in Z85 (ZeroMQ RFC 32), the public one first, with white space between them. Ignores quotes and a byte
    /// order mark around them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut keys = Secret::cleaned(text).split_whitespace().map(|key| zmq::z85_decode(key).ok()?.try_into().ok());
        match (keys.next(), keys.next(), keys.next()) {
            (Some(Some(public)), Some(Some(secret)), None) => Some(Self { public, secret }),
            _ => None,
        }
    }

    /// The text that [`Self::parse`] reads: a line for each key.
    #[must_use]
    pub fn expose(&self) -> String {
        // Infallible: the length, 32 bytes, is a multiple of four.
        let line = |key: &[u8]| zmq::z85_encode(key).unwrap_or_default();
        format!("{}\n{}\n", line(&self.public), line(&self.secret))
    }

    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for CurveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

impl Serialize for CurveKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::HIDDEN)
    }
}

impl<'de> Deserialize<'de> for CurveKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Other("something else"), &Self::ALLOWED))
    }
}

impl JsonSchema for CurveKey {
    fn schema_name() -> Cow<'static, str> {
        "CurveKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true, "x-allowed": Self::ALLOWED })
    }
}

#[cfg(test)]
mod tests {
    use super::CurveKey;

    /// The example keys of the manual page zmq_curve(7).
    const PUBLIC: &str = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
    const SECRET: &str = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key = CurveKey::parse(&format!(" {PUBLIC}\n{SECRET}\n")).unwrap();
        assert_eq!(key.expose(), format!("{PUBLIC}\n{SECRET}\n"));
        assert_eq!((key.public().len(), key.secret().len()), (32, 32));
        for text in [format!("\u{feff}{PUBLIC}\r\n{SECRET}\r\n"), format!("\"{PUBLIC} {SECRET}\"")] {
            assert!(CurveKey::parse(&text).unwrap() == key, "{text:?}");
        }
    }

    #[test]
    fn invalid_keys_are_refused() {
        let short = &PUBLIC[..39];
        for text in ["", PUBLIC, short, &format!("{PUBLIC} {short}"), &format!("{PUBLIC} {SECRET} {PUBLIC}"), "é ü"] {
            assert!(CurveKey::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key: CurveKey = serde_json::from_value(format!("{PUBLIC} {SECRET}").into()).unwrap();
        assert_eq!(format!("{key:?} {}", serde_json::to_string(&key).unwrap()), "(hidden) \"(hidden)\"");
        let error = serde_json::from_value::<CurveKey>(format!("{PUBLIC} {SECRET}x").into()).unwrap_err().to_string();
        assert!(!error.contains(&SECRET[..10]), "{error}");
    }

    #[test]
    fn generated_keys_differ() {
        let new = || CurveKey::generate().expect("this build is without CURVE: see README.md");
        let (one, other) = (new(), new());
        assert!(one != other && CurveKey::parse(&one.expose()).unwrap() == one);
    }
}

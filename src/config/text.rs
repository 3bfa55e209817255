//! Types of text settings: upstreams, ZeroMQ endpoints, host names and secrets.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected};
use serde::{Serialize, Serializer};

/// The format of a text setting.
pub trait Rule {
    /// The rule in words, for error messages and the reference.
    const ALLOWED: &'static str;

    /// Whether `text` follows the rule.
    fn holds(text: &str) -> bool;
}

/// A text that follows rule `R`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<R>(String, PhantomData<R>);

/// `host:port` of another tier, or several with commas between; every address of each host is used.
pub type Upstream = Text<HostPort>;
/// Where a separate broker listens for workers: `tcp://IP:PORT` (port 0: any free one) or `ipc://PATH`.
pub type BindUrl = Text<BindRule>;
/// Address of a separate broker, for its workers: `tcp://host:port` or `ipc://path`.
pub type BrokerUrl = Text<BrokerRule>;

/// Host names of a server, with or without a port, with commas between.
pub type Hosts = Text<HostNames>;

impl<R: Rule> Text<R> {
    /// The text without white space around it; `None` if it does not follow the rule.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        R::holds(text).then(|| Self(text.to_owned(), PhantomData))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Upstream {
    /// The upstream at `port` (not 0) on this machine.
    pub(super) fn local(port: u16) -> Self {
        Self(format!("127.0.0.1:{port}"), PhantomData)
    }

    /// The upstream that listens on an address; 0.0.0.0 and [::] become 127.0.0.1.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        match address.ip().is_unspecified() {
            true => Self::local(address.port()),
            false => Self(address.to_string(), PhantomData),
        }
    }
}

impl<R> fmt::Display for Text<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<R> Serialize for Text<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, R: Rule> Deserialize<'de> for Text<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &R::ALLOWED))
    }
}

impl<R: Rule> JsonSchema for Text<R> {
    fn schema_name() -> Cow<'static, str> {
        R::ALLOWED.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-allowed": R::ALLOWED })
    }
}

/// The rule of an [`Upstream`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort;

impl Rule for HostPort {
    const ALLOWED: &'static str = "host:port, with a port from 1 to 65535, or several with commas between";

    fn holds(text: &str) -> bool {
        text.split(',').all(|part| split(part.trim()).is_some_and(|(_, port)| port > 0))
    }
}

impl Text<HostPort> {
    /// Each name or address, an IPv6 address without its brackets, with its port from 1 to 65535.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, u16)> {
        let parts = self.0.split(',').filter_map(|part| split(part.trim()));
        parts.map(|(host, port)| (host.trim_matches(['[', ']']), port))
    }
}

/// The rule of [`Hosts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames;

impl Rule for HostNames {
    const ALLOWED: &'static str =
        "a host such as pi.local, for any port, or pi.local:8080, or several with commas between";

    fn holds(text: &str) -> bool {
        // With a port added, `split` checks whether the rest is a host.
        text.split(',').map(str::trim).all(|part| split(part).is_some() || split(&format!("{part}:0")).is_some())
    }
}

impl Text<HostNames> {
    /// True if the list contains `host`, given with or without a port.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        let name = split(host).map_or(host, |(name, _)| name);
        self.0.split(',').map(str::trim).any(|own| own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(name))
    }
}

/// The rule of a [`BindUrl`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindRule;

impl Rule for BindRule {
    const ALLOWED: &'static str = "tcp://IP:PORT or ipc://PATH";

    fn holds(text: &str) -> bool {
        let is_address = |host: &str| host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let tcp = text.strip_prefix("tcp://").and_then(split);
        tcp.is_some_and(|(host, _)| is_address(host)) || is_ipc(text)
    }
}

impl Text<BrokerRule> {
    /// The host and port of a `tcp://` URL; `None` for `ipc://`.
    pub fn upstream(&self) -> Option<Text<HostPort>> {
        self.0.strip_prefix("tcp://").and_then(Text::new)
    }
}

/// The rule of a [`BrokerUrl`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRule;

impl Rule for BrokerRule {
    const ALLOWED: &'static str = "tcp://HOST:PORT, with a port from 1 to 65535, or ipc://PATH";

    fn holds(text: &str) -> bool {
        text.strip_prefix("tcp://").is_some_and(HostPort::holds) || is_ipc(text)
    }
}

fn is_ipc(text: &str) -> bool {
    text.strip_prefix("ipc://").is_some_and(|path| !path.is_empty())
}

/// Splits `host:port`; an IPv6 address must be in brackets.
fn split(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let bracketed = inside.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    let plain = !host.is_empty() && !host.contains([':', '/', '[', ']', '@']) && !host.contains(char::is_whitespace);
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    if digits && (bracketed || plain) { Some((host, port.parse().ok()?)) } else { None }
}

/// A text that is never shown: `Debug` and `Serialize` hide it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    const HIDDEN: &'static str = "(hidden)";
    const ALLOWED: &'static str = "text of the characters that an HTTP header can carry: ASCII from space to ~, no umlauts, \
                                   not empty";

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Removes what editors and shells add around a secret: a byte order mark, white space, line ends, and one pair of quotes,
    /// which Docker's `--env-file` keeps.
    #[must_use]
    pub fn cleaned(text: &str) -> &str {
        let text = text.trim().trim_start_matches('\u{feff}').trim();
        let quoted = |quote| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        quoted('"').or_else(|| quoted('\'')).unwrap_or(text).trim()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = Self::cleaned(&text);
        if text.is_empty() || !text.chars().all(|letter| matches!(letter, ' '..='~')) {
            return Err(D::Error::invalid_value(Unexpected::Other("something else"), &Self::ALLOWED));
        }
        Ok(Self(text.to_owned()))
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true, "x-allowed": Self::ALLOWED })
    }
}

#[cfg(test)]
mod tests {
    use super::{BindUrl, BrokerUrl, Hosts, Secret, Upstream};

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        for text in [
            "127.0.0.1:5678",
            "tasks.requester:5678",
            "[::1]:1",
            "web:65535",
            " web:1 ",
            "a:1,b:2",
            "10.0.0.1:1, [::1]:2",
        ] {
            assert!(Upstream::new(text).is_some(), "{text}");
        }
        for text in
            ["", "web", "web:", ":1", "web:0", "web:65536", "web:+1", "::1:5", "http://web:1", "a b:1", "a:1,", "a:1,b"]
        {
            assert!(Upstream::new(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_broker_binds_to_an_address_and_its_workers_connect_by_name() {
        for text in ["tcp://0.0.0.0:5433", "tcp://127.0.0.1:0", "tcp://[::]:5433", "ipc:///run/workers"] {
            assert!(BindUrl::new(text).is_some(), "{text}");
        }
        for text in ["tcp://broker:5433", "0.0.0.0:5433", "ipc://", "udp://0.0.0.0:1"] {
            assert!(BindUrl::new(text).is_none(), "{text}");
        }
        for (text, allowed) in [("tcp://broker:5433", true), ("ipc://workers", true), ("tcp://broker:0", false)] {
            assert_eq!(BrokerUrl::new(text).is_some(), allowed, "{text}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret: Secret = serde_json::from_str("\"s3cret\"").unwrap();
        assert_eq!(secret.expose(), "s3cret");
        assert_eq!(format!("{secret:?} {}", serde_json::to_string(&secret).unwrap()), "(hidden) \"(hidden)\"");
    }

    #[test]
    fn additions_of_editors_and_shells_around_a_secret_are_removed() {
        let secret =
            |text: &str| serde_json::from_value::<Secret>(text.into()).map(|secret| secret.expose().to_owned());
        for text in [
            "s3 cret",
            "s3 cret\n",
            "s3 cret\r\n",
            "\u{feff}s3 cret\n",
            " s3 cret\t",
            "\"s3 cret\"",
            "'s3 cret'\r\n",
            "\u{feff}\"s3 cret\"\n",
            "\" s3 cret \"",
        ] {
            assert_eq!(secret(text).unwrap(), "s3 cret", "{text:?}");
        }
        assert_eq!(secret("\"\"a\"\"").unwrap(), "\"a\"", "one pair");
        assert_eq!([secret("\"a").unwrap(), secret("a'b").unwrap()], ["\"a", "a'b"]);
        for text in
            ["", " ", "\u{feff}\n", "\"\"", "p\u{e4}ssword", "\u{20ac}", "a\tb", "a\nb", "a\u{7f}", "a\u{feff}b"]
        {
            let error = secret(text).unwrap_err().to_string();
            assert!(error.contains("HTTP header") && !error.contains("ssword"), "{text:?}: {error}");
        }
    }

    #[test]
    fn hosts_match_with_and_without_ports() {
        let hosts = Hosts::new("pi.local, Swarm.example:8080,[::1]").unwrap();
        for host in ["pi.local", "PI.local:3000", "swarm.example:8080", "[::1]", "[::1]:1"] {
            assert!(hosts.has(host), "{host}");
        }
        for host in ["", "local", "a.pi.local", "swarm.example", "swarm.example:80", "pi.local:x"] {
            assert!(!hosts.has(host), "{host}");
        }
        for text in ["", "http://pi.local", "a b", "a,", "a:b", "u@a", "a/b"] {
            assert!(Hosts::new(text).is_none(), "{text}");
        }
    }
}

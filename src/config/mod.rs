//! The settings: their types and bounds, and the layers they are read from.
//!
//! Layers, the later overriding the earlier: the defaults in code, `default.toml`, the profile's file, environment variables
//! (`SWARMQ_SECTION__KEY`), and flags. Begin with `settings.rs`.

mod bounds;
mod config;
mod curve_key;
mod error;
mod layers;
mod reference;
mod role;
mod settings;
mod shape;
mod text;
mod tiers;

pub use bounds::Int;
use bounds::{OutOfRange, Port, Span};
pub use config::Config;
pub use curve_key::CurveKey;
use error::ConfigError;
pub use layers::{ENV_PREFIX, Override, Sources};
use layers::{Layer, files};
pub use reference::render;
use reference::{Section, sections, variable};
pub use role::Role;
use settings::LOCALHOST;
pub use settings::{Curve, Log, LogFormat, LogLevel, Settings};
use shape::Shape;
use text::{BindUrl, BrokerUrl};
pub use text::{Hosts, Secret, Upstream};
pub use tiers::DelaySettings;
use tiers::{AROUND_BYTES, Broker, MAX_ESCAPED, Requester, Responder, TaskSettings, Web};
pub use tiers::{Connect, Socket};

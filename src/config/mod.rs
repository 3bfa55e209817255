//! The settings: their types and bounds, and the layers they are read from.
//!
//! Layers, the later overriding the earlier: the defaults in code, `default.toml`, the profile's file, environment variables
//! (`SWARMQ_SECTION__KEY`), and flags. Begin with `settings.rs`; each tier's settings are a file of its name.

mod bounds;
mod broker;
mod config;
mod curve_key;
mod error;
mod layers;
mod reference;
mod requester;
mod responder;
mod role;
mod settings;
mod shape;
mod task;
mod text;
mod web;

pub use bounds::Int;
use bounds::{MIB, OutOfRange, Port, Span};
use broker::Broker;
pub use config::{Config, SECRETS};
pub use curve_key::CurveKey;
use error::ConfigError;
pub use layers::{ENV_PREFIX, Override, Sources};
use layers::{Layer, files};
pub use reference::render;
use reference::{Section, sections, variable};
pub use requester::Socket;
use requester::{AROUND_BYTES, Requester};
use responder::Responder;
pub use role::Role;
use settings::LOCALHOST;
pub use settings::{Curve, Log, LogFormat, LogLevel, Settings};
use shape::Shape;
pub use task::DelaySettings;
use task::{MAX_ESCAPED, TaskSettings};
use text::{BindUrl, BrokerUrl};
pub use text::{Hosts, Secret, Upstream};
pub use web::Connect;
use web::Web;

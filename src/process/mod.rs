//! Floor 1: the process itself. What it is told (settings) and what it tells (logs).
//!
//! Settings come, later over earlier, from: the defaults in code, `default.toml`, the profile's file, environment
//! variables (`SWARMQ_SECTION__KEY`), and flags.

mod bounds;
mod config;
mod curve_key;
mod error;
mod layers;
pub mod logging;
pub mod output;
mod reference;
mod run_folder;
mod settings;
mod shape;
mod text;
mod tiers;
mod usage;

/// What the name of every environment variable of swarmq begins with.
pub const ENV_PREFIX: &str = "SWARMQ_";

pub use bounds::{Int, OutOfRange, Port, Span};
pub use config::{Config, Effective};
pub use curve_key::CurveKey;
pub use error::ConfigError;
use layers::{Layer, files};
pub use layers::{Override, Sources};
use reference::variable;
pub use reference::{Entry, Section, render, sections};
pub use run_folder::run_folder;
use settings::LOCALHOST;
pub use settings::{
    Admin, Curve, Discovery, Experiments, Instance, Log, LogFormat, LogLevel, Settings, Shutdown, Supervision,
    Telemetry,
};
pub use shape::Shape;
pub use text::{BindUrl, BrokerUrl, Hosts, Rule, Secret, Text, Upstream};
use tiers::{AROUND_BYTES, MOST_ESCAPED};
pub use tiers::{Broker, Connect, Delay, Dispatch, Requester, Responder, Socket, Task, Web};
pub use usage::usage;

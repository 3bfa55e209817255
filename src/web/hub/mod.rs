//! The hub takes telemetry in and feeds dashboards. Begin with `hub.rs`.

mod dashboards;
mod hub;
mod instances;
mod message;
mod owners;
mod page_settings;
mod refused;
mod sampler;
mod session;
mod shortlist;

use dashboards::{DashboardPermit, Dashboards};
pub use hub::{Hub, run_hub};
use instances::Instances;
pub use message::DashboardMessage;
use owners::Owners;
use page_settings::LatencyModel;
pub use page_settings::OwnSettings;
use refused::{Refused, Said};
use sampler::Sampler;
use session::Push;
pub use session::open_session;
use shortlist::Shortlist;

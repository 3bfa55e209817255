//! The hub takes telemetry in and feeds dashboards. Begin with `hub.rs`, its actor, and `deployment.rs`, what it knows.

mod dashboards;
mod deployment;
mod hub;
mod instances;
mod link_news;
mod message;
mod owners;
mod page_settings;
mod refused;
mod sampler;
mod session;
mod shortlist;
mod state;

use dashboards::{DashboardPermit, Dashboards};
pub use deployment::Deployment;
pub use hub::{Hub, HubContext};
use instances::Instances;
use link_news::link_news;
pub use message::DashboardMessage;
use owners::Owners;
pub use page_settings::OwnSettings;
use page_settings::{LatencyModel, ModelInput, PageSettings};
use refused::{Refused, Said};
use sampler::Sampler;
use session::Push;
pub use session::open_session;
use shortlist::Shortlist;
use state::State;

//! The web tier: HTTP API, links to the requesters, and the hub that feeds dashboards. Begin with `tier.rs`.

pub mod experiments;
mod feed;
mod figures;
pub mod history;
pub mod http;
pub mod hub;
pub mod links;
pub mod load;
pub mod requests;
mod tier;

use feed::json_of;
pub use feed::{Batch, Feed};
pub use load::{Load, LoadView};
pub use tier::WebTier;

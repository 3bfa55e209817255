//! Floor 5: the edges. What people and programs outside reach: the web tier, the admin server.

pub mod admin;
mod errors;
mod metrics;
mod permission;
pub mod web;

use admin::{DispatchChoice, PoolSize, Stall};
use errors::ApiError;
pub use permission::Permission;

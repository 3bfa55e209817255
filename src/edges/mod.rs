//! Floor 5: the edges. What people and programs outside reach: the web tier, the admin server.

pub mod admin;
pub mod experiment;
mod metrics;
pub mod web;

//! swarmq: a message-queue application that makes a Docker Swarm visible and measurable.

pub mod actors;
pub mod app;
pub mod cli;
pub mod edges;
pub mod model;
pub mod process;
pub mod tasks;
pub mod transport;

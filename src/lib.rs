//! swarmq: a message-queue application that makes a Docker Swarm visible and measurable.

pub mod actors;
pub mod model;
pub mod tasks;
pub mod transport;

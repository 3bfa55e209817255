//! swarmq: a message-queue application that makes a Docker Swarm visible and measurable.

pub mod process;

//! swarmq: a message-queue application that makes a Docker Swarm visible and measurable.

pub mod admin;
pub mod app;
pub mod broker;
pub mod cli;
pub mod config;
pub mod experiment;
pub mod requester;
pub mod responder;
pub mod runtime;
pub mod web;
pub mod wire;

//! The HTTP server and its calls. Begin with `server.rs`.

mod access;
mod answers;
mod api;
mod article;
#[cfg(feature = "dashboard")]
mod assets;
mod control;
mod description;
mod owned;
mod server;

pub use access::access;
pub use answers::Answers;
pub use api::check;
#[cfg(feature = "dashboard")]
use assets::page_paths;
#[cfg(test)]
use description::DESCRIPTION;
pub use owned::caller;
use owned::owned;
pub use server::{WebContext, serve_web};

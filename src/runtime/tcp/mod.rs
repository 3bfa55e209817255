//! JSON objects over TCP.

mod json_stream;
mod keep_alive;
mod object_reader;

pub use json_stream::{JsonStream, StreamError};
pub use keep_alive::keep_alive;
pub use object_reader::{ObjectReader, room};

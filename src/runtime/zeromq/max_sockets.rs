//! Contexts for more sockets than libzmq's default of 1,023. The limit has to be set before a context's first socket, and the
//! `zmq` crate gives no access to the context (`zmq_ctx_set`).

use std::cell::Cell;
use std::ffi::{c_int, c_void};

thread_local! {
    /// The limit of the next context that this thread makes.
    static MAX_SOCKETS: Cell<Option<c_int>> = const { Cell::new(None) };
}

// The linker redirects calls of this function of libzmq to `__wrap_zmq_ctx_new` (`--wrap`, see build.rs).
unsafe extern "C" {
    #[link_name = "__real_zmq_ctx_new"]
    fn new_context() -> *mut c_void;
}

#[unsafe(export_name = "__wrap_zmq_ctx_new")]
unsafe extern "C" fn new_context_with_limit() -> *mut c_void {
    // SAFETY: it takes no arguments.
    let context = unsafe { new_context() };
    if let Ok(Some(limit)) = MAX_SOCKETS.try_with(Cell::take)
        && !context.is_null()
    {
        // SAFETY: the context is valid. An error means that the limit is out of range; the default stays.
        unsafe { zmq_sys::zmq_ctx_set(context, zmq_sys::ZMQ_MAX_SOCKETS as c_int, limit) };
    }
    context
}

/// A context for up to `max_sockets` sockets. libzmq allocates 12 bytes for each, used or not, when the first one is made.
pub fn context_for(max_sockets: c_int) -> zmq::Context {
    MAX_SOCKETS.set(Some(max_sockets));
    zmq::Context::new()
}

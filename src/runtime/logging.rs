//! Logs: lines for people on stderr, or JSON lines on stdout, written by a thread of their own.
//!
//! Our code passes loggers. Libraries know no logger: what they say through `log` goes through the global one that
//! `init` sets, and so do `tracing` events, which `tracing`'s feature "log" (actix enables it) hands to `log`.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::thread;

use slog::{Drain, Level, Logger, OwnedKVList, Record, crit, error, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};
use slog_json::Json;
use slog_term::{FullFormat, TermDecorator};

use crate::config::{Log, LogFormat, LogLevel};

/// Lines that wait to be written; beyond it they are left out, and a line tells how many.
const QUEUE_LINES: usize = 8_192;

/// Says at ERROR what a client sent wrong, each time: a flood at will. The client is told, and the log at `debug`.
const CLIENTS_FAULTS: &str = "actix_http";

/// Marks what is shown as it stands.
const BANNER: &str = "banner";

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Something else in this process took the `log` crate's lines first.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Writes out the lines that wait when dropped. `std::process::exit` drops nothing: drop this before it.
#[must_use = "dropping the guard ends logging"]
pub struct LogGuard {
    /// True when the lines are JSON on stdout, which nothing else may be written to then.
    pub json: bool,
    _writer: AsyncGuard,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // Panics from here on have no logger to go to; std prints them again. Its hook cannot be changed by a thread
        // that panics.
        if !thread::panicking() {
            drop(panic::take_hook());
        }
    }
}

/// Sets up logging for this process, once: the logger to pass on, each line marked with `tier`. Panics are logged too.
///
/// # Errors
/// `LogError::AlreadySet` the second time.
pub fn init(settings: &Log, tier: &str) -> Result<(Logger, LogGuard), LogError> {
    // What the crates say of themselves is of interest to who looks for a fault in them.
    let crates = if settings.level == LogLevel::Info { log::Level::Warn } else { settings.level.into() };
    slog_stdlog::init_with_level(crates).map_err(|_| LogError::AlreadySet)?;
    let json = match settings.format {
        LogFormat::Auto => !io::stdout().is_terminal(),
        LogFormat::Terminal => false,
        LogFormat::Json => true,
    };
    let (logger, writer) = if json {
        start(Json::new(io::stdout()).add_default_keys().build(), settings.level, tier)
    } else {
        start(Terminal(FullFormat::new(TermDecorator::new().stderr().build()).build()), settings.level, tier)
    };

    // The global logger lives as long as the process: a guard that took it away would make late lines panic.
    slog_scope::set_global_logger(logger.clone()).cancel_reset();
    log_panics(logger.clone());
    Ok((logger, LogGuard { json, _writer: writer }))
}

/// Shows a text for people, at every level, where the log is for people: on stdout, in its place among the log's lines,
/// since it is the same thread that writes them.
pub fn banner(log: &Logger, text: &str) {
    crit!(log, #BANNER, "{text}");
}

/// Lines for people, and banners.
struct Terminal<D>(D);

impl<D: Drain<Ok = ()>> Drain for Terminal<D> {
    type Ok = ();
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), D::Err> {
        if record.tag() != BANNER {
            return self.0.log(record, values);
        }
        // Where nobody can be shown anything, nobody can be told so.
        let _ = writeln!(io::stdout(), "{}", record.msg());
        Ok(())
    }
}

/// A logger whose lines of `level` and above a thread writes to `drain`. Lines that cannot be written, and lines after
/// the writer's end, are ignored: there is nowhere left to tell it.
fn start<D>(drain: D, level: LogLevel, tier: &str) -> (Logger, AsyncGuard)
where
    D: Drain + Send + 'static,
{
    // A stuck reader of our output must not stop the actors, so a full queue leaves lines out and says so.
    let (queue, writer) = Async::new(drain.ignore_res())
        .chan_size(QUEUE_LINES)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".to_owned())
        .build_with_guard();
    let level = Level::from(level);
    let queue =
        queue.filter(move |record| Level::Debug.is_at_least(level) || !record.tag().starts_with(CLIENTS_FAULTS));
    let logger = Logger::root(queue.filter_level(level).ignore_res(), o!("tier" => tier.to_owned()));
    (logger, writer)
}

fn log_panics(logger: Logger) {
    panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref().map(String::as_str));
        let message = text.unwrap_or("without a message");
        let location = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let thread = thread::current().name().unwrap_or("unnamed").to_owned();
        error!(logger, "panic: {message}"; "location" => location, "thread" => thread);
    }));
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Critical => Self::Critical,
        }
    }
}

impl From<LogLevel> for log::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Trace => Self::Trace,
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warn,
            LogLevel::Error | LogLevel::Critical => Self::Error,
        }
    }
}

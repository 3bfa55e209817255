//! Logs: text lines on stderr, or JSON lines on stdout, written by a separate thread.
//!
//! Our code passes loggers. Dependencies log through the `log` crate, which `init` connects to a global logger; `tracing`
//! events get there by `tracing`'s feature "log", which actix enables.

use std::io::{self, IsTerminal, Write};
use std::panic;
use std::thread;

use slog::{Drain, Level, Logger, OwnedKVList, Record, crit, error, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};
use slog_json::Json;
use slog_term::{FullFormat, TermDecorator};

use crate::config::{Log, LogFormat, LogLevel};

/// Lines that may wait to be written. Further ones are dropped, and a line reports how many.
const QUEUE_LINES: usize = 8_192;

/// Logs every malformed request at ERROR, so clients could flood the log. Shown at `debug` only; the client gets an error
/// response in any case.
const CLIENT_ERRORS: &str = "actix_http";

/// The tag of records that are printed without a log prefix.
const BANNER: &str = "banner";

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A logger for the `log` crate was set before.
    #[error("logging is already set up in this process")]
    AlreadySet,
}

/// Writes the waiting lines when it is dropped. `std::process::exit` runs no destructors: drop this before it.
#[must_use = "dropping the guard ends logging"]
pub struct LogGuard {
    /// True when stdout has JSON log lines; nothing else may be written to it then.
    pub json: bool,
    _writer: AsyncGuard,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        // std's hook prints later panics, which have no logger any more. A panicking thread can't change the hook.
        if !thread::panicking() {
            drop(panic::take_hook());
        }
    }
}

/// Sets up logging for this process, panics included. Returns the logger to pass on, which adds `tier` to each line.
///
/// # Errors
/// `LogError::AlreadySet` if it is called a second time.
pub fn init(settings: &Log, tier: &str) -> Result<(Logger, LogGuard), LogError> {
    // At the default level, show only warnings from dependencies.
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

    // The global logger is never removed: late lines would panic.
    slog_scope::set_global_logger(logger.clone()).cancel_reset();
    log_panics(logger.clone());
    Ok((logger, LogGuard { json, _writer: writer }))
}

/// Prints a text on stdout at every log level. Goes through the log's thread, so that it stays in order with the log's
/// lines. For the terminal format only.
pub fn banner(log: &Logger, text: &str) {
    crit!(log, #BANNER, "{text}");
}

/// Writes log lines to stderr and banners to stdout.
struct Terminal<D>(D);

impl<D: Drain<Ok = ()>> Drain for Terminal<D> {
    type Ok = ();
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), D::Err> {
        if record.tag() != BANNER {
            return self.0.log(record, values);
        }
        // There is nowhere to report that stdout can't be written.
        let _ = writeln!(io::stdout(), "{}", record.msg());
        Ok(())
    }
}

/// A logger whose lines of `level` and above are written to `drain` by a separate thread. Write errors, and lines after the
/// thread's end, are ignored: there is nowhere to report them.
fn start<D>(drain: D, level: LogLevel, tier: &str) -> (Logger, AsyncGuard)
where
    D: Drain + Send + 'static,
{
    // A blocked stdout must not block the actors, so a full queue drops lines and reports how many.
    let (queue, writer) = Async::new(drain.ignore_res())
        .chan_size(QUEUE_LINES)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".to_owned())
        .build_with_guard();
    let level = Level::from(level);
    let queue = queue.filter(move |record| Level::Debug.is_at_least(level) || !record.tag().starts_with(CLIENT_ERRORS));
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

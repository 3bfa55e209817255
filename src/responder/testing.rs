//! Helpers for tests.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use slog::{Discard, Logger, o};
use tokio::sync::watch;

use super::tasks::{Tasks, TasksConfig, Withheld};
use super::{Backend, ResponderContext, ResponderStates};
use crate::runtime::zeromq::{Contexts, SocketOptions};
use crate::wire::{Delay, TaskName};

/// The context of workers without brokers, whose task is `echo`, and the sender of their delay.
pub fn context(delay: Delay) -> (watch::Sender<Delay>, Arc<ResponderContext>) {
    let second = Duration::from_secs(1);
    let options = SocketOptions {
        connect_timeout: second,
        heartbeat: second,
        heartbeat_timeout: second,
        reconnect_min: second,
        reconnect_max: second,
        max_frame_bytes: 1 << 20,
        high_water_mark: 100,
        linger: Duration::ZERO,
    };
    let contexts = Arc::new(Contexts::new(options, None, Logger::root(Discard, o!())));
    let status = crate::runtime::status();
    let backend = Backend::Addresses(watch::Sender::new(BTreeSet::new()).subscribe());
    let tasks = TasksConfig {
        default: TaskName::Echo,
        root: PathBuf::from("."),
        withheld: Withheld::default(),
        default_file: "target.txt".into(),
        max_file_bytes: 1,
        max_cpu_rounds: 1,
    };
    let delay = watch::Sender::new(delay);
    let context = ResponderContext {
        states: ResponderStates::new(contexts, backend, status.clone(), 1, None),
        tasks: Arc::new(Tasks::new(tasks).unwrap()),
        delay: delay.subscribe(),
        faults: Arc::default(),
        status,
        max_reply_bytes: 1 << 20,
    };
    (delay, Arc::new(context))
}

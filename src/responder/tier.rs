//! Starts and drains the responder workers of a process.

use std::path::Path;
use std::sync::Arc;

use actix::Addr;
use anyhow::Result;
use slog::warn;
use tokio::sync::watch;

use super::tasks::{BUILT_IN_FILE, Tasks, TasksConfig, Withheld};
use super::{
    Backend, FaultInjector, LocalBroker, ResponderContext, ResponderControls, ResponderStates, ResponderWorker,
};
use crate::config::Settings;
use crate::runtime::supervision::{Drain, Supervised, Supervisor};
use crate::runtime::{Process, first_responder_id};
use crate::wire::{Delay, TaskName, Tier};

/// The running responder workers of this process.
pub struct ResponderTier {
    pub workers: Addr<Supervisor>,
    pub controls: ResponderControls,
}

impl ResponderTier {
    /// Starts the workers. `local`: the broker of this process; `None` if the brokers are in other processes.
    ///
    /// # Errors
    /// A setting is missing or invalid, or a thread cannot be started.
    pub fn start(process: &mut Process, local: Option<LocalBroker>) -> Result<Self> {
        let settings = process.settings.responder.clone();
        let upstream = settings.backend.as_ref().filter(|_| local.is_none()).and_then(|url| url.upstream());
        let status = process.status(Tier::Responder, upstream.is_some(), true);
        let backend = match (local, upstream, &settings.backend) {
            (Some(local), ..) => Backend::Local(local),
            (None, Some(upstream), _) => Backend::Addresses(process.follow(&upstream, &status)),
            (None, None, Some(url)) => Backend::Ipc(url.as_str().to_owned()),
            (None, None, None) => anyhow::bail!("a responder without a broker needs responder.backend"),
        };
        let tasks = Arc::new(tasks(&process.settings)?);
        let delay = Delay::from(&process.settings.task.delay).checked()?;
        status.set_delay(delay);
        let delay = watch::Sender::new(delay);
        let faults = Arc::new(FaultInjector::default());
        let injector = faults.clone();
        status.watch_faults(move || (injector.faults(), injector.stalled()));
        let size = watch::Sender::new(settings.workers.usize());
        let seed = process.settings.task.delay.seed.map(|seed| seed.get());
        let states =
            ResponderStates::new(process.contexts.clone(), backend, status.clone(), first_responder_id(), seed);
        let context = Arc::new(ResponderContext {
            states,
            tasks,
            delay: delay.subscribe(),
            faults: faults.clone(),
            status: status.clone(),
            max_reply_bytes: process.settings.requester.max_message_bytes.usize(),
        });
        let arbiters = process.arbiter_pool(settings.arbiters.usize(), settings.blocking_threads.usize())?;
        let spawn = ResponderWorker::spawn(move |life| ResponderWorker::new(life, context.clone()));
        let workers = process.pool("responder worker", &arbiters, &status, size, spawn);
        let task = &process.settings.task;
        if task.name == TaskName::File && task.file != Path::new(BUILT_IN_FILE) {
            let path = task.root.join(&task.file);
            if !path.is_file() {
                warn!(process.log, "the default file does not exist: messages without a filename will get errors (task.root, \
                     task.file)"; "path" => %path.display());
            }
        }
        Ok(Self { workers, controls: ResponderControls { delay, faults, status } })
    }

    /// Drains the workers. Returns when each has answered its current message and left its brokers.
    pub async fn drain(&self) {
        self.controls.status.set_draining();
        // An error means that the supervisor has ended, and the workers with it.
        let _ = self.workers.send(Drain).await;
    }
}

fn tasks(all: &Settings) -> Result<Tasks> {
    let settings = &all.task;
    let secrets = [&all.admin.token_file, &all.curve.key_file];
    Ok(Tasks::new(TasksConfig {
        withheld: Withheld {
            files: secrets.into_iter().flatten().cloned().collect(),
            config_dir: all.folder.clone(),
            experiments_dir: all.experiments.dir.clone(),
        },
        default: settings.name,
        root: settings.root.clone(),
        default_file: settings.file.to_string_lossy().into_owned(),
        max_file_bytes: settings.max_file_bytes.get(),
        max_cpu_rounds: settings.max_cpu_rounds.get(),
    })?)
}

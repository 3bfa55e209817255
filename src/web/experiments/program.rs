//! This program as the one that runs an experiment, in a process of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::{Experiment, RunKey};
use crate::config::{ENV_PREFIX, Secret};
use crate::experiment::plan::Target;
use crate::experiment::target::RUN_KEY_VARIABLE;

/// How experiments are started.
pub struct Program {
    /// This program.
    pub path: PathBuf,
    /// Shown to the controls of the deployment.
    pub token: Option<Secret>,
    /// Where this web tier answers.
    pub url: String,
    /// Shown to this web tier, which refuses the changes of others meanwhile.
    pub key: RunKey,
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // What configures this web tier is not meant for the deployments of an experiment.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with(ENV_PREFIX)) {
            command.env_remove(name);
        }
        if let Some(token) = &self.token {
            command.env(format!("{ENV_PREFIX}ADMIN__TOKEN"), token.expose());
        }
        // A group of its own: Ctrl-C in this program's terminal is not for it, and its processes end with it.
        command.arg("experiment").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the experiment of a plan, or goes on with the one in `folder` when there is none.
    pub fn start(&self, folder: &Path, target: Target, plan: Option<(&str, &str)>) -> io::Result<Experiment> {
        let mut command = self.command();
        match plan {
            Some((name, _)) => command.args(["-", "--name", name, "--target", target.name(), "--out"]).arg(folder),
            None => command.arg("--resume").arg(folder),
        };
        if target == Target::Running {
            command.args(["--url", &self.url]).env(RUN_KEY_VARIABLE, self.key.text());
        }
        command.args(["--progress", "json"]).stdin(if plan.is_some() { Stdio::piped() } else { Stdio::null() });
        Ok(Experiment::of(command.spawn()?, plan.map(|(_, text)| text.to_owned())))
    }
}

/// A program that does what a script says, in place of this one.
#[cfg(test)]
pub fn stand_in(folder: &Path, script: &str) -> Program {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    let path = folder.join("stand-in");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Program { path, token: None, url: "http://127.0.0.1:1".into(), key: RunKey::random() }
}

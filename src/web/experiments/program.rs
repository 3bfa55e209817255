//! This program as the one that carries out experiments: what it is asked, and how it is started.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::{Experiment, MAX_LINE, Progress, tail};
use crate::config::{ENV_PREFIX, Secret};
use crate::runtime::http::ApiError;
use crate::wire::ErrorCode;

/// How long a plan may take to be checked.
const CHECK: Duration = Duration::from_secs(20);

/// What a plan comes to.
#[derive(Debug)]
pub struct CheckedPlan {
    pub plan: Map<String, Value>,
    pub trials: usize,
    pub time_ms: u64,
}

/// How experiments are started.
pub struct Program {
    /// This program.
    pub path: PathBuf,
    /// Shown to the controls of the deployment.
    pub token: Option<Secret>,
    /// Where this web tier answers.
    pub url: String,
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

    /// The plans that are part of the program, as `swarmq experiment plans --json` tells them.
    pub async fn plans(&self) -> Result<Value, ApiError> {
        let mut command = self.command();
        let (status, lines, words) = self.output(command.args(["plans", "--json"]), "").await?;
        match serde_json::from_str(&lines) {
            Ok(plans) if status.success() => Ok(plans),
            _ => Err(ApiError::new(
                ErrorCode::Internal,
                format!("`swarmq experiment plans` ended with {status}: {words}"),
            )),
        }
    }

    /// What a plan comes to against a target.
    ///
    /// # Errors
    /// `Unprocessable` with what is wrong with it and, where that is known, its line.
    pub async fn check(&self, text: &str, name: &str, target: &str) -> Result<CheckedPlan, ApiError> {
        let mut command = self.command();
        command.args(["-", "--name", name, "--target", target, "--dry-run", "--progress", "json"]);
        self.address(&mut command, target);
        let (status, lines, words) = self.output(&mut command, text).await?;
        let first = lines.lines().next().map(serde_json::from_str);
        match (status.code(), first) {
            (Some(0), Some(Ok(Progress::Plan { plan, trials, time_ms }))) => Ok(CheckedPlan { plan, trials, time_ms }),
            (Some(2), _) => {
                Err(ApiError::new(ErrorCode::Unprocessable, words.strip_prefix("swarmq: ").unwrap_or(&words)))
            }
            (_, first) => {
                let said = first.and_then(Result::err).map_or(words, |error| error.to_string());
                Err(ApiError::new(ErrorCode::Internal, format!("the plan could not be checked ({status}): {said}")))
            }
        }
    }

    /// The comparison of two runs by their folders, in JSON.
    pub async fn compare(&self, before: &Path, after: &Path) -> Result<String, ApiError> {
        let mut command = self.command();
        let (status, lines, words) =
            self.output(command.arg("compare").args([before, after]).arg("--json"), "").await?;
        match status.success() {
            true => Ok(lines),
            false => Err(ApiError::new(ErrorCode::Unprocessable, format!("the runs can't be compared: {words}"))),
        }
    }

    /// Starts the experiment of a plan, or goes on with the one in `folder` when there is none.
    pub fn start(&self, folder: &Path, target: &str, plan: Option<(&str, &str)>) -> io::Result<Experiment> {
        let mut command = self.command();
        match plan {
            Some((name, _)) => command.args(["-", "--name", name, "--target", target, "--out"]).arg(folder),
            None => command.arg("--resume").arg(folder),
        };
        self.address(&mut command, target);
        command.args(["--progress", "json"]).stdin(if plan.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn()?;
        if let (Some(mut input), Some((_, text))) = (child.stdin.take(), plan) {
            let text = text.to_owned();
            // An error means that it has ended, which its status tells.
            actix_rt::spawn(async move { input.write_all(text.as_bytes()).await });
        }
        Ok(Experiment::of(child))
    }

    fn address(&self, command: &mut Command, target: &str) {
        if target == "running" {
            command.args(["--url", &self.url]);
        }
    }

    /// Runs a command to its end; its status, and what it wrote to stdout and stderr.
    async fn output(&self, command: &mut Command, input: &str) -> Result<(ExitStatus, String, String), ApiError> {
        let failed = |error: &dyn std::fmt::Display| {
            ApiError::new(ErrorCode::Internal, format!("{} can't be run: {error}", self.path.display()))
        };
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(|error| failed(&error))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(failed(&"it has no pipes"));
        };
        let feed = async move {
            // An error means that it did not want all of it: its status tells why.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let mut lines = String::new();
        let mut limited = stdout.take(MAX_LINE);
        let all = async { tokio::join!(feed, limited.read_to_string(&mut lines), tail(stderr), child.wait()) };
        let ((), read, words, status) = timeout(CHECK, all).await.map_err(|_| failed(&"it takes too long"))?;
        read.map_err(|error| failed(&error))?;
        Ok((status.map_err(|error| failed(&error))?, lines, words))
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
    Program { path, token: None, url: "http://127.0.0.1:1".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_check_tells_what_is_wrong_with_the_plan_or_with_the_check() {
        let folder = tempfile::tempdir().unwrap();
        for (script, code, words) in [
            ("echo 'swarmq: the plan, line 2: no' >&2; exit 2", ErrorCode::Unprocessable, "the plan, line 2: no"),
            ("echo oh >&2; exit 1", ErrorCode::Internal, "the plan could not be checked (exit status: 1): oh"),
            ("echo '{}'", ErrorCode::Internal, "missing field"),
            ("kill -9 $$", ErrorCode::Internal, "signal: 9"),
        ] {
            let problem = stand_in(folder.path(), script).check("x", "plan", "running").await.unwrap_err().problem;
            assert!(problem.code == code && problem.message.contains(words), "{script}: {problem:?}");
        }
        let missing = Program { path: folder.path().join("none"), token: None, url: String::new() };
        assert!(missing.plans().await.unwrap_err().problem.message.contains("can't be run"));
    }
}

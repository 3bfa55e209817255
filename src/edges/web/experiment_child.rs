//! An experiment's process: this program again, so that the load generator is by itself, and an experiment that dies
//! takes nothing with it. It tells its progress in lines of JSON.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::model::{ErrorCode, TrialView};
use crate::process::{ENV_PREFIX, Secret};
use crate::transport::ApiError;

/// The longest line that is read: a plan of as many trials as there may be is shorter.
const LONGEST_LINE: u64 = 8 << 20;

/// How much of what it says to people is kept: the end.
const WORDS_KEPT: usize = 4 << 10;

/// How long a plan may take to be checked.
const CHECK: Duration = Duration::from_secs(20);

/// How long an experiment that is asked to end may go on writing what it has.
pub const GRACE: Duration = Duration::from_secs(5);

/// A line of an experiment's progress.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Progress {
    Plan {
        plan: Map<String, Value>,
        trials: usize,
        time_ms: u64,
    },
    TrialStarted(TrialView),
    /// Of the trial under way, so far.
    Load {
        elapsed_ms: u64,
        total_ms: u64,
        sent: u64,
        ended: u64,
    },
    TrialEnded {
        trial: TrialEnd,
    },
    Finished {
        stopped: bool,
        problems: usize,
    },
}

/// What of a trial's result is looked at here.
#[derive(Debug, Deserialize)]
pub struct TrialEnd {
    pub problem: Option<String>,
}

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
    /// `BadRequest` with what is wrong with it and, where that is known, its line.
    pub async fn check(&self, text: &str, name: &str, target: &str) -> Result<CheckedPlan, ApiError> {
        let mut command = self.command();
        command.args(["-", "--name", name, "--target", target, "--dry-run", "--progress", "json"]);
        self.address(&mut command, target);
        let (status, lines, words) = self.output(&mut command, text).await?;
        let first = lines.lines().next().map(serde_json::from_str);
        match (status.code(), first) {
            (Some(0), Some(Ok(Progress::Plan { plan, trials, time_ms }))) => Ok(CheckedPlan { plan, trials, time_ms }),
            (Some(2), _) => Err(ApiError::new(ErrorCode::BadRequest, words.strip_prefix("swarmq: ").unwrap_or(&words))),
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
            false => Err(ApiError::new(ErrorCode::BadRequest, format!("the runs can't be compared: {words}"))),
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
        let (output, words) = (child.stdout.take(), child.stderr.take());
        let group = child.id().map(|id| Pid::from_raw(id as i32));
        let words = actix_rt::spawn(async move {
            match words {
                Some(words) => tail(words).await,
                None => String::new(),
            }
        });
        Ok(Experiment { child, group, lines: output.map(BufReader::new), line: vec![], words })
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
        let mut limited = stdout.take(LONGEST_LINE);
        let all = async { tokio::join!(feed, limited.read_to_string(&mut lines), tail(stderr), child.wait()) };
        let ((), read, words, status) = timeout(CHECK, all).await.map_err(|_| failed(&"it takes too long"))?;
        read.map_err(|error| failed(&error))?;
        Ok((status.map_err(|error| failed(&error))?, lines, words))
    }
}

/// The last of what is written, without what surrounds it.
async fn tail(mut source: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = source.read(&mut part).await {
        kept.extend_from_slice(&part[..read]);
        kept.drain(..kept.len().saturating_sub(WORDS_KEPT));
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// A process that carries out an experiment. It is killed when this is dropped.
pub struct Experiment {
    child: Child,
    /// It and what it starts; none when they have ended.
    group: Option<Pid>,
    lines: Option<BufReader<ChildStdout>>,
    /// What has been read of the next line.
    line: Vec<u8>,
    words: actix_rt::task::JoinHandle<String>,
}

impl Experiment {
    /// The next line of its progress; none when there will be no more. Lines of later versions are left out. A call
    /// that is given up loses nothing: the next one goes on.
    ///
    /// # Errors
    /// When what it writes can't be read.
    pub async fn next(&mut self) -> io::Result<Option<Progress>> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        loop {
            let room = LONGEST_LINE - self.line.len() as u64;
            if lines.take(room).read_until(b'\n', &mut self.line).await? == 0 && self.line.is_empty() {
                return Ok(None);
            }
            let line = std::mem::take(&mut self.line);
            let value: Value = serde_json::from_slice(&line).map_err(|error| {
                io::Error::other(format!("a line of its progress, of {} bytes, can't be read: {error}", line.len()))
            })?;
            if let Ok(progress) = serde_json::from_value(value) {
                return Ok(Some(progress));
            }
        }
    }

    /// Asks it to write what it has and end.
    pub fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    /// Waits for its end, not for ever; how it ended, and the last of what it said to people.
    pub async fn end(mut self) -> (String, String) {
        // Nobody reads on: what it writes from now on must not hold it up.
        self.lines = None;
        let status = match timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not end, and was killed".to_owned(),
        };
        self.signal(Signal::SIGKILL);
        self.group = None;
        let words = timeout(GRACE, &mut self.words).await;
        (status, words.ok().and_then(Result::ok).unwrap_or_default())
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // An error means that nobody of the group is left.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for Experiment {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program that does what a script says, in place of this one.
    fn stand_in(folder: &Path, script: &str) -> Program {
        let path = folder.join("stand-in");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Program { path, token: None, url: "http://127.0.0.1:1".into() }
    }

    fn start(folder: &Path, script: &str) -> Experiment {
        stand_in(folder, script).start(folder, "running", Some(("plan", "text"))).unwrap()
    }

    #[actix_rt::test]
    async fn progress_is_read_line_by_line_and_later_versions_lines_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"[ "$*" = "experiment - --name plan --target running --out $(dirname $0) --url http://127.0.0.1:1 --progress json" ] || exit 7
            [ "$(cat)" = text ] || exit 8
            echo '{"event":"news","of":"later versions"}'
            echo '{"event":"trial-started","number":3,"of":9,"levels":{"responders":"2"},"repetition":1}'
            echo '{"event":"trial-ended","trial":{"number":3,"problem":"none of it worked"}}'
            echo words for people >&2
            printf '{"event":"finished","dir":"x","stopped":false,"problems":1}'"#;
        let mut experiment = start(folder.path(), script);
        let mut read = vec![];
        while let Some(progress) = experiment.next().await.unwrap() {
            read.push(progress);
        }
        assert!(
            matches!(&read[..], [Progress::TrialStarted(trial), Progress::TrialEnded { trial: end }, Progress::Finished { stopped: false, problems: 1 }]
                if trial.number == 3 && trial.levels["responders"] == "2" && end.problem.is_some()),
            "{read:?}"
        );
        let (status, words) = experiment.end().await;
        assert_eq!((&*status, &*words), ("exit status: 0", "words for people"));
    }

    #[actix_rt::test]
    async fn what_can_not_be_read_is_an_error_and_holds_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        for script in ["echo this is no JSON", "exec tr '\\0' x < /dev/zero"] {
            let mut experiment = start(folder.path(), script);
            assert!(experiment.next().await.unwrap_err().to_string().contains("can't be read"));
            experiment.end().await;
        }
    }

    #[actix_rt::test]
    async fn one_that_does_not_end_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let script =
            r#"trap '' INT; sleep 1000 & echo "{\"event\":\"finished\",\"stopped\":true,\"problems\":$!}"; wait; wait"#;
        let mut experiment = start(folder.path(), script);
        let Some(Progress::Finished { problems: sleeper, .. }) = experiment.next().await.unwrap() else { panic!() };
        experiment.interrupt();
        let (status, _) = experiment.end().await;
        assert!(status.contains("killed"), "{status}");
        let state = || fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
        while state().split(')').nth(1).is_some_and(|rest| !rest.starts_with(" Z")) {
            tokio::task::yield_now().await;
        }
    }

    #[actix_rt::test]
    async fn a_check_tells_what_is_wrong_with_the_plan_or_with_the_check() {
        let folder = tempfile::tempdir().unwrap();
        for (script, code, words) in [
            ("echo 'swarmq: the plan, line 2: no' >&2; exit 2", ErrorCode::BadRequest, "the plan, line 2: no"),
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

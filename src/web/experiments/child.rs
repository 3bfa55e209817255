//! An experiment's process: this program again, so that the load generator is by itself, and an experiment that dies
//! takes nothing with it. It tells its progress in lines of JSON.

use std::io;
use std::time::Duration;

use futures_util::future::join;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::wire::TrialView;

/// The longest line that is read: a plan of as many trials as there may be is shorter.
const MAX_LINE: u64 = 8 << 20;

/// How much of what it says to people is kept: the end.
const WORDS_KEPT: usize = 4 << 10;

/// How long an experiment that is asked to end may go on writing what it has.
pub const GRACE: Duration = Duration::from_secs(5);

/// A line of an experiment's progress.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Progress {
    Plan {
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
    /// Gives a process, which leads a group of its own, its input, and reads what it writes.
    pub fn of(mut child: Child, input: Option<String>) -> Self {
        let (stdin, output, words) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = child.id().map(|id| Pid::from_raw(id as i32));
        let give = async {
            if let (Some(mut stdin), Some(text)) = (stdin, input) {
                // An error means that it has ended, which its status tells.
                let _ = stdin.write_all(text.as_bytes()).await;
            }
        };
        let read = async {
            match words {
                Some(words) => tail(words).await,
                None => String::new(),
            }
        };
        // `end` waits for it.
        let words = actix_rt::spawn(async { join(give, read).await.1 });
        Self { child, group, lines: output.map(BufReader::new), line: vec![], words }
    }

    /// The next line of its progress; none when there will be no more. Lines of later versions are left out. A call
    /// that is given up loses nothing: the next one goes on.
    ///
    /// # Errors
    /// When what it writes can't be read.
    pub async fn next(&mut self) -> io::Result<Option<Progress>> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        loop {
            let room = MAX_LINE - self.line.len() as u64;
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
        let words = match words {
            Ok(words) => words.unwrap_or_else(|fault| format!("what it said was not read: {fault}")),
            Err(_) => String::new(),
        };
        (status, words)
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
    use std::path::Path;

    use super::*;
    use crate::experiment::plan::Target;
    use crate::web::experiments::stand_in;

    fn start(folder: &Path, script: &str) -> Experiment {
        stand_in(folder, script).start(folder, Target::Running, Some(("plan", "text"))).unwrap()
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
}

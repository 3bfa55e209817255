//! The CPU task: keeps a core busy with hashing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

use super::{Task, TaskError, TaskFuture, TaskInput, TaskOutput, off_thread};

/// Rounds of a message without the parameter `rounds`; the configured maximum if that is less.
pub const DEFAULT_CPU_ROUNDS: u64 = 100_000;

/// Rounds between two checks for cancellation: about a millisecond on a small machine.
const ROUNDS_PER_CHECK: u64 = 2_048;

/// Chains SHA-256: the message id is hashed, then each digest in turn; the body is the last digest in hex.
///
/// `rounds` (whole number, 1 to the configured maximum): number of hashes. The same id and rounds give the same body.
/// Dropping the future stops the hashing.
#[derive(Debug, Clone, Copy)]
pub struct CpuTask {
    max_rounds: u64,
}

impl CpuTask {
    /// A task that does at most `max_rounds` rounds, at least 1, for a message.
    pub fn new(max_rounds: u64) -> Self {
        Self { max_rounds: max_rounds.max(1) }
    }

    async fn hash(&self, input: TaskInput<'_>) -> Result<TaskOutput, TaskError> {
        let rounds =
            input.whole("rounds", 1..=self.max_rounds).map_err(|error| error.allowed_by(" (task.max_cpu_rounds)"))?;
        let rounds = rounds.unwrap_or(DEFAULT_CPU_ROUNDS.min(self.max_rounds));
        let first = Sha256::digest(input.message_id).into();

        let cancel = CancelOnDrop::default();
        let cancelled = Arc::clone(&cancel.0);
        let body = off_thread(move || chain(first, rounds, || cancelled.load(Ordering::Relaxed))).await?;
        Ok(TaskOutput { body, filename: None })
    }
}

impl Task for CpuTask {
    fn run<'a>(&'a self, input: TaskInput<'a>) -> TaskFuture<'a> {
        Box::pin(self.hash(input))
    }
}

/// Cancels the hashing thread when the task's future is dropped.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The digest of round `rounds`, in hex, where `digest` is that of the first.
fn chain(mut digest: [u8; 32], rounds: u64, mut cancelled: impl FnMut() -> bool) -> Result<String, TaskError> {
    for round in 1..rounds {
        // Also in the first round: the work may be cancelled while it waits for a thread.
        if round % ROUNDS_PER_CHECK == 1 && cancelled() {
            return Err(TaskError::Cancelled);
        }
        digest = Sha256::digest(digest).into();
    }
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::poll;
    use serde_json::{Map, Value, json};

    use super::*;

    const MAX_ROUNDS: u64 = 1_000_000_000;

    fn input<'a>(message_id: &'a str, parameters: &'a Map<String, Value>) -> TaskInput<'a> {
        TaskInput { message_id, filename: None, parameters }
    }

    fn rounds(value: Value) -> Map<String, Value> {
        Map::from_iter([("rounds".to_owned(), value)])
    }

    async fn body(message_id: &str, count: u64) -> String {
        let parameters = rounds(json!(count));
        let task = CpuTask::new(MAX_ROUNDS);
        task.run(input(message_id, &parameters)).await.unwrap().body
    }

    #[tokio::test]
    async fn one_round_is_the_plain_digest_of_the_message_id() {
        assert_eq!(body("abc", 1).await, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[tokio::test]
    async fn two_rounds_hash_the_digest() {
        // The double SHA-256 of "hello", a widely published vector.
        assert_eq!(body("hello", 2).await, "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50");
    }

    #[tokio::test]
    async fn the_same_message_gives_the_same_body() {
        assert_eq!(body("a", 5_000).await, body("a", 5_000).await);
        assert_ne!(body("a", 5_000).await, body("b", 5_000).await);
        assert_ne!(body("a", 5_000).await, body("a", 5_001).await);
    }

    #[tokio::test]
    async fn without_rounds_the_default_applies_up_to_the_maximum() {
        let none = Map::new();
        let task = CpuTask::new(3);
        let output = task.run(input("a", &none)).await.unwrap();
        assert_eq!(output.body, body("a", 3).await);
        let task = CpuTask::new(MAX_ROUNDS);
        let output = task.run(input("a", &none)).await.unwrap();
        assert_eq!(output.body, body("a", DEFAULT_CPU_ROUNDS).await);
    }

    #[tokio::test]
    async fn rounds_out_of_range_or_of_another_type_are_refused() {
        let task = CpuTask::new(500);
        for value in [json!(0), json!(501), json!(-1), json!(1.5), json!("7"), json!(null)] {
            let parameters = rounds(value.clone());
            let error = task.run(input("a", &parameters)).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("parameter 'rounds' is {value}: give a whole number from 1 to 500 (task.max_cpu_rounds)")
            );
        }
    }

    #[test]
    fn cancelled_work_does_not_start() {
        let error = chain([0; 32], MAX_ROUNDS, || true).unwrap_err();
        assert!(matches!(error, TaskError::Cancelled));
    }

    #[test]
    fn work_cancelled_after_it_began_stops() {
        let mut checks = 0;
        let error = chain([0; 32], MAX_ROUNDS, || {
            checks += 1;
            checks == 3
        });
        assert!(matches!(error, Err(TaskError::Cancelled)));
        assert_eq!(checks, 3);
    }

    // A billion rounds take minutes. With a single blocking thread, the next job can only run after the hashing has stopped.
    #[test]
    fn dropping_the_future_frees_the_thread() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
        let next = runtime.block_on(async {
            let parameters = rounds(json!(MAX_ROUNDS));
            let task = CpuTask::new(MAX_ROUNDS);
            let mut future = task.run(input("a", &parameters));
            assert!(poll!(&mut future).is_pending());
            drop(future);
            tokio::time::timeout(Duration::from_secs(20), off_thread(|| Ok(()))).await
        });
        runtime.shutdown_background();
        assert!(next.expect("the thread still hashes").is_ok());
    }
}

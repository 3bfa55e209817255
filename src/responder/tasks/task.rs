//! The interface of a task: a function of a message.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;

use serde_json::{Map, Value};

use super::TaskError;

/// A task's input from a message.
#[derive(Debug, Clone, Copy)]
pub struct TaskInput<'a> {
    /// The message's id, as sent.
    pub message_id: &'a str,
    /// The file the message names, if any.
    pub filename: Option<&'a str>,
    /// The message's parameters.
    pub parameters: &'a Map<String, Value>,
}

impl TaskInput<'_> {
    /// The whole number in the parameter `name`, or `None` when the message has no such parameter.
    ///
    /// # Errors
    /// [`TaskError::Parameter`] when it is not a JSON whole number (a string, a fraction, `null`) or not within `range`.
    pub fn whole(&self, name: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>, TaskError> {
        let Some(value) = self.parameters.get(name) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(TaskError::parameter(name, value, &range)),
        }
    }
}

/// A task's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOutput {
    /// The reply's body.
    pub body: String,
    /// The requested name of the file that was read; `None` for tasks that read no file.
    pub filename: Option<String>,
}

/// A task's work in progress. It need not be `Send`; dropping it cancels the work.
pub type TaskFuture<'a> = Pin<Box<dyn Future<Output = Result<TaskOutput, TaskError>> + 'a>>;

/// Something a responder can do with a message. One task serves many workers at once.
///
/// The future runs within a tokio runtime.
pub trait Task: Send + Sync {
    /// Does the work for one message.
    ///
    /// # Errors
    /// A [`TaskError`]; its text becomes the body of the error reply.
    fn run<'a>(&'a self, input: TaskInput<'a>) -> TaskFuture<'a>;
}

/// Runs `work` on a blocking thread of the current tokio runtime.
pub async fn off_thread<T, F>(work: F) -> Result<T, TaskError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, TaskError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(cause) => Err(TaskError::Died { cause }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole(value: Value) -> Result<Option<u64>, TaskError> {
        let parameters = Map::from_iter([("n".to_owned(), value)]);
        let input = TaskInput { message_id: "m", filename: None, parameters: &parameters };
        input.whole("n", 1..=9)
    }

    #[test]
    fn whole_numbers_within_the_range_pass() {
        assert_eq!(whole(json!(1)).unwrap(), Some(1));
        assert_eq!(whole(json!(9)).unwrap(), Some(9));
    }

    #[test]
    fn an_absent_parameter_is_none() {
        let input = TaskInput { message_id: "m", filename: None, parameters: &Map::new() };
        assert_eq!(input.whole("n", 1..=9).unwrap(), None);
    }

    #[test]
    fn other_values_are_refused_with_the_value_and_the_range() {
        for value in [json!(0), json!(10), json!(-1), json!(2.5), json!("5"), json!(null), json!([5])] {
            let text = whole(value.clone()).unwrap_err().to_string();
            assert_eq!(text, format!("parameter 'n' is {value}: give a whole number from 1 to 9"));
        }
    }

    #[test]
    fn a_long_value_is_cut_in_the_error() {
        let text = whole(json!("ü".repeat(10_000))).unwrap_err().to_string();
        assert!(text.chars().count() < 150, "{text}");
    }

    #[tokio::test]
    async fn a_panic_on_a_blocking_thread_is_an_error() {
        let result: Result<(), TaskError> = off_thread(|| panic!("on purpose")).await;
        assert!(matches!(result, Err(TaskError::Died { .. })), "{result:?}");
    }
}

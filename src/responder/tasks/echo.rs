//! The echo task: returns the message's payload, or a body of a requested size.

use serde_json::Value;

use super::{Task, TaskError, TaskFuture, TaskInput, TaskOutput};

/// Maximum of the parameter `bytes`.
pub const MAX_ECHO_BYTES: u64 = 262_144;

/// Returns the message's payload, without a delay.
///
/// - `bytes` (whole number, 0 to [`MAX_ECHO_BYTES`]): a body of that many ASCII bytes, for experiments with payload sizes;
/// - else `payload`, if a string: the same string;
/// - else all parameters, as JSON.
#[derive(Debug, Clone, Copy)]
pub struct EchoTask;

impl Task for EchoTask {
    fn run<'a>(&'a self, input: TaskInput<'a>) -> TaskFuture<'a> {
        Box::pin(async move { Ok(TaskOutput { body: body(&input)?, filename: None }) })
    }
}

fn body(input: &TaskInput<'_>) -> Result<String, TaskError> {
    if let Some(bytes) = input.whole("bytes", 0..=MAX_ECHO_BYTES)? {
        return Ok("x".repeat(bytes as usize));
    }
    Ok(match input.parameters.get("payload") {
        Some(Value::String(payload)) => payload.clone(),
        _ => Value::Object(input.parameters.clone()).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn echo(parameters: Value) -> Result<String, TaskError> {
        let parameters = parameters.as_object().unwrap().clone();
        let input = TaskInput { message_id: "m", filename: Some("ignored.txt"), parameters: &parameters };
        let output = EchoTask.run(input).await?;
        assert_eq!(output.filename, None);
        Ok(output.body)
    }

    #[tokio::test]
    async fn a_string_payload_is_returned() {
        assert_eq!(echo(json!({"payload": "Hello Paul"})).await.unwrap(), "Hello Paul");
        assert_eq!(echo(json!({"payload": ""})).await.unwrap(), "");
    }

    #[tokio::test]
    async fn other_parameters_are_returned_as_json_in_their_order() {
        assert_eq!(echo(json!({})).await.unwrap(), "{}");
        assert_eq!(echo(json!({"z": [1], "payload": 5})).await.unwrap(), r#"{"z":[1],"payload":5}"#);
    }

    #[tokio::test]
    async fn the_parameter_bytes_sets_the_size_of_the_body() {
        for bytes in [0, 1, MAX_ECHO_BYTES] {
            let body = echo(json!({"bytes": bytes, "payload": "p"})).await.unwrap();
            assert_eq!(body.len() as u64, bytes);
        }
    }

    #[tokio::test]
    async fn too_many_bytes_or_a_wrong_type_is_an_error() {
        for bytes in [json!(MAX_ECHO_BYTES + 1), json!("10"), json!(-1)] {
            let text = echo(json!({"bytes": bytes})).await.unwrap_err().to_string();
            assert!(text.contains("'bytes'") && text.contains("262144"), "{text}");
        }
    }
}

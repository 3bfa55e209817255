//! `swarmq request`: sends a request to a web tier and prints the replies as they arrive.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::cli::output;
use crate::cli::output::OutputError;
use crate::runtime::http::{json_answer, web_url};
use crate::wire::{Outcome, Problem, Reply, RequestStatus, RequestView};

/// Client timeout: longer than the maximum time of a request, an hour.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(3_700);

#[derive(Debug, Args)]
pub struct AskArgs {
    /// Address of the web tier
    #[arg(long, default_value = "http://127.0.0.1:3000", value_parser = web_url)]
    url: String,
    /// Task: file, echo or cpu; by default the responders' task.name
    #[arg(long)]
    task: Option<String>,
    /// Parameter of the task, such as rounds=100000 or payload=hello; can be repeated
    #[arg(long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// File to read, relative to the responders' task.root
    #[arg(long)]
    filename: Option<String>,
    /// Send a message from every requester worker (all), or from one
    #[arg(long, default_value = "all", value_parser = ["all", "one"])]
    fan_out: String,
    /// Timeout of each message, such as 500ms or 20s; by default the requesters' requester.timeout
    #[arg(long, value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Print a line of JSON for each reply, and the whole request as the last line
    #[arg(long)]
    json: bool,
}

impl AskArgs {
    fn body(&self) -> Result<Value> {
        let mut parameters = Map::new();
        for parameter in &self.parameters {
            let Some((name, value)) = parameter.split_once('=') else {
                bail!("--param {parameter}: give NAME=VALUE, such as rounds=100000");
            };
            // A value that is not JSON is text.
            parameters.insert(name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value)));
        }
        let mut body = json!({ "parameters": parameters, "fanOut": self.fan_out });
        let timeout = self.timeout.map(|timeout| json!(timeout.as_millis() as u64));
        let optional = [
            ("task", self.task.clone().map(Value::from)),
            ("filename", self.filename.clone().map(Value::from)),
            ("timeoutMs", timeout),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        Ok(body)
    }
}

/// Sends the request. Exit status 0: every message got a response; 1: some did not.
pub fn ask(args: AskArgs) -> Result<ExitCode> {
    actix_rt::System::new().block_on(async {
        let client = awc::Client::builder().timeout(CLIENT_TIMEOUT).disable_redirects().finish();
        let base = format!("{}/api/v1/requests", args.url);
        let begun = Instant::now();
        let sent = client.post(&base).send_json(&args.body()?).await;
        let mut response = sent.map_err(|error| unreachable(&args.url, &error.to_string()))?;
        let answer: Value = json_answer(&mut response).await.map_err(|reason| anyhow!("{}: {reason}", args.url))?;
        let Some(id) = answer["requestId"].as_str().filter(|_| response.status().is_success()) else {
            bail!(
                "the web tier refused the request: {}",
                answer["error"]["message"].as_str().unwrap_or("the web tier gave no reason")
            );
        };
        let sent = client.get(format!("{base}/{id}/replies")).no_decompress().send().await;
        let mut lines = sent.map_err(|error| unreachable(&args.url, &error.to_string()))?;
        let mut bytes = Vec::new();
        let mut view = None;
        while let Some(chunk) = lines.next().await {
            bytes.extend_from_slice(&chunk.context("the web tier closed the connection before the request had ended")?);
            while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = bytes.drain(..=end).collect();
                if args.json {
                    output::whole(String::from_utf8_lossy(&line))?;
                } else if let Ok(reply) = Reply::parse(&line) {
                    print(&reply, begun.elapsed())?;
                }
                if let Ok(Refusal { error }) = serde_json::from_slice(&line) {
                    bail!("the web tier reported an error: {error}");
                }
                view = serde_json::from_slice::<RequestView>(&line).ok().or(view);
            }
        }
        let view = view.context("the web tier closed the connection before the request had ended")?;
        if !args.json {
            summarise(&view, begun.elapsed())?;
        }
        let all_well = view.status == RequestStatus::Complete && view.counts.responses == view.counts.total();
        Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// The last line if the web tier can't send the remaining replies.
#[derive(Deserialize)]
struct Refusal {
    error: Problem,
}

fn unreachable(url: &str, reason: &str) -> anyhow::Error {
    anyhow!("no answer from {url}: {reason}; start a web tier with `swarmq`, or give its address with --url")
}

fn print(reply: &Reply, after: Duration) -> Result<(), OutputError> {
    let mark = match reply.outcome() {
        Outcome::Response => "response",
        Outcome::Error => "error",
        Outcome::Timeout => "timeout",
    };
    let place = match (&reply.node, &reply.slot) {
        (Some(node), Some(slot)) => format!("  on {node} (slot {slot})"),
        (Some(node), None) => format!("  on {node}"),
        _ => String::new(),
    };
    output::line(format_args!(
        "{:>7.3} s  {mark:8}  requester {}  responder {}{place}  {}",
        after.as_secs_f64(),
        reply.requester_id.get(..8).unwrap_or(&reply.requester_id),
        reply.responder_id,
        first_line(&reply.body),
    ))
}

/// A body's first line, shortened to 80 characters. Control characters are replaced, so that a terminal does not execute them.
fn first_line(body: &str) -> String {
    const WIDTH: usize = 80;
    let mut line = body.lines().next().unwrap_or_default().chars();
    let shown = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    let mut text: String = line.by_ref().take(WIDTH).map(shown).collect();
    if line.next().is_some() {
        text.push_str("...");
    }
    text
}

fn summarise(view: &RequestView, took: Duration) -> Result<(), OutputError> {
    let counts = view.counts;
    output::line(format_args!(
        "{} responses, {} errors, {} timeouts in {:.3} s",
        counts.responses,
        counts.errors,
        counts.timeouts,
        took.as_secs_f64()
    ))?;
    match &view.reason {
        Some(reason) => output::line(reason),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_by_its_first_line_without_control_characters() {
        let long = "é".repeat(81);
        let cut = format!("{}...", "é".repeat(80));
        for (body, shown) in [("", ""), ("a\nb", "a"), ("\x1b[2J\0x", "\u{fffd}[2J\u{fffd}x"), (&long, &cut)] {
            assert_eq!(first_line(body), shown);
        }
    }
}

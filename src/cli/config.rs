//! `swarmq config`: the settings in effect.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::output::line;
use crate::config::Config;

/// Prints each setting with its value and origin; prints nothing with `check`.
pub fn config(config: &Config, check: bool, json: bool) -> Result<ExitCode> {
    let effective = config.effective();
    if check {
        return Ok(ExitCode::SUCCESS);
    }
    if json {
        line(serde_json::to_string_pretty(effective)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let key = width(&mut effective.iter().map(|setting| setting.key.len()));
    let value = width(&mut effective.iter().map(|setting| setting.value.len()));
    for setting in effective {
        line(format_args!("{:key$}  {:value$}  {}", setting.key, setting.value, setting.source))?;
    }
    Ok(ExitCode::SUCCESS)
}

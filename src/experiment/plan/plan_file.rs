//! Plan files: TOML, overridden by flags, and checked before anything starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::{Combined, Factor, Located, MAX_TRIALS, OneEach, Order, Place, Plan, SourceMap, Tables, Target, combine};
use crate::config::SECRETS;
use crate::runtime::http::web_url;

/// The plans that are part of the program, by name.
pub const READY_MADE: [(&str, &str); 8] = [
    ("quick", include_str!("../../../config/experiments/quick.toml")),
    ("workers", include_str!("../../../config/experiments/workers.toml")),
    ("cluster-vs-swarm", include_str!("../../../config/experiments/cluster-vs-swarm.toml")),
    ("dispatch", include_str!("../../../config/experiments/dispatch.toml")),
    ("req-vs-dealer", include_str!("../../../config/experiments/req-vs-dealer.toml")),
    ("saturation", include_str!("../../../config/experiments/saturation.toml")),
    ("payload", include_str!("../../../config/experiments/payload.toml")),
    ("network-cost", include_str!("../../../config/experiments/network-cost.toml")),
];

/// Maximum warm-up, duration or timeout.
const MAX_TIME: Duration = Duration::from_secs(86_400);

/// Why a plan is invalid, and where.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{path}: {problem}", path = path.display())]
    Unreadable { path: PathBuf, problem: std::io::Error },
    #[error("there is no ready-made plan `{name}`: give one of {known}, or the path of a file, such as ./{name}.toml")]
    Unknown { name: String, known: String },
    #[error("{file}: {problem}")]
    Syntax { file: String, line: Option<usize>, problem: Box<toml::de::Error> },
    #[error("{place}: {problem}")]
    Invalid { place: Place, problem: String },
}

impl PlanError {
    /// The line with the error, from 1; `None` if the error has no single line.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Unreadable { .. } | Self::Unknown { .. } => None,
            Self::Syntax { line, .. } => *line,
            Self::Invalid { place, .. } => place.line,
        }
    }
}

/// Flags of the command line. They override a plan's file.
#[derive(Clone, Debug, Default)]
pub struct PlanFlags {
    pub target: Option<Target>,
    pub url: Option<String>,
    pub stack: Option<String>,
    /// `name=level,level,...`: levels of a factor, or one level to fix it.
    pub factors: Vec<String>,
    pub repetitions: Option<u32>,
    pub seed: Option<u64>,
    pub order: Option<Order>,
    pub warm_up: Option<Duration>,
    pub duration: Option<Duration>,
    pub count: Option<u64>,
    /// `key=value`: settings of the deployment.
    pub settings: Vec<String>,
    /// Name of a plan whose file has none.
    pub name: Option<String>,
}

/// The text of a ready-made plan.
pub fn ready_made(name: &str) -> Option<&'static str> {
    READY_MADE.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// Reads a ready-made plan by name, a file by path, or stdin for `-`. `flags` override it.
///
/// # Errors
/// The plan cannot be read, or is invalid.
pub fn load_plan(name_or_path: &str, flags: &PlanFlags) -> Result<Plan, PlanError> {
    if name_or_path == "-" {
        let unreadable = |problem| PlanError::Unreadable { path: "stdin".into(), problem };
        let text = std::io::read_to_string(std::io::stdin()).map_err(unreadable)?;
        return read_plan("plan", "the plan", &text, flags);
    }
    if let Some(text) = ready_made(name_or_path) {
        return read_plan(name_or_path, &format!("plan {name_or_path}"), text, flags);
    }
    let path = Path::new(name_or_path);
    if path.components().count() == 1 && path.extension().is_none() && !path.is_file() {
        let known = READY_MADE.map(|(name, _)| name).join(", ");
        return Err(PlanError::Unknown { name: name_or_path.to_owned(), known });
    }
    let text =
        std::fs::read_to_string(path).map_err(|problem| PlanError::Unreadable { path: path.to_owned(), problem })?;
    let name = path.file_stem().map_or_else(|| name_or_path.to_owned(), |stem| stem.to_string_lossy().into_owned());
    read_plan(&name, name_or_path, &text, flags)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFile {
    name: Option<String>,
    description: Option<String>,
    target: Option<Target>,
    url: Option<Spanned<String>>,
    stack: Option<String>,
    repetitions: Option<Spanned<u32>>,
    order: Option<Order>,
    seed: Option<u64>,
    warm_up: Option<Spanned<String>>,
    duration: Option<Spanned<String>>,
    count: Option<Spanned<u64>>,
    pair: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    #[serde(default)]
    factors: BTreeMap<Spanned<String>, Spanned<Vec<Spanned<Value>>>>,
    #[serde(default)]
    fixed: OneEach,
    #[serde(default)]
    case: Vec<Spanned<OneEach>>,
    #[serde(default)]
    settings: BTreeMap<String, Value>,
}

/// Parses the text of a plan. `name`: its name if the text has none; `file`: the text's name in errors.
///
/// # Errors
/// The plan is invalid.
pub fn read_plan(name: &str, file: &str, text: &str, flags: &PlanFlags) -> Result<Plan, PlanError> {
    let places = SourceMap { file, text };
    let parsed: PlanFile = toml::from_str(text).map_err(|problem| {
        let line = problem.span().map(|span| places.line(span.start));
        PlanError::Syntax { file: file.to_owned(), line, problem: Box::new(problem) }
    })?;
    let target = flags.target.or(parsed.target).unwrap_or_default();
    let tables = Tables { factors: parsed.factors, fixed: parsed.fixed, cases: parsed.case };
    let Combined { cells, factors, fixed } = combine(tables, &flags.factors, target, &places)?;
    let flag = |name: &str| Place::whole(format!("--{name}"));
    let repetitions = match flags.repetitions {
        Some(value) => Located { value, place: flag("repetitions") },
        None => parsed.repetitions.map_or_else(|| places.whole(3), |given| places.given(given)),
    };
    if !(1..=1_000).contains(&repetitions.value) {
        return repetitions.wrong(format!("{} repetitions: give 1 to 1000", repetitions.value));
    }
    let span = |flag_name: &str, over: Option<Duration>, written: Option<Spanned<String>>, otherwise: Duration| match (
        over, written,
    ) {
        (Some(value), _) => Ok(Located { value, place: flag(flag_name) }),
        (None, None) => Ok(places.whole(otherwise)),
        (None, Some(text)) => {
            let text = places.given(text);
            let value = humantime::parse_duration(&text.value);
            let value = value.or_else(|problem| text.wrong(format!("`{}`: {problem}", text.value)))?;
            Ok(Located { value, place: text.place })
        }
    };
    let warm_up = span("warm-up", flags.warm_up, parsed.warm_up, Duration::from_secs(1))?;
    let duration = span("duration", flags.duration, parsed.duration, Duration::from_secs(10))?;
    let timeout = span("timeout", None, parsed.timeout, Duration::from_secs(60))?;
    for (given, least) in [(&warm_up, 0), (&duration, 100), (&timeout, 1)] {
        if given.value < Duration::from_millis(least) || given.value > MAX_TIME {
            return given.wrong(format!("{:?}: give {least}ms to 24h", given.value));
        }
    }
    let count = match flags.count {
        Some(value) => Some(Located { value, place: flag("count") }),
        None => parsed.count.map(|count| places.given(count)),
    };
    if let Some(count) = count.as_ref().filter(|count| count.value == 0) {
        return count.wrong("a count of 0 would measure nothing: give 1 or more");
    }
    let pair = match parsed.pair.map(|pair| places.given(pair)) {
        None => None,
        Some(pair) => match Factor::named(&pair.value) {
            Some(found) if factors.iter().any(|(factor, _)| *factor == found) => Some(found),
            // The flags may have fixed what the file varies: then there is nothing to compare.
            Some(found) if fixed.contains(&found) => None,
            _ => {
                return pair.wrong(format!(
                    "`{}` does not vary: give `pair` a factor that has two levels or more",
                    pair.value
                ));
            }
        },
    };
    let settings = parsed.settings.into_iter().map(|(key, value)| (key, plain(&value)));
    let mut settings: BTreeMap<String, String> = settings.collect();
    for setting in &flags.settings {
        let place = Located { value: (), place: Place::whole(format!("--set {setting}")) };
        let Some((key, value)) = setting.split_once('=') else { return place.wrong("give KEY=VALUE") };
        settings.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    if let Some(key) = settings.keys().find(|key| SECRETS.contains(&key.as_str())) {
        return places.whole(()).wrong(format!(
            "{key} is a secret, and results and reports repeat a plan's settings: write it to a file, and give the file's path \
             as {key}_file"
        ));
    }
    if !settings.is_empty() && target == Target::Running {
        return places.whole(()).wrong("the target `running` is already running: remove the plan's settings");
    }
    let url = match parsed.url.map(|url| places.given(url)) {
        Some(url) => Some(web_url(&url.value).or_else(|problem| url.wrong(problem))?),
        None => None,
    };
    let plan = Plan {
        name: parsed.name.or(flags.name.clone()).unwrap_or_else(|| name.to_owned()),
        description: parsed.description.unwrap_or_default(),
        target,
        url: flags.url.clone().or(url),
        stack: flags.stack.clone().or(parsed.stack).unwrap_or_else(|| "swarmq".to_owned()),
        factors,
        cells,
        repetitions: repetitions.value,
        order: flags.order.or(parsed.order).unwrap_or_default(),
        seed: flags.seed.or(parsed.seed).unwrap_or(1),
        warm_up_ms: warm_up.value.as_millis() as u64,
        duration_ms: duration.value.as_millis() as u64,
        count: count.map(|count| count.value),
        pair,
        timeout_ms: timeout.value.as_millis() as u64,
        settings,
    };
    match plan.trial_count() {
        0..=MAX_TRIALS => Ok(plan),
        trials => {
            let time = humantime::format_duration(Duration::from_secs(plan.time().as_secs()));
            let cells = plan.cells.len();
            places.whole(()).wrong(format!(
                "{trials} trials ({cells} combinations, {} times each) would take up to {time}; {MAX_TRIALS} are \
                 allowed: remove levels, factors or repetitions",
                plan.repetitions
            ))
        }
    }
}

/// The text of a value, without quotes.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str, flags: &PlanFlags) -> Result<Plan, String> {
        read_plan("test", "test.toml", text, flags).map_err(|error| {
            let said = error.to_string();
            assert!(error.line().is_none_or(|line| said.contains(&format!("line {line}"))), "{error:?}");
            assert_eq!(error.line().is_none(), !said.contains("line "), "{error:?}");
            said
        })
    }

    #[test]
    fn the_ready_made_plans_are_valid() {
        for (name, _) in READY_MADE {
            let plan = load_plan(name, &PlanFlags::default()).unwrap_or_else(|error| panic!("{error}"));
            assert!(!plan.description.is_empty() && plan.trial_count() > 1, "{name}");
        }
        // Runs of it against every target are compared with one another.
        for target in Target::ALL {
            let flags = PlanFlags { target: Some(target), ..PlanFlags::default() };
            assert_eq!(load_plan("network-cost", &flags).unwrap().cells.len(), 4, "{target}");
        }
        let quick = load_plan("quick", &PlanFlags::default()).unwrap();
        assert!(quick.time() < Duration::from_secs(60), "{:?}", quick.time());
    }

    #[test]
    fn factors_multiply_and_cases_change_several_at_once() {
        let text = "target = \"processes\"\nrepetitions = 2\npair = \"case\"\n[factors]\nload = [\"closed 1\", \"closed 8\"]\n\
            [fixed]\nfan_out = \"one\"\n[[case]]\nname = \"cluster\"\nresponders = 4\n\
            [[case]]\nname = \"swarm\"\nresponders = 1\nresponder_instances = 4\n";
        let plan = plan(text, &PlanFlags::default()).unwrap();
        assert_eq!((plan.cells.len(), plan.trial_count(), plan.pair), (4, 8, Some(Factor::Case)));
        let last = &plan.cells[3];
        assert_eq!((last.setup.responder_instances, last.setup.responders), (4, 1));
        assert_eq!(last.levels.values().collect::<Vec<_>>(), ["swarm", "closed 8"]);
    }

    #[test]
    fn flags_override_the_file() {
        let flags = PlanFlags {
            factors: vec!["responders=1,2".into(), "delay=fixed 5ms".into()],
            duration: Some(Duration::from_secs(2)),
            seed: Some(9),
            ..PlanFlags::default()
        };
        let plan = plan("[factors]\ndelay = [\"none\", \"fixed 1ms\"]\n[fixed]\nresponders = 8", &flags).unwrap();
        assert_eq!(plan.factors, [(Factor::Responders, vec!["1".to_owned(), "2".to_owned()])]);
        assert_eq!((plan.cells[0].setup.delay.average_ms(), plan.duration_ms, plan.seed), (5.0, 2_000, 9));
    }

    #[test]
    fn secrets_do_not_get_into_results() {
        for key in SECRETS {
            let error =
                plan("", &PlanFlags { settings: vec![format!("{key}=s3cret")], ..PlanFlags::default() }).unwrap_err();
            assert!(error.contains(&format!("{key}_file")) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn errors_have_a_line_and_a_hint() {
        let many: Vec<_> = (1..=100).collect();
        let product = format!("[factors]\nrequesters = {many:?}\nresponders = {many:?}");
        for (text, line, hint) in [
            ("[factors]\nresponderz = [1]", "line 2", "did you mean responders?"),
            ("[factors]\nresponders = []", "line 2", "no level"),
            ("[factors]\nresponders = [1,\n 0]", "line 3", "1 to 1000"),
            ("[factors]\nresponders = [1, 1]", "line 2", "twice"),
            ("[fixed]\ndelay = \"soon\"", "line 2", "fixed TIME"),
            ("duration = \"0s\"", "line 1", "100ms to 24h"),
            ("duration = \"x\"", "line 1", "`x`"),
            ("repetitions = 0", "line 1", "1 to 1000"),
            ("count = 0", "line 1", "measure nothing"),
            ("\npair = \"delay\"", "line 2", "does not vary"),
            ("\nurl = \"https://pi-1\"", "line 2", "plain HTTP"),
            ("speed = 1", "line 1", "unknown field `speed`"),
            ("target = \"moon\"", "line 1", "in-process"),
            ("[factors]\nresponder_instances = [1, 2]", "line 2", "can't vary"),
            ("[[case]]\nresponders = 1", "line 1", "needs a `name`"),
            (&product, "line 3", "2000 trials"),
            ("repetitions = 1000\n[factors]\nresponders = [1, 2, 3]", "test.toml", "3000 trials"),
            ("[fixed]\ntask = \"cpu\"\npayload_bytes = 9", "test.toml", "echo"),
        ] {
            let error = plan(text, &PlanFlags::default()).unwrap_err();
            assert!(error.contains(line) && error.contains(hint), "{text}: {error}");
        }
        let error = load_plan("quikc", &PlanFlags::default()).unwrap_err().to_string();
        assert!(error.contains("quick, workers"), "{error}");
        let flags = PlanFlags { factors: vec!["responders".into()], ..PlanFlags::default() };
        assert!(plan("", &flags).unwrap_err().contains("NAME=LEVEL"));
    }
}

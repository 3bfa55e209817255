//! Makes the cells of a plan: every combination of the levels in its tables and flags.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Spanned, Value};

use super::{Cell, Factor, Located, MAX_TRIALS, Place, PlanError, Setup, SourceMap, Target, plain};
use crate::wire::TaskName;

/// The table `[fixed]` or a `[[case]]`: one level for each of its factors.
pub type OneEach = BTreeMap<Spanned<String>, Spanned<Value>>;

/// The tables of a plan that define its cells.
pub struct Tables {
    pub factors: BTreeMap<Spanned<String>, Spanned<Vec<Spanned<Value>>>>,
    pub fixed: OneEach,
    pub cases: Vec<Spanned<OneEach>>,
}

/// The result of [`combine`].
pub struct Combined {
    pub cells: Vec<Cell>,
    /// The factors that vary, each with its levels.
    pub factors: Vec<(Factor, Vec<String>)>,
    /// The factors with one given level.
    pub fixed: BTreeSet<Factor>,
}

/// A factor's levels.
type Levels = Vec<Located<Value>>;

/// Makes every combination. `flags` are `name=level,level`, and override the tables.
///
/// # Errors
/// A factor or level does not exist, or the target or the maximum of trials does not allow it.
pub fn combine(
    tables: Tables,
    flags: &[String],
    target: Target,
    places: &SourceMap<'_>,
) -> Result<Combined, PlanError> {
    let mut varied: BTreeMap<Factor, Located<Levels>> = BTreeMap::new();
    let mut fixed: BTreeMap<Factor, Located<Value>> = BTreeMap::new();
    for (key, levels) in tables.factors {
        let levels = places.given(levels);
        let place = levels.place;
        let levels = levels.value.into_iter().map(|level| places.given(level)).collect();
        varied.insert(factor(places.given(key))?, Located { value: levels, place });
    }
    for (key, level) in tables.fixed {
        fixed.insert(factor(places.given(key))?, places.given(level));
    }
    for flag in flags {
        let (factor, levels) = from_flag(flag)?;
        fixed.remove(&factor);
        varied.insert(factor, levels);
    }
    // A factor with one level does not vary.
    for factor in
        varied.iter().filter(|(_, levels)| levels.value.len() == 1).map(|(factor, _)| *factor).collect::<Vec<_>>()
    {
        let level = varied.remove(&factor).map(|levels| levels.value[0].clone());
        fixed.extend(level.map(|level| (factor, level)));
    }
    let mut base = Setup::default();
    for (factor, level) in &fixed {
        check_target(target, *factor, &[&level.value], &level.place)?;
        base.set(*factor, &level.value).or_else(|problem| level.wrong(format!("{factor}: {problem}")))?;
    }
    let mut cells = vec![Cell { levels: BTreeMap::new(), setup: base }];
    let mut factors = vec![];
    if !tables.cases.is_empty() {
        let cases = tables.cases.into_iter().map(|case| places.given(case)).collect();
        cells = with_cases(&cells[0], cases, target, places)?;
        factors.push((Factor::Case, cells.iter().map(|cell| cell.levels[&Factor::Case].clone()).collect()));
    }
    for (factor, levels) in &varied {
        let given: Vec<_> = levels.value.iter().map(|level| &level.value).collect();
        check_target(target, *factor, &given, &levels.place)?;
        let (made, names) = multiplied(cells, *factor, levels)?;
        cells = made;
        factors.push((*factor, names));
    }
    for cell in &cells {
        if let Some(problem) = cell.setup.conflict() {
            return places.whole(()).wrong(problem);
        }
        if cell.setup.payload_bytes != Setup::default().payload_bytes && cell.setup.task != TaskName::Echo {
            return places
                .whole(())
                .wrong("payload_bytes needs the echo task: set `task = \"echo\"`, or remove payload_bytes");
        }
    }
    Ok(Combined { cells, factors, fixed: fixed.into_keys().collect() })
}

fn factor(key: Located<String>) -> Result<Factor, PlanError> {
    match Factor::ALL.into_iter().find(|factor| factor.name() == key.value) {
        Some(factor) => Ok(factor),
        None => {
            let near = Factor::ALL.into_iter().max_by(|a, b| {
                let likeness = |factor: &Factor| strsim::jaro_winkler(factor.name(), &key.value);
                likeness(a).total_cmp(&likeness(b))
            });
            let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let all = Factor::ALL.map(Factor::name).join(", ");
            key.wrong(format!("`{}` is not a factor{hint} The factors are {all}", key.value))
        }
    }
}

fn check_target(target: Target, factor: Factor, levels: &[&Value], place: &Place) -> Result<(), PlanError> {
    // One instance, the default, is allowed for every target.
    match target.fixes().contains(&factor) && !levels.iter().all(|level| level.as_integer() == Some(1)) {
        false => Ok(()),
        true => {
            let problem = format!("the target `{target}` can't vary {factor}: use `processes` or `swarm`");
            Err(PlanError::Invalid { place: place.clone(), problem })
        }
    }
}

/// Parses `name=level,level`.
fn from_flag(flag: &str) -> Result<(Factor, Located<Levels>), PlanError> {
    let place = Place::whole(format!("--factor {flag}"));
    let given = |value| Located { value, place: place.clone() };
    let Some((name, levels)) = flag.split_once('=') else {
        return given(Value::from(flag)).wrong("give NAME=LEVEL or NAME=LEVEL,LEVEL, such as responders=1,2,4");
    };
    let level = |text: &str| text.parse().map_or_else(|_| Value::from(text), Value::Integer);
    let levels = levels.split(',').map(str::trim).filter(|text| !text.is_empty()).map(|text| given(level(text)));
    let levels: Vec<_> = levels.collect();
    Ok((factor(Located { value: name.trim().to_owned(), place: place.clone() })?, Located { value: levels, place }))
}

/// Makes a cell for each case, with the levels of `base` that the case does not set.
fn with_cases(
    base: &Cell,
    cases: Vec<Located<OneEach>>,
    target: Target,
    places: &SourceMap<'_>,
) -> Result<Vec<Cell>, PlanError> {
    let mut cells: Vec<Cell> = vec![];
    for case in cases {
        let mut cell = base.clone();
        let Located { value: levels, place } = case;
        let place = Located { value: (), place };
        for (key, level) in levels {
            let (key, level) = (places.given(key), places.given(level));
            if key.value == "name" {
                cell.levels.insert(Factor::Case, plain(&level.value));
                continue;
            }
            let factor = factor(key)?;
            check_target(target, factor, &[&level.value], &level.place)?;
            cell.setup.set(factor, &level.value).or_else(|problem| level.wrong(format!("{factor}: {problem}")))?;
        }
        match cell.levels.get(&Factor::Case) {
            None => return place.wrong("a case needs a `name`"),
            Some(name) if cells.iter().any(|other| other.levels[&Factor::Case] == *name) => {
                return place.wrong(format!("two cases have the name `{name}`"));
            }
            Some(_) => cells.push(cell),
        }
    }
    Ok(cells)
}

/// Combines every cell with every level of a factor. Also returns the texts of the levels.
fn multiplied(
    cells: Vec<Cell>,
    factor: Factor,
    levels: &Located<Levels>,
) -> Result<(Vec<Cell>, Vec<String>), PlanError> {
    if levels.value.is_empty() {
        return levels.wrong(format!("{factor} has no level: give one or more"));
    }
    if cells.len().saturating_mul(levels.value.len()) > MAX_TRIALS {
        return levels.wrong(format!(
            "{} x {} combinations of levels are more than the {MAX_TRIALS} trials that are allowed",
            cells.len(),
            levels.value.len()
        ));
    }
    let (mut made, mut names) = (vec![], vec![]);
    for cell in &cells {
        for level in &levels.value {
            let mut cell = cell.clone();
            let name =
                cell.setup.set(factor, &level.value).or_else(|problem| level.wrong(format!("{factor}: {problem}")))?;
            if !names.contains(&name) {
                names.push(name.clone());
            }
            cell.levels.insert(factor, name);
            made.push(cell);
        }
    }
    match names.len() == levels.value.len() {
        true => Ok((made, names)),
        false => levels.wrong(format!("{factor} has a level twice")),
    }
}

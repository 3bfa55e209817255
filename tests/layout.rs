//! The folders of `src/` import one another in one order: each only from those above it in the list.

use std::fs;
use std::path::Path;

const ORDER: [&str; 10] =
    ["wire", "config", "runtime", "requester", "broker", "responder", "experiment", "web", "admin", "app"];

/// The tiers' folders, which do not import one another.
const TIERS: [&str; 3] = ["requester", "broker", "responder"];

/// Adds the files under `folder`, with their text, to `found`.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push((path.display().to_string(), fs::read_to_string(&path).unwrap())),
        }
    }
}

#[test]
fn folders_import_only_from_those_above_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = vec![];
    for (place, folder) in ORDER.iter().enumerate() {
        let mut found = vec![];
        files(&src.join(folder), &mut found);
        for (file, text) in found {
            for (at, _) in text.match_indices("crate::") {
                let named = text[at + 7..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let other = ORDER.iter().position(|known| *known == named).unwrap_or(ORDER.len());
                if other > place || (other < place && TIERS.contains(folder) && TIERS.contains(&named)) {
                    wrong.push(format!("{file} names crate::{named}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

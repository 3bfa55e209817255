//! The folders of `src/` import one another in one order: each only from those above it in the list. What the documents name of
//! the source exists.

use std::fs;
use std::path::Path;

const ORDER: [&str; 10] =
    ["wire", "config", "runtime", "requester", "broker", "responder", "experiment", "web", "admin", "app"];

/// The tiers' folders, which do not import one another.
const TIERS: [&str; 3] = ["requester", "broker", "responder"];

/// Adds the text files under `folder`, with their text, to `found`.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.extend(fs::read_to_string(&path).ok().map(|text| (path.display().to_string(), text))),
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

#[test]
fn files_and_tests_that_the_documents_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut sources, mut documents, mut wrong) = (vec![], vec![], vec![]);
    ["src", "tests"].iter().for_each(|folder| files(&root.join(folder), &mut sources));
    files(&root.join("docs"), &mut documents);
    for (document, text) in documents.iter().filter(|(path, _)| path.ends_with(".md")) {
        for named in text.split('`').skip(1).step_by(2) {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "_/.".contains(c);
            let found = match named.split_once("::") {
                Some((module, test)) if test.matches('_').count() >= 3 && test.chars().all(is_word) => {
                    let function = format!("fn {test}(");
                    sources.iter().any(|(path, text)| path.contains(module) && text.contains(&function))
                }
                None if named.ends_with(".rs") && named.contains('/') && named.chars().all(is_word) => {
                    root.join(named).exists() || root.join("src").join(named).exists()
                }
                _ => true,
            };
            if !found {
                wrong.push(format!("{document}: {named}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

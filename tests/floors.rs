//! The house's floors: a file under `src/` uses only what is on floors below its own, or what its own folder's `mod.rs`
//! names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Item, ItemMod, ItemUse, UseTree, VisRestricted};

/// The top-level modules, from the ground up. Whatever is not here, the command line, stands on all of them.
const FLOORS: [&str; 7] = ["model", "process", "transport", "tasks", "actors", "edges", "app"];

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|known| *known == module).unwrap_or(FLOORS.len())
}

/// One file, and what is wrong with the paths in it.
struct File<'a> {
    /// Its place among the modules, such as `["edges", "web", "hub"]`.
    module: Vec<String>,
    /// The modules there are, each with the names it declares itself.
    modules: &'a BTreeSet<Vec<String>>,
    /// Inline modules around the place that is looked at.
    inside: usize,
    wrong: Vec<String>,
}

impl File<'_> {
    /// Judges one path by its segments.
    fn judge(&mut self, path: &[String]) {
        let Some(named) = self.absolute(path) else { return };
        let (own, other) = (floor(&self.module[0]), floor(&named[0]));
        let text = path.join("::");
        let at = self.module.join("::");
        if named[0] != self.module[0] && other >= own {
            self.wrong.push(format!("{at}: {text} is on floor {other}, not below floor {own}"));
        }
        // Names are used as the folder's mod.rs tells them: not by the path of the file that holds them.
        let folder = self.folder();
        let in_folder = named.starts_with(&folder);
        let into_file = |depth: usize| named.len() > depth + 1 && self.modules.contains(&named[..=depth]);
        if in_folder && !named.starts_with(&self.module) && into_file(folder.len()) {
            self.wrong.push(format!("{at}: {text} reaches into a sibling: let {}'s mod.rs name it", folder.join("::")));
        }
        // A folder's mod.rs is itself a file of the folder around it, and may pass that one's names on.
        let around = &self.module[..self.module.len() - 1];
        let in_folder = in_folder || (folder == self.module && !around.is_empty() && named.starts_with(around));
        if in_folder && !named.starts_with(&folder) && into_file(around.len()) {
            self.wrong.push(format!("{at}: {text} reaches into a sibling: let {}'s mod.rs name it", around.join("::")));
        }
        if named[0] == self.module[0] && !in_folder && self.module.len() > 1 {
            self.wrong.push(format!("{at}: {text} leaves the folder {}", folder.join("::")));
        }
    }

    /// The module whose folder this file is in: its own for a `mod.rs`.
    fn folder(&self) -> Vec<String> {
        let is_folder =
            self.modules.iter().any(|module| module.len() > self.module.len() && module.starts_with(&self.module));
        match is_folder {
            true => self.module.clone(),
            false => self.module[..self.module.len() - 1].to_vec(),
        }
    }

    /// A path from the crate's root, for one that begins with `crate` or `super`.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?;
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        let base: &[String] = match first.as_str() {
            "crate" => &[],
            // Within the file itself, where tests say `super::*`.
            "super" if ups <= self.inside => return None,
            "super" => &self.module[..self.module.len().checked_sub(ups - self.inside)?],
            _ => return None,
        };
        let rest = path.iter().skip(ups.max(1)).cloned();
        let named: Vec<String> = base.iter().cloned().chain(rest).collect();
        (!named.is_empty()).then_some(named)
    }
}

impl<'ast> Visit<'ast> for File<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut paths = vec![];
        spread(&item.tree, &mut vec![], &mut paths);
        paths.iter().for_each(|path| self.judge(path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.judge(&segments);
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.inside += 1;
        visit::visit_item_mod(self, module);
        self.inside -= 1;
    }

    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}

/// Every path that a `use` names.
fn spread(tree: &UseTree, before: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let ending = |name: String, before: &Vec<String>| before.iter().cloned().chain([name]).collect();
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            spread(&path.tree, before, paths);
            before.pop();
        }
        UseTree::Name(name) => paths.push(ending(name.ident.to_string(), before)),
        UseTree::Rename(name) => paths.push(ending(name.ident.to_string(), before)),
        UseTree::Glob(_) => paths.push(ending("*".to_owned(), before)),
        UseTree::Group(group) => group.items.iter().for_each(|tree| spread(tree, before, paths)),
    }
}

/// Every source file by its place among the modules.
fn sources(folder: &Path, at: &[String], found: &mut Vec<(Vec<String>, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut module = at.to_vec();
        if path.is_dir() {
            module.push(name);
            sources(&path, &module, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            if !(name == "mod" || (at.is_empty() && ["lib", "main"].contains(&&*name))) {
                module.push(name);
            }
            found.push((module, path));
        }
    }
}

/// What is wrong in a crate made of these files, each with its place among the modules.
fn check(files: &[(Vec<String>, String)]) -> Vec<String> {
    let modules: BTreeSet<Vec<String>> = files.iter().map(|(module, _)| module.clone()).collect();
    let mut wrong = vec![];
    for (module, text) in files.iter().filter(|(module, _)| !module.is_empty()) {
        let mut file = File { module: module.clone(), modules: &modules, inside: 0, wrong: vec![] };
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", module.join("::")));
        syntax.items.iter().for_each(|item: &Item| file.visit_item(item));
        wrong.append(&mut file.wrong);
    }
    wrong
}

#[test]
fn every_file_uses_only_what_is_below_it_or_its_folder_names() {
    let mut found = vec![];
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut found);
    let files: Vec<_> = found.into_iter().map(|(module, path)| (module, fs::read_to_string(path).unwrap())).collect();
    assert!(files.len() > 30 && FLOORS.iter().all(|floor| files.iter().any(|(module, _)| module[..] == [*floor])));
    let wrong = check(&files);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A small crate with one more file.
fn with(module: &str, text: &str) -> Vec<String> {
    let places = [
        "model",
        "model::event",
        "transport",
        "edges",
        "edges::web",
        "edges::web::hub",
        "edges::admin",
        "app",
        "cli",
        "cli::run",
    ];
    let split = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
    let mut files: Vec<_> = places.iter().map(|place| (split(place), String::new())).collect();
    files.push((split(module), text.to_owned()));
    check(&files)
}

#[test]
fn what_breaks_the_rule_is_found() {
    for (module, text, found) in [
        ("model::ledger", "use crate::transport::Socket;", "transport::Socket is on floor 2, not below floor 0"),
        ("transport::tcp", "fn f() { crate::edges::serve(); }", "crate::edges::serve is on floor 5"),
        (
            "process::config",
            "use crate::{model::Event, process::Text, tasks::Task};",
            "crate::tasks::Task is on floor 3",
        ),
        ("model::ledger", "fn f(socket: super::super::transport::Socket) {}", "is on floor 2"),
        ("model::ledger", "use super::event::Event;", "reaches into a sibling"),
        ("edges::web::ws", "use super::{Links, hub::Hub};", "super::hub::Hub reaches into a sibling"),
        ("edges::web::ws", "use crate::edges::web::hub::Hub;", "reaches into a sibling"),
        ("edges::web::ws", "use crate::edges::admin;", "leaves the folder"),
        ("edges::web", "use super::admin::Pool;", "reaches into a sibling"),
        ("app::web", "use crate::cli::Cli;", "is on floor 7, not below floor 6"),
        ("model::ledger", "mod tests { use super::super::event::Event; }", "reaches into a sibling"),
    ] {
        let wrong = with(module, text);
        assert!(wrong.len() == 1 && wrong[0].contains(found), "{text}: {wrong:?}");
    }
}

#[test]
fn what_keeps_the_rule_is_not() {
    for (module, text) in [
        ("transport::tcp", "use crate::model::{Event, event::Event as Other};"),
        (
            "edges::web::ws",
            "use super::{Hub, Links}; use crate::model::Event; use std::io; mod tests { use super::*; }",
        ),
        ("edges::web", "mod hub; pub use hub::Hub; use super::Pool; fn f() { hub::run(); }"),
        ("app::web", "use crate::edges::web::{Hub, hub::run}; use super::Role;"),
        ("cli::ask", "use crate::app::App; use super::run;"),
        ("model::ledger", "pub(super) struct A; mod tests { use super::A; mod deep { use super::super::A; } }"),
    ] {
        assert_eq!(with(module, text), Vec::<String>::new(), "{text}");
    }
}

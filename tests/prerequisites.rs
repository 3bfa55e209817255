//! What a build says first on a machine that lacks something (`.cargo/prerequisites`).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// A checkout's `.cargo` without the page's bundle, beside a machine's programs.
struct Machine(tempfile::TempDir);

impl Machine {
    /// With all that is needed; the compiler says only that it was called.
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "checkout/.cargo"] {
            fs::create_dir_all(machine.0.path().join(folder)).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cargo/prerequisites");
        fs::copy(script, machine.0.path().join("checkout/.cargo/prerequisites")).unwrap();
        for program in ["sh", "env", "grep", "tr", "touch"] {
            symlink(format!("/usr/bin/{program}"), machine.0.path().join("bin").join(program)).unwrap();
        }
        for program in ["c++", "make", "npm", "node", "rustc"] {
            machine.install(program, "echo \"$0 $*\"");
        }
        machine
    }

    fn install(&self, program: &str, script: &str) {
        let path = self.0.path().join("bin").join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn without(self, program: &str) -> Self {
        fs::remove_file(self.0.path().join("bin").join(program)).unwrap();
        self
    }

    /// As cargo calls it.
    fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.0.path().join("checkout/.cargo/prerequisites"));
        command.arg(self.0.path().join("bin/rustc")).args(arguments);
        command.env_clear().env("PATH", self.0.path().join("bin")).output().unwrap()
    }
}

#[test]
fn what_is_missing_is_told_in_one_line_that_names_the_package() {
    for (program, package) in [("c++", "apt-get install g++"), ("make", "apt-get install make"), ("npm", "Node.js 20")]
    {
        let output = Machine::new().without(program).ask(&["-vV"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{program}: {text}");
        assert!(text.contains("missing") && text.contains(package), "{program}: {text}");
        assert_eq!(text.lines().count(), 1, "{program}: {text}");
    }
}

#[test]
fn an_older_nodejs_is_told_with_its_version() {
    let machine = Machine::new();
    machine.install("node", "[ \"$1\" = --version ] && echo v18.20.4 && exit; exit 1");
    let output = machine.ask(&["-vV"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("v18.20.4 is too old"), "{text}");
}

#[test]
fn where_nothing_is_missing_the_compiler_is_called() {
    let machine = Machine::new();
    for arguments in [&["-vV"][..], &["--crate-name", "swarmq", "two words"]] {
        let output = machine.ask(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.trim().ends_with(&arguments.join(" ")), "{text}");
    }
}

#[test]
fn a_bundle_that_is_there_needs_no_nodejs() {
    let machine = Machine::new().without("npm").without("node");
    let bundle = machine.0.path().join("checkout/web/dist");
    fs::create_dir_all(&bundle).unwrap();
    fs::write(bundle.join("index.html"), "").unwrap();
    assert!(machine.ask(&["-vV"]).status.success());
}

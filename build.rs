//! Links libsodium, which libzmq needs for CURVE. With the feature `dashboard`, bundles the dashboard and the page of reports
//! (`web/`) with npm if their sources are newer than the bundle, and prepares the files for the program to embed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, error};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// The sources of a bundle.
const SOURCES: [&str; 5] = ["web/src", "web/static", "web/build.mjs", "web/package.json", "web/package-lock.json"];

/// The bundle's files, with their content types.
const FILES: [(&str, &str); 5] = [
    ("index.html", "text/html; charset=utf-8"),
    ("app.js", "text/javascript; charset=utf-8"),
    ("app.css", "text/css; charset=utf-8"),
    ("report.css", "text/css; charset=utf-8"),
    ("favicon.svg", "image/svg+xml"),
];

/// The page of reports, in one file, into which the program writes the data. Not served, hence not compressed.
const REPORT: &str = "report.html";

/// Stands in `app.js` for the page's id.
const PAGE_PLACE: &str = "swarmq:page-id";

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    link_libsodium()?;
    wrap_libzmq();
    if env::var_os("CARGO_FEATURE_DASHBOARD").is_none() {
        return Ok(());
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-changed=web/dist");
    let bundle = Path::new("web/dist");
    if oldest(bundle) < newest(&SOURCES.map(PathBuf::from)) {
        npm()?;
    }
    embed(bundle, Path::new(&env::var("OUT_DIR")?))
}

/// Links libsodium by linker arguments instead of `rustc-link-lib`, because it has to follow libzmq.
fn link_libsodium() -> Result<(), Box<dyn error::Error>> {
    let library = format!("{}/libsodium.a", env::var("DEP_SODIUM_LIB")?);
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let arguments: &[&str] = match features.split(',').any(|feature| feature == "crt-static") {
        // rustc leaves the linker in -Bdynamic mode, and libc has to follow the libraries that need it.
        true => &[&library, "-Wl,-Bstatic", "-lc"],
        false => &[&library],
    };
    for argument in arguments {
        println!("cargo::rustc-link-arg={argument}");
    }
    Ok(())
}

/// Makes the linker redirect two functions of libzmq to ours, see src/runtime/zeromq/socket.rs.
fn wrap_libzmq() {
    for function in ["_ZN3zmq6pipe_t5writeEPKNS_5msg_tE", "_ZNK3zmq6pipe_t8rollbackEv", "zmq_ctx_new"] {
        println!("cargo::rustc-link-arg=-Wl,--wrap={function}");
        // Our functions are in a library before libzmq that nothing calls yet, so the linker would drop them.
        println!("cargo::rustc-link-arg=-Wl,--undefined=__wrap_{function}");
    }
}

/// Modification time of the bundle's oldest file; the epoch if one is missing.
fn oldest(bundle: &Path) -> SystemTime {
    let names = FILES.iter().map(|(name, _)| *name).chain([REPORT]);
    let times = names.map(|name| modified(&bundle.join(name)));
    times.min().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Modification time of the newest of the files, including those in folders.
fn newest(paths: &[PathBuf]) -> SystemTime {
    let times = paths.iter().map(|path| match fs::read_dir(path) {
        Ok(entries) => newest(&entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>()),
        Err(_) => modified(path),
    });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn npm() -> Result<(), Box<dyn error::Error>> {
    let mut steps = vec![vec!["run", "build"]];
    if !Path::new("web/node_modules").exists() {
        steps.insert(0, vec!["ci", "--no-audit", "--no-fund"]);
    }
    for arguments in steps {
        let output = Command::new("npm").args(&arguments).current_dir("web").output().map_err(|error| {
            format!(
                "npm can't be run ({error}): the dashboard is bundled by Node.js 20 or later. Install it, or build \
                 without the dashboard: cargo build --no-default-features"
            )
        })?;
        if !output.status.success() {
            io::stderr().write_all(&output.stdout)?;
            io::stderr().write_all(&output.stderr)?;
            return Err(format!("`npm {}` failed in web/", arguments.join(" ")).into());
        }
    }
    Ok(())
}

/// Which page this is: the program's version, `+`, and a digest of all files.
fn page_id(bundle: &Path) -> io::Result<String> {
    let mut all = vec![];
    for (name, _) in FILES {
        all.extend(fs::read(bundle.join(name))?);
    }
    Ok(format!("{}+{}", env!("CARGO_PKG_VERSION"), digest(&all)))
}

/// The first 64 bits of a SHA-256, as hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the compressed files, a table of them in Rust, and the report's page.
fn embed(bundle: &Path, out: &Path) -> Result<(), Box<dyn error::Error>> {
    let mut table = String::from("[\n");
    let page = page_id(bundle)?;
    // Read by src/web/hub/hub.rs: the server tells each page which one it serves.
    println!("cargo::rustc-env=DASHBOARD_PAGE={page}");
    for (name, content_type) in FILES {
        let mut bytes = fs::read(bundle.join(name))?;
        if name == "app.js" {
            let script = String::from_utf8(bytes)?;
            if !script.contains(PAGE_PLACE) {
                return Err(format!("{name} has no `{PAGE_PLACE}`, see web/src/app/update.ts").into());
            }
            bytes = script.replace(PAGE_PLACE, &page).into_bytes();
        }
        let digest = digest(&bytes);
        let compressed = out.join(format!("{name}.gz"));
        let mut encoder = GzEncoder::new(File::create(&compressed)?, Compression::best());
        encoder.write_all(&bytes)?;
        encoder.finish()?;
        let path = if name == "index.html" { "/".to_owned() } else { format!("/{name}") };
        writeln!(
            table,
            "    Asset {{ path: {path:?}, content_type: {content_type:?}, etag: {digest:?}, gzip: include_bytes!({compressed:?}) }},"
        )?;
    }
    table.push(']');
    fs::write(out.join("assets.rs"), table)?;
    fs::copy(bundle.join(REPORT), out.join(REPORT))?;
    Ok(())
}

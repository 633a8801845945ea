//! Builds `ui/` with npm and writes the table of its files.
//!
//! Nothing is written into the source tree but `ui/node_modules`: the built files go to `OUT_DIR`. Packages are
//! installed only when they are absent or the lock file has changed since.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sha2::{Digest, Sha256};

/// A copy of the lock file that `node_modules` was installed from.
const STAMP: &str = ".wellkept-lock";
/// What the build reads, below `ui/`; everything else there is tests.
const INPUTS: [&str; 7] =
    ["src", "index.html", "package.json", "package-lock.json", ".npmrc", "vite.config.ts", "tsconfig.json"];
const CATALOGUES: [&str; 2] = ["messages/en/console.json", "messages/zh-CN/console.json"];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() {
    if let Err(error) = run() {
        // Cargo shows these lines as they are and fails; an error given back from `main` would be shown escaped.
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}

fn run() -> Outcome<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(var("OUT_DIR")?);
    let mut files = Vec::new();
    if var("CARGO_FEATURE_EMBED").is_ok() {
        let root = Path::new(&var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
        let dist = out.join("console");
        watch(&root);
        install(&root.join("ui"))?;
        build(&root.join("ui"), &dist)?;
        collect(&dist, "", &mut files)?;
        files.sort();
        if !files.iter().any(|(path, _)| path == "/index.html") {
            return Err("the build of ui/ gave no index.html".into());
        }
    }
    fs::write(out.join("table.rs"), table(&files)?)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a build script is told everything by its environment")]
fn var(name: &str) -> Outcome<String> {
    env::var(name).map_err(|source| format!("cargo did not set {name}: {source}").into())
}

fn watch(root: &Path) {
    let inputs = INPUTS.iter().map(|name| root.join("ui").join(name));
    for path in inputs.chain(CATALOGUES.iter().map(|name| root.join(name))) {
        if path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}

fn install(ui: &Path) -> Outcome<()> {
    let lock = fs::read(ui.join("package-lock.json"))
        .map_err(|source| format!("failed to read {}/package-lock.json: {source}", ui.display()))?;
    let stamp = ui.join("node_modules").join(STAMP);
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    npm(ui, &["ci", "--no-audit", "--no-fund", "--ignore-scripts"])?;
    fs::write(stamp, lock)?;
    Ok(())
}

fn build(ui: &Path, dist: &Path) -> Outcome<()> {
    let dist = dist.to_str().ok_or("OUT_DIR is not UTF-8, and npm needs it to be")?;
    npm(ui, &["run", "build", "--", "--outDir", dist, "--emptyOutDir", "--logLevel", "warn"])
}

/// Runs npm in `ui`; its output is shown by cargo when it fails.
fn npm(ui: &Path, args: &[&str]) -> Outcome<()> {
    let output = Command::new("npm").args(args).current_dir(ui).output().map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            "npm was not found: install Node.js 20.19 or later, or build with --no-default-features (no console)".to_owned()
        } else {
            format!("failed to start npm: {source}")
        }
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(format!("`npm {}` in {} ended with {}:\n{said}", args.join(" "), ui.display(), output.status).into())
}

/// Adds all files below `folder` with their URL paths.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> Outcome<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name =
            entry.file_name().into_string().map_err(|name| format!("{} is not UTF-8", name.display()))?;
        let path = format!("{prefix}/{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &path, files)?;
        } else {
            files.push((path, entry.path()));
        }
    }
    Ok(())
}

fn table(files: &[(String, PathBuf)]) -> Outcome<String> {
    let mut text = String::from("pub(super) static ASSETS: &[Asset] = &[\n");
    for (path, file) in files {
        let etag = etag(&fs::read(file)?)?;
        let immutable = path.starts_with("/assets/");
        writeln!(
            text,
            "    Asset {{ path: {path:?}, mime: {:?}, body: include_bytes!({file:?}), etag: {etag:?}, immutable: {immutable} }},",
            mime(path),
        )?;
    }
    text.push_str("];\n");
    Ok(text)
}

/// The first 16 bytes of the SHA-256 in quotes: enough to tell two builds apart.
fn etag(body: &[u8]) -> Outcome<String> {
    let mut text = String::from("\"");
    for byte in Sha256::digest(body).iter().take(16) {
        write!(text, "{byte:02x}")?;
    }
    text.push('"');
    Ok(text)
}

fn mime(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

//! What a module sees while it runs: its arguments, the host, the controller's files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::convert::Expand;
use super::program::{self, Program, Ran};
use super::result::{Fail, Result};
use super::{Args, accounts, expand};
use crate::call::{Call, Source};
use crate::context::Context;

/// One run of one module.
pub(crate) struct Task<'a> {
    pub(crate) call: &'a Call,
    pub(crate) args: Args,
    pub(crate) source: &'a dyn Source,
    pub(crate) ctx: &'a mut Context,
    pub(crate) warnings: Vec<String>,
}

impl Task<'_> {
    /// Whether nothing may be changed.
    pub(crate) fn check(&self) -> bool {
        self.call.check
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Full path of a program, if the host has it.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        program::find(name, &self.call.environment)
    }

    /// Full path of a program that the module cannot do without.
    pub(crate) fn need(&self, name: &str) -> Result<PathBuf> {
        self.find(name).ok_or_else(|| {
            let path =
                Environment { call: self.call, root: &self.ctx.root }.variable("PATH").unwrap_or_default();
            let also = ["/sbin", "/usr/sbin", "/usr/local/sbin"];
            let more: Vec<&str> =
                also.iter().copied().filter(|folder| !path.split(':').any(|part| part == *folder)).collect();
            let paths = std::iter::once(path.as_str()).chain(more).collect::<Vec<_>>().join(":");
            Fail::new(format!("Failed to find required executable \"{name}\" in paths: {paths}"))
        })
    }

    /// A program with the task's environment, folder and time limit.
    pub(crate) fn program<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Program {
        Program::new(argv)
            .environment(&self.call.environment)
            .folder(self.call.cwd.as_deref().map(Path::new))
            .limit(self.call.timeout_seconds)
    }

    /// Starts a program and waits for it.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Ran> {
        let argv: Vec<std::ffi::OsString> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let shown = argv
            .iter()
            .map(|word| super::words::quote(&word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ");
        self.end(self.program(argv).run(), shown.into())
    }

    /// As [`Task::run`] in the plain language: numbers and decimal points are not translated.
    pub(crate) fn run_plain<S: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Result<Ran> {
        let argv: Vec<std::ffi::OsString> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let shown = argv
            .iter()
            .map(|word| super::words::quote(&word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ");
        let plain = ["LANG", "LC_ALL", "LC_MESSAGES"].map(|name| (name.to_owned(), "C".to_owned()));
        self.end(self.program(argv).environment(&plain).run(), shown.into())
    }

    /// A program that could not be started or took too long, as a failure.
    pub(crate) fn end(&self, ran: std::io::Result<Ran>, cmd: Value) -> Result<Ran> {
        ran.map_err(|error| match error.kind() {
            std::io::ErrorKind::TimedOut => {
                let seconds = self.call.timeout_seconds.unwrap_or_default();
                Fail::new(format!("The command action failed to execute in the expected time frame ({seconds}) and was terminated"))
            }
            std::io::ErrorKind::FileTooLarge => {
                Fail::new("the program's output is larger than 64 MiB; it was ended").with("cmd", cmd)
            }
            _ => {
                Fail::new("Error executing command.")
                    .with("rc", error.raw_os_error().unwrap_or(257))
                    .with("stdout", "")
                    .with("stderr", "")
                    .with("cmd", cmd)
            }
        })
    }

    /// A variable of the task's environment, else of this process.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        Environment { call: self.call, root: &self.ctx.root }.variable(name)
    }

    /// `~` and `$NAME` replaced.
    pub(crate) fn expand(&self, text: &str) -> String {
        Environment { call: self.call, root: &self.ctx.root }.expand(text)
    }

    /// A result that says no more than whether something changed.
    pub(crate) fn changed(&self, changed: bool) -> Map<String, Value> {
        super::map([("changed", changed.into())])
    }
}

/// The variables that paths are expanded with.
pub(crate) struct Environment<'a> {
    pub(crate) call: &'a Call,
    pub(crate) root: &'a Path,
}

impl Environment<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        let given = self.call.environment.iter().rev().find(|(key, _)| key == name);
        given
            .map(|(_, value)| value.clone())
            .or_else(|| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned()))
    }
}

impl Expand for Environment<'_> {
    fn expand(&self, text: &str) -> String {
        let text = expand::variables(text, &|name| self.variable(name));
        expand::tilde(&text, &|name| match name {
            "" => self
                .variable("HOME")
                .or_else(|| Some(accounts::user_with(self.root, rustix::process::getuid().as_raw())?.home)),
            name => Some(accounts::user_named(self.root, name)?.home),
        })
    }
}

//! `wellkept doctor`: can this host be kept well?

use std::path::{Path, PathBuf};

use serde_json::json;
use wellkept_model::Text;

use super::Context;
use crate::cli::Output;
use crate::exit::{NOT_WELL, OK};
use crate::say::{self, paint};

/// Free space below which the data directory is short of room, bytes.
const ROOM_MIN: u64 = 512 << 20;

/// How much an answer matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    /// Works with less.
    Less,
    /// Does not work.
    No,
}

struct Look {
    key: &'static str,
    answer: Answer,
    detail: String,
}

pub(super) fn run(context: Context, data_dir: &Path) -> anyhow::Result<u8> {
    let looks = [
        root(),
        pidfd(),
        file("pressure", "/proc/pressure/cpu"),
        file("systemd", "/run/systemd/system"),
        cgroups(),
        writable(data_dir),
        room(data_dir),
    ];
    match context.output {
        Output::Json => {
            let all: Vec<_> = looks
                .iter()
                .map(|l| json!({ "check": l.key, "answer": word(l.answer), "detail": l.detail }))
                .collect();
            say::line(&json!({ "checks": all }).to_string());
        }
        Output::Table => looks.iter().for_each(|look| print(context, look)),
    }
    Ok(if looks.iter().any(|l| l.answer == Answer::No) { NOT_WELL } else { OK })
}

fn print(context: Context, look: &Look) {
    let sign = match look.answer {
        Answer::Yes => paint("32", "✓"),
        Answer::Less => paint("33", "–"),
        Answer::No => paint("31", "✗"),
    };
    let key = format!("cli.doctor.{}.{}", look.key, word(look.answer));
    say::line(&format!(
        "{sign} {}",
        say::text(context.language, &Text::new(&key).with("detail", &look.detail))
    ));
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::Less => "less",
        Answer::No => "no",
    }
}

fn root() -> Look {
    let root = rustix::process::geteuid().is_root();
    Look { key: "root", answer: if root { Answer::Yes } else { Answer::Less }, detail: String::new() }
}

fn pidfd() -> Look {
    let opened = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    let answer = if opened.is_ok() { Answer::Yes } else { Answer::No };
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    Look { key: "pidfd", answer, detail: kernel }
}

fn file(key: &'static str, path: &str) -> Look {
    let answer = if Path::new(path).exists() { Answer::Yes } else { Answer::Less };
    Look { key, answer, detail: path.to_owned() }
}

fn cgroups() -> Look {
    let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let v1 = Path::new("/sys/fs/cgroup/memory").exists();
    let answer = if v1 || v2 { Answer::Yes } else { Answer::Less };
    Look { key: "cgroups", answer, detail: if v2 { "v2" } else { "v1" }.to_owned() }
}

/// Looks without writing: the directory, or the nearest parent that exists, is one and may be written by us.
fn writable(data_dir: &Path) -> Look {
    let there = nearest(data_dir);
    let may = there.is_dir() && rustix::fs::access(&there, rustix::fs::Access::WRITE_OK).is_ok();
    let answer = if may { Answer::Yes } else { Answer::No };
    Look { key: "writable", answer, detail: data_dir.display().to_string() }
}

fn room(data_dir: &Path) -> Look {
    let free = rustix::fs::statvfs(&nearest(data_dir)).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize));
    let answer = if free >= ROOM_MIN { Answer::Yes } else { Answer::Less };
    Look { key: "room", answer, detail: free.to_string() }
}

/// The path, or what is nearest above it and exists.
fn nearest(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    whole.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/")).to_owned()
}

//! What can be done without the helper: plain commands for `command`, `shell`, `raw`, `script` and `copy`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value as Json;
use wellkept_modules::Source;
use wellkept_playbook::run::Outcome;
use wellkept_ssh::{Become, Bounds, Command, CommandLine, Input, LineError, Ran, quote};

use super::assign::{Script, flag, text};
use super::done;
use crate::adhoc::{Status, put};
use crate::hand::Hand;
use crate::helper::Allowed;
use crate::helper::protocol::Order;
use crate::values::{JsonMap, failed, map};

/// How long a command without a limit of its own may run.
const WITHIN: Duration = Duration::from_secs(24 * 3600);
/// So much of each output is kept, bytes.
const OUTPUT_MAX: usize = 16 * 1024 * 1024;
/// Exit status of our own lines: `creates` is there, or `removes` is not.
const NOT_NEEDED: i64 = 213;

fn bounds(within: Option<Duration>) -> Bounds {
    Bounds { time: within.unwrap_or(WITHIN), kept_bytes: OUTPUT_MAX, ..Bounds::default() }
}

fn with_env(line: &CommandLine, environment: &[(String, String)]) -> Result<CommandLine, LineError> {
    if environment.is_empty() { Ok(line.clone()) } else { line.with_env(environment) }
}

/// `raw`: the line as it is.
pub(super) async fn raw(
    hand: &Hand,
    who: Option<&Become>,
    line: &str,
    environment: &[(String, String)],
    within: Option<Duration>,
) -> Outcome {
    let line = CommandLine::line(line).and_then(|line| with_env(&line, environment));
    let line = match line {
        Ok(line) => line,
        Err(why) => return done::outcome(failed(why.to_string())),
    };
    let ran = hand.exec(who, &Command { bounds: bounds(within), ..Command::new(line) }, &mut |_| {}).await;
    done::no_result(&ran).unwrap_or_else(|| {
        let mut result = map([("changed", true.into())]);
        result.extend(done::outputs(&ran, false));
        if done::rc(&ran) != 0 {
            result.extend(map([("failed", true.into()), ("msg", "non-zero return code".into())]));
        }
        done::outcome(result)
    })
}

/// Folder and conditions before a command, as a shell writes them.
fn prelude(chdir: Option<&str>, creates: Option<&str>, removes: Option<&str>) -> String {
    let mut lines = String::new();
    if let Some(folder) = chdir {
        let folder = if folder.starts_with('-') { format!("./{folder}") } else { folder.to_owned() };
        lines.push_str(&format!("cd {} || exit 1\n", quote(&folder)));
    }
    if let Some(path) = creates {
        lines.push_str(&format!("if test -e {}; then exit {NOT_NEEDED}; fi\n", quote(path)));
    }
    if let Some(path) = removes {
        lines.push_str(&format!("if test ! -e {}; then exit {NOT_NEEDED}; fi\n", quote(path)));
    }
    lines
}

/// `script`: our program in a folder of its own, which is gone afterwards.
pub(super) async fn script(hand: &Hand, who: Option<&Become>, script: &Script) -> Outcome {
    let before = prelude(script.chdir.as_deref(), script.creates.as_deref(), script.removes.as_deref());
    let by = script.executable.as_ref().map(|program| format!("{program} ")).unwrap_or_default();
    let line = format!(
        "{before}d=$(umask 077; mktemp -d) && cat >\"$d/script\" && chmod 700 \"$d/script\" || exit 125\n\
         {by}\"$d/script\" {} </dev/null; s=$?; rm -rf \"$d\"; exit $s",
        script.rest
    );
    let line =
        CommandLine::argv(&["/bin/sh", "-c", &line]).and_then(|line| with_env(&line, &script.environment));
    let line = match line {
        Ok(line) => line,
        Err(why) => return done::outcome(failed(why.to_string())),
    };
    let input = Input::Bytes(script.program.clone());
    let command = Command { input, bounds: bounds(script.within), ..Command::new(line) };
    let ran = hand.exec(who, &command, &mut |_| {}).await;
    done::no_result(&ran).unwrap_or_else(|| {
        if done::rc(&ran) == NOT_NEEDED {
            return done::outcome(done::skipped("skipped, since creates or removes says so"));
        }
        let mut result = map([("changed", true.into())]);
        result.extend(done::outputs(&ran, false));
        if done::rc(&ran) != 0 {
            result.extend(map([("failed", true.into()), ("msg", "non-zero return code".into())]));
        }
        done::outcome(result)
    })
}

/// A module without its helper.
pub(super) async fn module(
    hand: &Hand,
    who: Option<&Become>,
    order: &Order,
    files: &Arc<Allowed>,
    why: &str,
) -> Outcome {
    let call = &order.call;
    if (order.background_seconds.is_none() || order.waits) && !call.check {
        match call.module.as_str() {
            "command" | "shell" => return command(hand, who, order).await,
            "copy" => return copy(hand, who, &call.args, files).await,
            _ => {}
        }
    }
    done::outcome(failed(format!(
        "The module {} needs the helper, which cannot run on this host: {why}. Without it command, shell, raw, script, \
         copy and fetch work, outside check mode and background",
        call.module
    )))
}

fn line_of(args: &JsonMap, shell: bool) -> Result<(String, Json), JsonMap> {
    if let Some(Json::Array(words)) = args.get("argv") {
        let words: Vec<String> =
            words.iter().map(|w| w.as_str().map_or_else(|| w.to_string(), str::to_owned)).collect();
        let line = CommandLine::argv(&words).map_err(|e| failed(e.to_string()))?;
        return Ok((format!("exec {}", line.as_str()), words.into()));
    }
    let raw = text(args, "_raw_params").or_else(|| text(args, "cmd")).unwrap_or_default();
    if raw.trim().is_empty() {
        return Err(failed("no command given"));
    }
    if shell {
        let by = text(args, "executable").unwrap_or_else(|| "/bin/sh".to_owned());
        return Ok((format!("exec {} -c {}", quote(&by), quote(&raw)), raw.into()));
    }
    let words = wellkept_playbook::book::split_words(&raw).map_err(failed)?;
    let words: Vec<String> = words.iter().map(|word| unquoted(word)).collect();
    let line = CommandLine::argv(&words).map_err(|e| failed(e.to_string()))?;
    Ok((format!("exec {}", line.as_str()), words.into()))
}

/// A word without the quotes around it.
fn unquoted(word: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => out.extend(chars.next()),
            (_, c) => out.push(c),
        }
    }
    out
}

async fn command(hand: &Hand, who: Option<&Become>, order: &Order) -> Outcome {
    let args = &order.call.args;
    let run = async {
        let (line, shown) = line_of(args, order.call.module == "shell")?;
        let given = |name: &str| text(args, name);
        let (chdir, creates, removes) = (given("chdir"), given("creates"), given("removes"));
        let before = prelude(chdir.as_deref(), creates.as_deref(), removes.as_deref());
        let line = CommandLine::argv(&["/bin/sh", "-c", &format!("{before}{line}")]);
        let line = line.and_then(|line| with_env(&line, &order.call.environment));
        let mut command = Command::new(line.map_err(|e| failed(e.to_string()))?);
        command.bounds = bounds(order.call.timeout_seconds.map(Duration::from_secs));
        if let Some(stdin) = given("stdin") {
            let end = if flag(args, "stdin_add_newline", true) { "\n" } else { "" };
            command.input = Input::Bytes(Bytes::from(format!("{stdin}{end}")));
        }
        let ran = hand.exec(who, &command, &mut |_| {}).await;
        Ok((ran, shown))
    };
    match run.await {
        Err(result) => done::outcome(result),
        Ok((ran, shown)) => {
            done::no_result(&ran).unwrap_or_else(|| done::outcome(of_command(args, &ran, shown)))
        }
    }
}

fn of_command(args: &JsonMap, ran: &Ran, shown: Json) -> JsonMap {
    let rc = done::rc(ran);
    if rc == NOT_NEEDED {
        let (what, path) = match text(args, "creates") {
            Some(path) => ("exists", path),
            None => ("does not exist", text(args, "removes").unwrap_or_default()),
        };
        let said = format!("skipped, since {path} {what}");
        return map([
            ("changed", false.into()),
            ("cmd", shown),
            ("rc", 0.into()),
            ("stdout", said.clone().into()),
            ("stdout_lines", vec![Json::from(said)].into()),
            ("stderr", "".into()),
            ("msg", "Did not run command since the path is as wanted".into()),
        ]);
    }
    let mut result = map([("changed", true.into()), ("cmd", shown), ("msg", "".into())]);
    result.extend(done::outputs(ran, flag(args, "strip_empty_ends", true)));
    if rc != 0 {
        result.extend(map([("failed", true.into()), ("msg", "non-zero return code".into())]));
    }
    result
}

async fn copy(hand: &Hand, who: Option<&Become>, args: &JsonMap, files: &Arc<Allowed>) -> Outcome {
    let Some(dest) = text(args, "dest") else {
        return done::outcome(failed("missing required arguments: dest"));
    };
    let odd = ["owner", "group", "backup", "validate", "directory_mode"];
    if let Some(name) = odd.iter().find(|name| args.contains_key(**name)) {
        return done::outcome(failed(format!(
            "copy with {name} needs the helper, which cannot run on this host"
        )));
    }
    let (bytes, base) = match (args.get("content"), text(args, "src")) {
        (Some(Json::String(content)), _) => (content.clone().into_bytes(), String::new()),
        (Some(content), _) => (content.to_string().into_bytes(), String::new()),
        (None, Some(src)) => match files.read(&src) {
            Ok(bytes) => (bytes, src.rsplit('/').next().unwrap_or_default().to_owned()),
            Err(error) => return done::outcome(failed(format!("{src}: {error}"))),
        },
        (None, None) => return done::outcome(failed("src (or content) is required")),
    };
    let dest = if dest.ends_with('/') { format!("{dest}{base}") } else { dest };
    let mode = match args.get("mode") {
        None => None,
        Some(mode) => match octal(mode) {
            Some(mode) => Some(mode),
            None => return done::outcome(failed("mode must be octal without the helper")),
        },
    };
    let there = crate::adhoc::slurp(hand, who, &dest, u64::MAX).await;
    if mode.is_none() && there.is_ok_and(|there| there == bytes) {
        return done::outcome(map([("changed", false.into()), ("dest", dest.into())]));
    }
    match put(hand, who, Bytes::from(bytes), &dest, mode).await {
        Ok(_) => done::outcome(map([("changed", true.into()), ("dest", dest.into())])),
        Err(row) if row.status == Status::Unknown => Outcome::Unknown(row.note.unwrap_or_default()),
        Err(row) => {
            let said = String::from_utf8_lossy(&row.stderr).trim().to_owned();
            done::outcome(failed(if said.is_empty() { row.note.unwrap_or_default() } else { said }))
        }
    }
}

fn octal(mode: &Json) -> Option<u32> {
    let bits = match mode {
        Json::String(text) => u32::from_str_radix(text, 8).ok()?,
        Json::Number(number) => u32::try_from(number.as_u64()?).ok()?,
        _ => return None,
    };
    Some(bits).filter(|bits| *bits <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_quotes_and_keep_what_is_in_them() {
        for (written, word) in
            [("a", "a"), ("'a b'", "a b"), ("x=\"a 'b'\"", "x=a 'b'"), ("a\\ b", "a b"), ("'\\'", "\\")]
        {
            assert_eq!(unquoted(written), word, "{written}");
        }
    }

    #[test]
    fn paths_before_a_command_are_quoted() {
        assert_eq!(prelude(Some("-x; id"), None, None), "cd './-x; id' || exit 1\n");
        assert!(prelude(None, Some("$(id)"), None).contains("test -e '$(id)'"));
    }
}

//! What the controller itself does for a step: waiting, asking, getting a file, seeing a host through its restart.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest, Sha1};
use tokio::time::{Instant, sleep, timeout};
use wellkept_playbook::run::Outcome;
use wellkept_ssh::{Become, Bounds, Command, CommandLine, End};

use super::assign::Fetch;
use super::done;
use super::hands::Hands;
use crate::adhoc::{Status, slurp};
use crate::desk::Desk;
use crate::hand::Hand;
use crate::reach::Reach;
use crate::values::{failed, map};

/// The largest fetched file, bytes.
const FETCH_MAX: u64 = 64 * 1024 * 1024;

/// `pause`.
pub(super) async fn pause(
    desk: &Arc<dyn Desk>,
    prompt: Option<String>,
    within: Option<Duration>,
    echo: bool,
) -> Outcome {
    let begun = Instant::now();
    let mut typed = String::new();
    if let Some(within) = within {
        sleep(within).await;
    } else {
        let desk = Arc::clone(desk);
        let question = prompt.unwrap_or_else(|| "Press enter to continue, Ctrl+C to interrupt".to_owned());
        let question = format!("{question}:\n");
        let asked = tokio::task::spawn_blocking(move || match echo {
            true => desk.line(&question),
            false => desk.secret(&question).map(|answer| answer.to_string()),
        });
        // Nobody there: it goes on at once, as Ansible does without a terminal.
        typed = asked.await.ok().flatten().unwrap_or_default();
    }
    let took = begun.elapsed().as_secs();
    done::outcome(map([
        ("changed", false.into()),
        ("delta", took.into()),
        ("echo", echo.into()),
        ("rc", 0.into()),
        ("stderr", "".into()),
        ("stdout", format!("Paused for {took} seconds").into()),
        ("user_input", typed.into()),
    ]))
}

/// `wait_for_connection`.
pub(super) async fn wait(
    hands: &Hands,
    reach: &Reach,
    delay: Duration,
    pause: Duration,
    within: Duration,
) -> Outcome {
    let begun = Instant::now();
    sleep(delay).await;
    if until_up(hands, reach, "true", pause, within.saturating_sub(delay)).await {
        return done::outcome(map([
            ("changed", false.into()),
            ("elapsed", begun.elapsed().as_secs().into()),
        ]));
    }
    let mut result = failed(format!("timed out waiting for ping module test: no answer within {within:?}"));
    result.insert("elapsed".to_owned(), begun.elapsed().as_secs().into());
    done::outcome(result)
}

/// Tries until a command succeeds there.
async fn until_up(hands: &Hands, reach: &Reach, test: &str, pause: Duration, within: Duration) -> bool {
    let trying = async {
        loop {
            if let Ok(hand) = hands.hand(reach).await
                && exec(&hand, None, test).await.is_some_and(|end| end.success())
            {
                return;
            }
            hands.forget(reach).await;
            sleep(pause.max(Duration::from_millis(200))).await;
        }
    };
    timeout(within, trying).await.is_ok()
}

async fn exec(hand: &Hand, who: Option<&Become>, line: &str) -> Option<End> {
    let line = CommandLine::line(line).ok()?;
    let bounds = Bounds { time: Duration::from_secs(30), ..Bounds::default() };
    Some(hand.exec(who, &Command { bounds, ..Command::new(line) }, &mut |_| {}).await.end)
}

/// What tells one start of a system from the next.
async fn boot_id(hands: &Hands, reach: &Reach) -> Option<Vec<u8>> {
    let hand = hands.hand(reach).await.ok()?;
    slurp(&hand, None, "/proc/sys/kernel/random/boot_id", 100).await.ok()
}

/// `reboot`: a new boot id has to be seen, so that a host that never went down is not taken for one that came back.
pub(super) async fn reboot(
    hands: &Hands,
    reach: &Reach,
    who: Option<&Become>,
    line: &str,
    test: &str,
    within: Duration,
    after: Duration,
) -> Outcome {
    if reach.local {
        return done::outcome(failed("Running reboot with local connection would reboot the control node."));
    }
    let begun = Instant::now();
    let Some(before) = boot_id(hands, reach).await else {
        return Outcome::Unreachable("the host does not tell its boot id".to_owned());
    };
    match hands.hand(reach).await {
        Err(unreached) => return unreached,
        Ok(hand) => match exec(&hand, who, line).await {
            Some(End::Exited { status }) if status != 0 => {
                return done::outcome(failed(format!("Reboot command failed with status {status}")));
            }
            Some(End::NotRun(why)) => return done::outcome(failed(format!("Reboot command failed: {why}"))),
            // The line may well break before it ends.
            _ => {}
        },
    }
    let coming = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            hands.forget(reach).await;
            if boot_id(hands, reach).await.is_some_and(|id| id != before) {
                return;
            }
        }
    };
    let up = timeout(within, coming).await.is_ok();
    sleep(after).await;
    let left = within.saturating_sub(begun.elapsed());
    let up = up && until_up(hands, reach, test, Duration::from_secs(1), left).await;
    let elapsed = begun.elapsed().as_secs();
    if !up {
        let mut result = failed("Timed out waiting for last boot time check (the host did not come back)");
        result.insert("rebooted".to_owned(), true.into());
        result.insert("elapsed".to_owned(), elapsed.into());
        return done::outcome(result);
    }
    done::outcome(map([("changed", true.into()), ("rebooted", true.into()), ("elapsed", elapsed.into())]))
}

fn digest(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the file goes: `dest/host/path`, or `dest` itself. Nothing of the host's leads out of `dest`.
fn destination(fetch: &Fetch) -> PathBuf {
    let dest = Path::new(&fetch.dest);
    if fetch.flat {
        let name = Path::new(&fetch.source).file_name().unwrap_or_default();
        return if fetch.dest.ends_with('/') { dest.join(name) } else { dest.to_owned() };
    }
    let normal =
        |part: Component<'_>| matches!(part, Component::Normal(_)).then(|| part.as_os_str().to_owned());
    let mut to = dest.join(fetch.host.replace('/', "_"));
    to.extend(Path::new(&fetch.source).components().filter_map(normal));
    to
}

/// `fetch`.
pub(super) async fn fetch(hand: &Hand, who: Option<&Become>, fetch: &Fetch) -> Outcome {
    let bytes = match slurp(hand, who, &fetch.source, FETCH_MAX).await {
        Ok(bytes) => bytes,
        Err(row) if row.status == Status::Unknown => {
            return Outcome::Unreachable(row.note.unwrap_or_default());
        }
        Err(_) if !fetch.fail_on_missing => {
            return done::outcome(map([
                ("changed", false.into()),
                ("file", fetch.source.clone().into()),
                ("msg", "the remote file does not exist, not transferring, ignored".into()),
            ]));
        }
        Err(row) => {
            let said = String::from_utf8_lossy(&row.stderr).trim().to_owned();
            let mut result = failed(row.note.filter(|_| said.is_empty()).unwrap_or(said));
            result.insert("file".to_owned(), fetch.source.clone().into());
            return done::outcome(result);
        }
    };
    let to = destination(fetch);
    let checksum = digest(&bytes);
    let same = tokio::fs::read(&to).await.is_ok_and(|old| old == bytes);
    if !same && let Err(error) = store(&to, &bytes).await {
        return done::outcome(failed(format!("Failed to fetch the file: {}: {error}", to.display())));
    }
    let key = if same { "file" } else { "remote_checksum" };
    let value = if same { fetch.source.clone() } else { checksum.clone() };
    done::outcome(map([
        ("changed", (!same).into()),
        ("checksum", checksum.into()),
        ("dest", to.display().to_string().into()),
        (key, value.into()),
    ]))
}

/// It appears under its name when it is whole.
async fn store(to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = to.parent() {
        tokio::fs::create_dir_all(folder).await?;
    }
    let part = PathBuf::from(format!("{}.part", to.display()));
    tokio::fs::write(&part, bytes).await?;
    tokio::fs::rename(&part, to).await
}

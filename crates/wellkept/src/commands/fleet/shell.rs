//! `wellkept shell`: a terminal on one host, recorded.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};
use wellkept_fleet::shell::Cast;
use wellkept_model::Text;
use wellkept_ssh::{CommandLine, End, Process, PtySize};

use super::args::Reaching;
use super::scene::{Stage, me};
use super::{bad, text, word};
use crate::commands::{Context, default_data_dir, variable};
use crate::exit::{Failure, UNREACHABLE};
use crate::say;

/// The exit code when the line broke.
const LOST: u8 = 255;

#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    /// The host.
    host: String,
    #[command(flatten)]
    reaching: Reaching,
    /// Do not write down what is seen.
    #[arg(long)]
    no_record: bool,
    /// Where it is written down, when it is there. Default: as for `up`.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// A command instead of the shell, after --.
    #[arg(last = true)]
    command: Vec<String>,
}

/// The terminal is raw until this is dropped.
struct Raw(Option<Termios>);

impl Raw {
    fn begin() -> Self {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // A terminal that stays as it is only looks worse.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn size() -> PtySize {
    let found = tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    found.map_or(PtySize { columns: 80, rows: 24 }, |size| PtySize {
        columns: size.ws_col.into(),
        rows: size.ws_row.into(),
    })
}

pub(in crate::commands) async fn run(context: Context, args: ShellArgs) -> anyhow::Result<u8> {
    let stage = Stage::new(context, &args.reaching)?;
    let scene = stage.scene(context, &args.reaching, None)?;
    let chosen = scene.names(&args.host, &args.reaching.limit).map_err(bad)?.hosts;
    let [host] = chosen.as_slice() else {
        let said = Text::new("fleet.shell.one").with("pattern", &args.host).with("count", chosen.len());
        return Err(bad(text(context, &said)).into());
    };
    let place = scene.place(host).map_err(bad)?;
    if place.reach.local || place.who.is_some() {
        return Err(bad(word(context, "fleet.shell.plain")).into());
    }
    let pool = Arc::new(stage.pool()?);
    let connection = pool.connection(&place.reach).await.map_err(|e| Failure::of(UNREACHABLE, &e))?;
    let line = match args.command.is_empty() {
        true => None,
        false => Some(CommandLine::argv(&args.command).map_err(bad)?),
    };
    let terminal = std::io::stdin().is_terminal();
    let data = args.data_dir.unwrap_or_else(default_data_dir);
    let mut cast = None;
    if data.join("VERSION").is_file() && !args.no_record {
        let folder = data.join("fleet/shells");
        cast = Some(Cast::new(&folder, host, &me(), size(), crate::clock::now().0)?);
    }
    let kind = variable("TERM").unwrap_or_else(|| "xterm".to_owned());
    let process = connection.shell(line.as_ref(), terminal.then_some((kind.as_str(), size()))).await;
    let process = process.map_err(|end| Failure::new(UNREACHABLE, format!("{end:?}")))?;
    let raw = terminal.then(Raw::begin);
    let end = talk(process, cast.as_mut()).await;
    drop(raw);
    pool.close().await;
    if let Some(cast) = cast {
        say::error(&text(context, &Text::new("fleet.shell.recorded").with("path", cast.path.display())));
    }
    match end {
        Some(End::Exited { status }) => std::process::exit(i32::try_from(status).unwrap_or(1)),
        Some(End::Signalled { .. }) => std::process::exit(1),
        _ => std::process::exit(LOST.into()),
    }
}

/// What the person types goes there, what the host writes comes here, as it is: it is the person's own terminal.
async fn talk(mut process: Process, mut cast: Option<&mut Cast>) -> Option<End> {
    let mut stdin = tokio::io::stdin();
    let mut resized = signal(SignalKind::window_change()).ok();
    let mut typed = [0; 4096];
    let mut open = true;
    loop {
        tokio::select! {
            piece = process.next() => {
                let Some(piece) = piece else { return process.end().cloned() };
                let mut out = std::io::stdout();
                if out.write_all(&piece.bytes).and_then(|()| out.flush()).is_err() {
                    return None;
                }
                if let Some(cast) = &mut cast
                    && let Err(error) = cast.output(&piece.bytes)
                {
                    say::error(&error.to_string());
                }
            }
            read = stdin.read(&mut typed), if open => {
                let bytes = read.ok().and_then(|read| typed.get(..read)).unwrap_or_default();
                let sent = match bytes {
                    [] => { open = false; process.end_input().await }
                    bytes => process.write(bytes.to_vec()).await,
                };
                if sent.is_err() {
                    open = false;
                }
            }
            Some(()) = async { match &mut resized { Some(signal) => signal.recv().await, None => None } } => {
                // A host that takes no new size goes on with the old one.
                let _ = process.resize(size()).await;
                if let Some(cast) = &mut cast {
                    let _ = cast.resize(size());
                }
            }
        }
    }
}

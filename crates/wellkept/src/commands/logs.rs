//! `wellkept logs …`: the lines that a running Wellkept keeps; templates of a file, and what is odd in it.

mod anomalies;
mod mine;
mod kept;
mod sessions;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use wellkept_model::Text;

use super::Context;
use crate::cli::LogsCommand;
use crate::exit::{Failure, USAGE};
use crate::say;

/// Longest file that is read as a whole.
const FILE_MAX: u64 = 8 << 30;

/// Runs one of them.
pub(super) async fn run(context: Context, command: LogsCommand) -> anyhow::Result<u8> {
    match command {
        LogsCommand::Mine { file, without_header, templates } => {
            mine::run(context, &file, mine::Options { without_header, templates })
        }
        LogsCommand::Anomalies { train, test } => anomalies::run(context, &train, &test),
        LogsCommand::Search { which, count: true, .. } => kept::count(context, &which).await,
        LogsCommand::Search { which, limit, context: around, .. } => {
            kept::search(context, &which, limit, around).await
        }
        LogsCommand::Tail { remote, query } => kept::tail(context, &remote, &query).await,
        LogsCommand::Patterns { which, limit, new } => kept::patterns(context, &which, limit, new).await,
        LogsCommand::Unusual { remote } => kept::unusual(context, &remote).await,
        LogsCommand::Harmless { remote, template: None, .. } => kept::marks(context, &remote).await,
        LogsCommand::Harmless { remote, template: Some(template), kind, parameter, undo } => {
            let mark = kept::Mark { template, kind, parameter, harmless: !undo };
            kept::mark(context, &remote, &mark).await
        }
    }
}

/// A whole file, unpacked when its name ends in `.gz`; `-` is standard input.
fn read(context: Context, path: &Path) -> Result<Vec<u8>, Failure> {
    let open = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let input: Box<dyn Read> = match path.extension().and_then(|e| e.to_str()) {
            _ if path == Path::new("-") => Box::new(io::stdin().lock()),
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(File::open(path)?))),
            _ => Box::new(File::open(path)?),
        };
        input.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {FILE_MAX} bytes")));
        }
        Ok(bytes)
    };
    open().map_err(|e| {
        let text = Text::new("cli.error.read").with("file", path.display()).with("error", e);
        Failure::new(USAGE, say::text(context.language, &text))
    })
}

/// The lines of a file without their ends; what follows the last line end is a line when it is not empty.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let some = !bytes.is_empty();
    some.then(|| body.split(|b| *b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l)))
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_editors_count_them() {
        let count = |text: &str| lines(text.as_bytes()).map(<[u8]>::len).collect::<Vec<_>>();
        assert!(count("").is_empty());
        assert_eq!(count("\n"), [0]);
        assert_eq!(count("a\r\nbc"), [1, 2]);
        assert_eq!(count("a\n\nb\n"), [1, 0, 1]);
    }
}

//! The tiny service that `wellkept try` breaks: it needs one setting and answers over HTTP.
//!
//! It behaves like many real services: it writes its pid file, reads its settings once, and ends in error when one
//! is missing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::exit::{NOT_WELL, OK};

/// The setting without which it does not start.
pub(super) const SETTING: &str = "GREETING";

/// Starts the service in the background, as an init script would.
pub(super) fn start(port: u16, settings: &Path, pidfile: &Path) -> anyhow::Result<u8> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["try-service", "--port", &port.to_string()]).arg("--settings").arg(settings);
    command.arg("--pidfile").arg(pidfile);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    Ok(OK)
}

/// The service itself.
pub(super) fn serve(port: u16, settings: &Path, pidfile: &Path) -> anyhow::Result<u8> {
    let new = pidfile.with_extension("new");
    std::fs::write(&new, format!("{}\n", std::process::id()))?;
    std::fs::rename(&new, pidfile)?;
    let text = std::fs::read_to_string(settings)?;
    let wanted = |line: &str| line.strip_prefix(SETTING)?.strip_prefix('=').map(str::to_owned);
    let Some(greeting) = text.lines().find_map(wanted) else { return Ok(NOT_WELL) };
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut request = [0; 1024];
        // Whatever was asked, the answer is the same; a client that is gone is no reason to end.
        let _ = stream.read(&mut request);
        let length = greeting.len();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{greeting}"
        );
    }
    Ok(OK)
}

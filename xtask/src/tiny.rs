//! A service as small as a service can be: the thing that the recovery bench kills.
//!
//! `start` returns at once and leaves `serve` running in a session of its own, as init scripts do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Hidden chore: start the service and return.
pub(crate) const START: &str = "tiny-start";
/// Hidden chore: be the service.
pub(crate) const SERVE: &str = "tiny-serve";

/// `tiny-start PORT PIDFILE`.
pub(crate) fn start(args: &[&str]) -> Result<()> {
    let me = std::env::current_exe().context("no path to this program")?;
    let null = Stdio::null;
    Command::new(me)
        .arg(SERVE)
        .args(args)
        .stdin(null())
        .stdout(null())
        .stderr(null())
        .spawn()
        .context("failed to start the tiny service")?;
    Ok(())
}

/// `tiny-serve PORT PIDFILE`: answers every request with `ok` until it is killed.
pub(crate) fn serve(args: &[&str]) -> Result<()> {
    let [port, pidfile] = args else { bail!("usage: {SERVE} PORT PIDFILE") };
    let port: u16 = port.parse().with_context(|| format!("`{port}` is no port"))?;
    rustix::process::setsid().context("no session of its own")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("failed to listen on 127.0.0.1:{port}"))?;
    write_pidfile(Path::new(pidfile))?;
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        // A client that says nothing or goes away is its own loss.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    Ok(())
}

/// Written beside and renamed, so that nobody reads half a number.
fn write_pidfile(path: &Path) -> Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, std::process::id().to_string())
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("failed to write {}", path.display()))
}

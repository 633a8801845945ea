//! Looks at this host: which programs listen for connections, how they are found again, which file systems lie on
//! disks.
//!
//! It only reads `/proc` and `/run`, and asks listeners on this host for `GET /` when it may. Writing the keep
//! file is left to `wellkept_keep::discover`, so that it can be tested without a host.
#![forbid(unsafe_code)]

mod assemble;
mod mounts;
mod probe;
mod processes;

use std::time::Duration;

use wellkept_keep::discover::Discovered;

/// Longest time one HTTP question may take.
pub const PROBE_WITHIN: Duration = Duration::from_millis(300);

/// How to look.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Ask listeners for `GET /` (at most [`PROBE_WITHIN`] each) to learn whether they speak HTTP. Ports of well
    /// known other protocols are never asked.
    pub probe_http: bool,
    /// Processes to leave out, for example ourselves.
    pub leave_out: Vec<i32>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// For `wellkept_keep::discover::write`.
    pub observed: Discovered,
    /// Listening sockets whose process could not be seen: of other users, when we are not root, or of containers.
    pub unseen_listeners: usize,
}

/// The host could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} below /proc: {source}")]
pub struct DiscoverError {
    /// Which part.
    pub what: &'static str,
    /// Why.
    pub source: procfs::ProcError,
}

/// Looks at the host. Takes some ten milliseconds, with HTTP questions up to a few seconds.
///
/// # Errors
/// When `/proc` cannot be read. Single processes that end meanwhile or belong to others are left out.
pub fn host(options: &Options) -> Result<Found, DiscoverError> {
    let sockets =
        processes::listening().map_err(|source| DiscoverError { what: "the TCP sockets", source })?;
    let seen = processes::with_sockets(&sockets, &options.leave_out)
        .map_err(|source| DiscoverError { what: "the processes", source })?;
    let owned: std::collections::BTreeSet<u64> = seen.iter().flat_map(|p| p.inodes.iter().copied()).collect();
    let unseen_listeners = sockets.keys().filter(|inode| !owned.contains(inode)).count();
    let mut services = assemble::services(seen, &sockets, &processes::pidfiles());
    if options.probe_http {
        probe::ask_all(&mut services, PROBE_WITHIN);
    }
    let filesystems = mounts::on_disks().map_err(|source| DiscoverError { what: "the mounts", source })?;
    Ok(Found { observed: Discovered { services, filesystems }, unseen_listeners })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_of_this_host_is_found_and_its_keep_file_accepted() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("address");
        let found = host(&Options::default()).expect("look at this host");
        let mine = found.observed.services.iter().find(|s| s.listens.contains(&address));
        let mine = mine.unwrap_or_else(|| panic!("{address} is missing: {found:?}"));
        assert_eq!(std::path::Path::new(&mine.exe), std::env::current_exe().expect("our program"));
        let text = wellkept_keep::discover::write(&found.observed);
        wellkept_keep::parse("wellkept.yml", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }

    #[test]
    fn processes_that_are_left_out_are_not_found() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("address");
        let me = i32::try_from(std::process::id()).expect("pid");
        let found = host(&Options { probe_http: false, leave_out: vec![me] }).expect("look at this host");
        assert!(found.observed.services.iter().all(|s| !s.listens.contains(&address)));
    }
}

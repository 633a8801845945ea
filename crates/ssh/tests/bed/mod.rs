//! Real OpenSSH servers on loopback, each with keys and a folder of its own.
#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "each test binary uses a part of it; what cannot run says so"
)]

pub(crate) mod proxy;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use wellkept_ssh::hosts::store::HostKeys;
use wellkept_ssh::{
    CommandLine, ConnectError, Connection, HostName, Prompts, Ran, Target, Unattended, UserName,
};

/// A user with a password, in servers that were made with [`Sshd::with_people`].
pub(crate) const JANE: &str = "jane";
pub(crate) const JANES_PASSWORD: &str = "correct horse $7 'quoted' \\ battery";
pub(crate) const ROOTS_PASSWORD: &str = "root's own pass phrase";

/// An sshd that is started for each connection, as inetd would: no port is ever guessed or taken by others.
pub(crate) struct Sshd {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    children: Arc<Mutex<Vec<Child>>>,
    stop: Arc<AtomicBool>,
}

#[expect(clippy::disallowed_methods, reason = "a test wants certificates that are valid now")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

pub(crate) fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a test cannot run here, in the one place that all use.
pub(crate) fn needs_root(what: &str) -> bool {
    if !am_root() {
        println!("NOT RUN: {what} needs root, for users with passwords in a mount namespace of their own");
    }
    !am_root()
}

pub(crate) fn me() -> String {
    let out = Command::new("id").arg("-un").output().expect("id");
    String::from_utf8(out.stdout).expect("a name").trim().to_owned()
}

/// Runs a program in a folder and insists on success.
pub(crate) fn run(folder: &Path, argv: &[&str]) -> String {
    let (program, args) = argv.split_first().expect("a program");
    let out =
        Command::new(program).args(args).current_dir(folder).stdin(Stdio::null()).output().expect(program);
    assert!(out.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

pub(crate) fn keygen(folder: &Path, kind: &str, name: &str, passphrase: &str) {
    run(folder, &["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", name]);
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).expect("a file")
}

impl Sshd {
    /// A server that lets us in by the key `user_key` in its folder.
    pub(crate) fn start() -> Self {
        Self::with(&[], Ipv4Addr::LOCALHOST)
    }

    pub(crate) fn with(settings: &[&str], address: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().expect("temp");
        let mut text = usual(folder.path());
        // The first setting of a kind counts.
        text.insert_str(0, &settings.iter().map(|s| format!("{s}\n")).collect::<String>());
        Self::run(folder, &text, address, None)
    }

    /// A server in a mount namespace of its own, after `mounts`: lines of a shell, `$1` is the server's folder.
    pub(crate) fn with_mounts(settings: &[&str], mounts: &str, address: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().expect("temp");
        let mut text = usual(folder.path());
        text.insert_str(0, &settings.iter().map(|s| format!("{s}\n")).collect::<String>());
        Self::run(folder, &text, address, Some(mounts.to_owned()))
    }

    /// A server in a mount namespace of its own, where `jane` and `root` have passwords.
    pub(crate) fn with_people(settings: &[&str]) -> Self {
        Self::with_people_and_mounts(settings, "")
    }

    /// The same, after more mounts.
    pub(crate) fn with_people_and_mounts(settings: &[&str], mounts: &str) -> Self {
        let folder = tempfile::tempdir().expect("temp");
        people(folder.path());
        let mut text = usual(folder.path());
        text.insert_str(0, &settings.iter().map(|s| format!("{s}\n")).collect::<String>());
        Self::run(folder, &text, Ipv4Addr::LOCALHOST, Some(format!("{PEOPLE}\n{mounts}")))
    }

    /// A server and a target on it that is not root: for what OpenSSH does for others only.
    pub(crate) fn without_root() -> (Self, Target) {
        if !am_root() {
            let server = Self::start();
            let target = server.target();
            return (server, target);
        }
        let server = Self::with_people(&[]);
        let mut target = server.target();
        target.user = UserName::new(JANE).expect("a name");
        (server, target)
    }

    fn run(folder: tempfile::TempDir, config: &str, address: Ipv4Addr, mounts: Option<String>) -> Self {
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("mode");
        keygen(folder.path(), "ed25519", "host_key", "");
        keygen(folder.path(), "ed25519", "user_key", "");
        std::fs::copy(folder.path().join("user_key.pub"), folder.path().join("authorized_keys"))
            .expect("copy");
        std::fs::write(folder.path().join("sshd_config"), config).expect("write");
        if am_root() {
            // Where sshd puts itself before anybody is let in; Debian makes it when the service starts.
            std::fs::create_dir_all("/run/sshd").expect("create /run/sshd");
        }
        let listener = TcpListener::bind((address, 0)).expect("listen");
        let address = listener.local_addr().expect("address");
        let (children, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let server = Self { folder, address, children, stop };
        let (children, stop) = (Arc::clone(&server.children), Arc::clone(&server.stop));
        let path = server.folder.path().to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let child = serve(&path, stream.expect("accepted"), mounts.as_deref());
                children.lock().expect("nobody panics").push(child);
            }
        });
        server
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path at which whoever is logged in may write.
    pub(crate) fn open_path(&self, name: &str) -> PathBuf {
        let folder = self.path("open");
        std::fs::create_dir_all(&folder).expect("dir");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).expect("mode");
        folder.join(name)
    }

    /// The line that makes this server known under an address.
    pub(crate) fn known_line(&self, at: SocketAddr) -> String {
        let key = read(self.path("host_key.pub"));
        format!("[{}]:{} {key}", at.ip(), at.port())
    }

    /// Where it is, with its key known and our key offered.
    pub(crate) fn target(&self) -> Target {
        self.target_at(self.address)
    }

    pub(crate) fn target_at(&self, at: SocketAddr) -> Target {
        let known = self.path(&format!("known_{}", at.port()));
        std::fs::write(&known, self.known_line(at)).expect("write");
        let mut target = target(at);
        target.host_keys = HostKeys::file(known, false);
        target.identity.key_files = vec![self.path("user_key")];
        target
    }

    pub(crate) async fn connect(&self) -> Connection {
        open(&[self.target()]).await.expect("a connection")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("sshd.log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        for child in self.children.lock().expect("nobody panics").iter_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn target(at: SocketAddr) -> Target {
    let host = HostName::new(&at.ip().to_string()).expect("an address");
    Target::new(host, at.port(), UserName::new(&me()).expect("my name"))
}

pub(crate) async fn open(route: &[Target]) -> Result<Connection, ConnectError> {
    Connection::open(route, Arc::new(Unattended), now()).await
}

pub(crate) async fn open_with(
    target: Target,
    prompts: impl Prompts + 'static,
) -> Result<Connection, ConnectError> {
    Connection::open(&[target], Arc::new(prompts), now()).await
}

/// Runs a shell line with usual bounds.
pub(crate) async fn sh(connection: &Connection, line: &str) -> Ran {
    connection.exec(&wellkept_ssh::Command::new(CommandLine::line(line).expect("a line"))).await
}

fn usual(folder: &Path) -> String {
    let at = folder.display();
    format!(
        "HostKey {at}/host_key\nAuthorizedKeysFile {at}/authorized_keys\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nPidFile none\n\
         Subsystem sftp internal-sftp\nAllowTcpForwarding yes\nMaxSessions 10\nUseDNS no\nLogLevel VERBOSE\n"
    )
}

fn serve(folder: &Path, stream: TcpStream, mounts: Option<&str>) -> Child {
    let log =
        std::fs::File::options().create(true).append(true).open(folder.join("sshd.log")).expect("a log");
    let (input, output) = (stream.try_clone().expect("a socket"), stream);
    let config = folder.join("sshd_config");
    let mut command = if let Some(mounts) = mounts {
        let script = format!("set -e\n{mounts}\nexec /usr/sbin/sshd -i -e -f \"$2\"");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
            .arg(folder)
            .arg(&config);
        command
    } else {
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-i", "-e", "-f"]).arg(&config);
        command
    };
    command.stdin(OwnedFd::from(input)).stdout(OwnedFd::from(output)).stderr(log);
    command.spawn().expect("sshd (package openssh-server)")
}

/// Lines of a shell that put the files of [`people`] in their places; `$1` is their folder.
pub(crate) const PEOPLE: &str = "for f in passwd shadow group sudoers doas.conf; do\n\
     test -e /etc/$f || touch /etc/$f; mount --bind \"$1/etc/$f\" /etc/$f; done";

/// Own copies of the files that say who is who.
pub(crate) fn people(folder: &Path) {
    let etc = folder.join("etc");
    std::fs::create_dir(&etc).expect("dir");
    let hash = |password: &str| {
        let out = Command::new("perl")
            .args(["-e", "print crypt($ARGV[0], '$6$saltsalt$')", password])
            .output()
            .expect("perl");
        String::from_utf8(out.stdout).expect("a hash")
    };
    let home = folder.join("home");
    std::fs::create_dir(&home).expect("home");
    std::os::unix::fs::chown(&home, Some(4242), Some(4242)).expect("chown");
    let passwd = read("/etc/passwd");
    let jane = format!("{JANE}:x:4242:4242::{}:/bin/sh\n", home.display());
    std::fs::write(etc.join("passwd"), passwd + &jane).expect("passwd");
    std::fs::write(etc.join("group"), read("/etc/group") + JANE + ":x:4242:\n").expect("group");
    let others: String =
        read("/etc/shadow").lines().filter(|l| !l.starts_with("root:")).map(|l| format!("{l}\n")).collect();
    let shadow = format!(
        "root:{}:19000:0:99999:7:::\n{JANE}:{}:19000:0:99999:7:::\n{others}",
        hash(ROOTS_PASSWORD),
        hash(JANES_PASSWORD)
    );
    std::fs::write(etc.join("shadow"), shadow).expect("shadow");
    std::fs::write(
        etc.join("sudoers"),
        format!("Defaults !lecture\nroot ALL=(ALL) ALL\n{JANE} ALL=(ALL) ALL\n"),
    )
    .expect("sudoers");
    std::fs::write(etc.join("doas.conf"), format!("permit {JANE}\npermit nopass root\n")).expect("doas.conf");
    for (name, mode) in
        [("shadow", 0o600), ("sudoers", 0o440), ("doas.conf", 0o600), ("passwd", 0o644), ("group", 0o644)]
    {
        std::fs::set_permissions(etc.join(name), PermissionsExt::from_mode(mode)).expect("mode");
    }
}

//! Real servers for tests: each in a temporary folder, as an ordinary user, ended with the test. The tests of the hands
//! use this file as well.
#![allow(dead_code, reason = "each kind of test uses a part of it")]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest time that a server may take to do what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The account `nobody`: some servers refuse to run as root.
const NOBODY: u32 = 65_534;

/// A program that ends with this value.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn new(command: &mut Command) -> Self {
        let child = command.stderr(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|e| panic!("{command:?} must be installed for the tests: {e}")))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        use std::io::Write;
        writeln!(self.0.stdin.as_mut().expect("piped"), "{line}").expect("written");
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Lets it end its own children; what does not end within its time is killed when this is dropped.
    pub(crate) fn end(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let until = tokio::time::Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) && tokio::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that an ordinary user may use, short enough for the path of a socket.
pub(crate) fn folder() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().prefix("wk").tempdir_in("/tmp").expect("a temporary folder");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path(), Some(NOBODY), Some(NOBODY)).expect("owner");
    }
    dir
}

/// A command that runs as an ordinary user.
pub(crate) fn ordinary(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir("/").stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Runs a command to its end.
pub(crate) fn done(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?} must be installed for the tests: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until `try_it` gives something.
pub(crate) async fn wait_for<T>(what: &str, mut try_it: impl AsyncFnMut() -> Option<T>) -> T {
    let start = tokio::time::Instant::now();
    loop {
        if let Some(found) = try_it().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    socket.local_addr().expect("bound").port()
}

/// A PostgreSQL server that is reached by a socket in its folder.
pub(crate) struct Postgres {
    pub(crate) dir: PathBuf,
    server: Option<Running>,
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// A new and empty one.
    pub(crate) async fn start() -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let mut init = ordinary(program("initdb"));
        init.args(["-U", "postgres", "-A", "trust", "--no-sync", "-D"]).arg(&data);
        done(&mut init);
        Self::run(folder).await
    }

    /// A standby of this one.
    pub(crate) async fn standby(&self) -> Self {
        let folder = folder();
        let mut copy = ordinary(program("pg_basebackup"));
        copy.args(["-U", "postgres", "--no-sync", "-R", "-c", "fast", "-h"]).arg(&self.dir).arg("-D");
        done(copy.arg(folder.path().join("data")));
        Self::run(folder).await
    }

    async fn run(folder: tempfile::TempDir) -> Self {
        let dir = folder.path().to_path_buf();
        let mut server = Self { dir, server: None, _folder: folder };
        server.start_again().await;
        server
    }

    pub(crate) async fn start_again(&mut self) {
        let mut command = ordinary(program("postgres"));
        command.arg("-D").arg(self.dir.join("data")).arg("-k").arg(&self.dir);
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "autovacuum=off",
            "deadlock_timeout=50ms",
            "max_connections=30",
            "wal_retrieve_retry_interval=200ms",
            // It comes with the server; without the extension it tells nobody anything.
            "shared_preload_libraries=pg_stat_statements",
        ] {
            command.args(["-c", setting]);
        }
        self.server = Some(Running::new(command.stdout(Stdio::null())));
        wait_for("the server answers", async || self.try_sql("SELECT 1").then_some(())).await;
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn stop(&mut self) {
        let Some(server) = self.server.take() else { return };
        let pid = server.pid().to_string();
        done(Command::new("kill").args(["-INT", &pid]));
        let mut server = server;
        let _ = server.child().wait();
    }

    /// The client as it is declared.
    pub(crate) fn argv(&self) -> Vec<String> {
        let dir = self.dir.to_string_lossy();
        ["psql", "-AtqX", "-h", &dir, "-U", "postgres", "-d", "postgres"].map(str::to_owned).to_vec()
    }

    fn client(&self) -> Command {
        let argv = self.argv();
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]);
        command
    }

    fn try_sql(&self, statement: &str) -> bool {
        self.client().args(["-c", statement]).output().is_ok_and(|o| o.status.success())
    }

    /// Runs statements to their end.
    pub(crate) fn sql(&self, statements: &str) {
        done(self.client().args(["-v", "ON_ERROR_STOP=1", "-c", statements]));
    }

    /// The one value that a question gives.
    pub(crate) fn ask(&self, question: &str) -> String {
        let output = self.client().args(["-c", question]).output().expect("psql");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A session that does this and stays; it calls itself `application`.
    pub(crate) fn session(&self, application: &str, statements: &str) -> Running {
        let mut client = self.client();
        client.env("PGAPPNAME", application).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = Running::new(&mut client);
        session.say(&format!("{statements}\n\\echo done"));
        session
    }

    /// The same, when it has done all that.
    pub(crate) fn session_that_did(&self, application: &str, statements: &str) -> Running {
        use std::io::{BufRead, BufReader};
        let mut session = self.session(application, statements);
        let output = session.child().stdout.as_mut().expect("piped");
        let told = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "done");
        assert!(told, "the session has ended: {statements}");
        session
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A MariaDB server on a socket in its folder and a free port, with a log for replicas.
pub(crate) struct Mariadb {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    _server: Running,
    _folder: tempfile::TempDir,
}

impl Mariadb {
    /// A new and empty one.
    pub(crate) async fn start() -> Self {
        let (folder, port) = (folder(), free_port());
        let dir = folder.path().to_path_buf();
        let data = format!("--datadir={}", dir.join("data").display());
        // Names of its temporary files are made of its process number, which is not unique over namespaces.
        let mut init = ordinary("mariadb-install-db");
        done(init.env("TMPDIR", &dir).args([
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
            &data,
        ]));
        let mut command = ordinary("mariadbd");
        command.env("TMPDIR", &dir).args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve=0",
            "--log-bin=log",
        ]);
        command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=50", &data]);
        command.arg(format!("--server-id={port}")).arg(format!("--port={port}"));
        command.arg(format!("--socket={}", dir.join("s").display()));
        command.arg(format!("--pid-file={}", dir.join("pid").display())).stdout(Stdio::null());
        let server = Running::new(&mut command);
        let mariadb = Self { dir, port, _server: server, _folder: folder };
        let answers = || mariadb.client().args(["-e", "SELECT 1"]).output().is_ok_and(|o| o.status.success());
        wait_for("the server answers", async || answers().then_some(())).await;
        mariadb.sql("CREATE DATABASE shop");
        mariadb
    }

    /// The client as it is declared.
    pub(crate) fn argv(&self) -> Vec<String> {
        let socket = self.dir.join("s");
        let socket = socket.to_string_lossy();
        ["mariadb", "--no-defaults", "-BNqnf", "-u", "root", "-S", &socket].map(str::to_owned).to_vec()
    }

    fn client(&self) -> Command {
        let argv = self.argv();
        let mut command = Command::new(&argv[0]);
        // Not by force: a test must see what fails.
        command.args(argv[1..].iter().map(|a| if a == "-BNqnf" { "-BNqn" } else { a.as_str() }));
        command
    }

    /// Runs statements to their end.
    pub(crate) fn sql(&self, statements: &str) {
        let first = format!("CREATE DATABASE IF NOT EXISTS shop; USE shop; {statements}");
        let text = if statements.starts_with("CREATE DATABASE") { statements } else { &first };
        done(self.client().args(["-e", text]));
    }

    /// The one value that a statement gives. The server renews what it says of transactions only when nobody has asked for
    /// a tenth of a second.
    pub(crate) fn ask(&self, statement: &str) -> String {
        std::thread::sleep(Duration::from_millis(150));
        let output = self.client().args(["shop", "-e", statement]).output().expect("the client runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// A session of this account that did this and stays.
    pub(crate) fn session_of_that_did(&self, account: &str, statements: &str) -> Running {
        self.did(&["-u", account], statements)
    }

    /// A session that does this and stays.
    pub(crate) fn session(&self, statements: &str) -> Running {
        self.session_with(&[], statements)
    }

    fn session_with(&self, words: &[&str], statements: &str) -> Running {
        let mut client = self.client();
        client.args(words).arg("shop").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = Running::new(&mut client);
        session.say(&format!("{statements}\nSELECT 'done';"));
        session
    }

    /// The same, when it has done all that.
    pub(crate) fn session_that_did(&self, statements: &str) -> Running {
        self.did(&[], statements)
    }

    fn did(&self, words: &[&str], statements: &str) -> Running {
        use std::io::{BufRead, BufReader};
        let mut session = self.session_with(words, statements);
        let output = session.child().stdout.as_mut().expect("piped");
        let told = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "done");
        assert!(told, "the session has ended: {statements}");
        session
    }
}

/// An nginx on a free port with one location, as an ordinary user.
pub(crate) struct Nginx {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    server: Running,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        self.server.end();
    }
}

impl Nginx {
    /// `location`: what stands in its one location.
    pub(crate) async fn start(location: &str) -> Self {
        let (folder, port) = (folder(), free_port());
        let dir = folder.path().to_path_buf();
        write_site(&dir, port, location);
        let mut command = ordinary("nginx");
        command.arg("-e").arg(dir.join("error.log")).arg("-c").arg(dir.join("nginx.conf"));
        let server = Running::new(command.stdout(Stdio::null()));
        let nginx = Self { dir, port, server, _folder: folder };
        wait_for("the proxy answers", async || nginx.get().contains("HTTP/1.1").then_some(())).await;
        nginx
    }

    /// Writes another location and has it loaded.
    pub(crate) fn load(&self, location: &str) {
        write_site(&self.dir, self.port, location);
        let mut reload = ordinary("nginx");
        reload.arg("-e").arg(self.dir.join("error.log")).arg("-c").arg(self.dir.join("nginx.conf"));
        done(reload.args(["-s", "reload"]));
    }

    /// One answer, empty when there is none.
    pub(crate) fn get(&self) -> String {
        use std::io::{Read, Write};
        let mut answer = String::new();
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }
}

fn write_site(dir: &Path, port: u16, location: &str) {
    let d = dir.display();
    let text = format!(
        "daemon off; worker_processes 1; pid {d}/pid; error_log {d}/error.log;\nevents {{}}\nhttp {{ access_log off; \
         client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; \
         scgi_temp_path {d}/s; server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}\n"
    );
    std::fs::write(dir.join("nginx.conf"), text).expect("written");
}

/// A Redis server on a free port.
pub(crate) struct Redis {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    password: Option<String>,
    _server: Running,
    _folder: tempfile::TempDir,
}

impl Redis {
    /// A new and empty one; `more` are further arguments.
    pub(crate) async fn start(more: &[&str]) -> Self {
        let (folder, port) = (folder(), free_port());
        let dir = folder.path().to_path_buf();
        let mut command = ordinary("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes", "--port"]);
        command.arg(port.to_string()).arg("--dir").arg(&dir).args(more).stdout(Stdio::null());
        let server = Running::new(&mut command);
        let password = more.iter().position(|m| *m == "--requirepass").map(|i| more[i + 1].to_owned());
        let redis = Self { dir, port, password, _server: server, _folder: folder };
        wait_for("the server answers", async || (redis.try_run(&["PING"]).trim() == "PONG").then_some(()))
            .await;
        redis
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn try_run(&self, words: &[&str]) -> String {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &self.port.to_string(), "--no-auth-warning"]);
        client.args(self.password.iter().flat_map(|p| ["-a", p])).args(words);
        client.output().map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
    }

    /// Runs one command; its answer.
    pub(crate) fn run(&self, words: &[&str]) -> String {
        let answer = self.try_run(words);
        assert!(!answer.starts_with("ERR") && !answer.is_empty(), "{words:?}: {answer}");
        answer.trim_end().to_owned()
    }
}

/// Programs of the server lie beside the path on Debian.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|v| v.path().join("bin").join(name)).filter(|p| p.exists()).max();
    found.unwrap_or_else(|| name.into())
}

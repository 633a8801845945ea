//! `~/.ssh/config` means to us what it means to the real client: compared with `ssh -G`, case by case.

mod bed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use bed::me;
use wellkept_ssh::config::disk::Disk;
use wellkept_ssh::config::{Asked, Caller, ConfigError, Route, Settings, SshConfig};

fn home() -> PathBuf {
    // The real client asks the same source, not $HOME.
    let out = Command::new("getent").args(["passwd", &me()]).output().expect("getent");
    let line = String::from_utf8(out.stdout).expect("text");
    line.trim().split(':').nth(5).expect("a home").into()
}

fn caller() -> Caller {
    let variables = BTreeMap::from([("KEYS".to_owned(), "/keys".to_owned())]);
    Caller { user: me(), home: home(), agent: Some("/agent".into()), variables }
}

struct Written {
    folder: tempfile::TempDir,
}

impl Written {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("temp");
        let text = text.replace("{here}", &folder.path().to_string_lossy());
        std::fs::write(folder.path().join("config"), text).expect("write");
        Self { folder }
    }

    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).expect("write");
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn config(&self) -> Result<SshConfig, ConfigError> {
        SshConfig::read(&Disk, &[(self.path(), home().join(".ssh"))], &home())
    }

    fn settings(&self, host: &str) -> Result<Settings, ConfigError> {
        self.config()?.settings(&asked(host), &caller())
    }

    fn route(&self, host: &str) -> Result<Route, ConfigError> {
        self.config()?.route(&asked(host), &caller())
    }

    /// What `ssh -G` prints: keyword and the rest of each line.
    fn ssh(&self, host: &str) -> Result<Vec<(String, String)>, String> {
        let mut command = Command::new("ssh");
        command.arg("-G").arg("-F").arg(self.path()).arg(host).env("KEYS", "/keys");
        let out = command.output().expect("ssh");
        if !out.status.success() {
            return Err(String::from_utf8_lossy(&out.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        Ok(text
            .lines()
            .filter_map(|l| l.split_once(' '))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect())
    }
}

fn asked(host: &str) -> Asked {
    let (user, host) = host.rsplit_once('@').map_or((None, host), |(u, h)| (Some(u.to_owned()), h));
    Asked { host: host.to_owned(), user, port: None }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

/// Ours, in the words of `ssh -G`, for what both print.
fn ours(settings: &Settings) -> BTreeMap<&'static str, String> {
    let mut said = BTreeMap::from([
        ("hostname", settings.host.to_string()),
        ("user", settings.user.to_string()),
        ("port", settings.port.to_string()),
        ("identitiesonly", yes(settings.identities_only)),
        ("hashknownhosts", yes(settings.hash_known_hosts)),
        ("passwordauthentication", yes(settings.password)),
        ("connecttimeout", settings.connect_timeout.map_or("none".into(), |t| t.as_secs().to_string())),
        ("serveraliveinterval", settings.keep_alive.map_or("0".into(), |t| t.as_secs().to_string())),
        ("serveralivecountmax", settings.keep_alive_max.unwrap_or(3).to_string()),
        ("addressfamily", format!("{:?}", settings.family).to_lowercase()),
        ("userknownhostsfile", paths(&settings.user_known_hosts)),
    ]);
    if let Some(alias) = &settings.key_alias {
        said.insert("hostkeyalias", alias.to_string());
    }
    let jumps: Vec<String> = settings
        .jumps
        .iter()
        .map(|j| {
            let user = j.user.as_ref().map(|u| format!("{u}@")).unwrap_or_default();
            let port = j.port.map(|p| format!(":{p}")).unwrap_or_default();
            format!("{user}{}{port}", j.host)
        })
        .collect();
    if !jumps.is_empty() {
        said.insert("proxyjump", jumps.join(","));
    }
    said
}

fn paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    shown.join(" ")
}

/// Both read the file, ask for the host, and say the same.
fn check(written: &Written, hosts: &[&str]) {
    for host in hosts {
        let theirs = written.ssh(host).expect("ssh accepts it");
        let settings = written.settings(host).expect("we accept it");
        for (keyword, value) in ours(&settings) {
            let real = theirs.iter().find(|(k, _)| k == keyword).map(|(_, v)| v.as_str());
            assert_eq!(Some(value.as_str()), real, "{keyword} of {host}");
        }
        let jump = theirs.iter().any(|(k, v)| k == "proxyjump" && v != "none");
        assert_eq!(jump, !settings.jumps.is_empty(), "{host}: {theirs:?}");
        // `ssh -G` leaves tokens and `~` in the names of keys; where there are none, the lists are the same.
        for (keyword, files) in
            [("identityfile", &settings.key_files), ("certificatefile", &settings.certificate_files)]
        {
            let real: Vec<&str> =
                theirs.iter().filter(|(k, _)| k == keyword).map(|(_, v)| v.as_str()).collect();
            if real.iter().all(|f| f.starts_with('/') && !f.contains('%')) {
                let got: Vec<String> = files.iter().map(|p| p.display().to_string()).collect();
                assert_eq!(got, real, "{keyword} of {host}");
            }
        }
    }
}

#[test]
fn the_first_value_wins_and_keys_add_up() {
    let written = Written::new(
        "Host db? !db9\n  HostName %h.example.org\n  User jane\n  IdentityFile /keys/db\n\
         Host *\n  User nobody\n  Port 2222\n  IdentityFile /keys/all\n  IdentityFile /keys/db\n\
         Host db1\n  Port 1\n  CertificateFile /keys/db-cert.pub\n",
    );
    check(&written, &["db1", "db9", "db10", "web", "root@db1"]);
}

#[test]
fn spelling_quotes_and_equals_signs_are_free() {
    let written = Written::new(
        "  hOsT=\"a\" 'b'\n\tUSER = \"jane\" # why\n  port=\"22\"\n IdentityFile \"/keys/with blank\"\n# Host c\n\n\
         Host c\n   UserKnownHostsFile /a \"/b c\"\n",
    );
    check(&written, &["a", "b"]);
    let settings = written.settings("c").expect("fine");
    assert_eq!(settings.user_known_hosts, [PathBuf::from("/a"), PathBuf::from("/b c")]);
}

#[test]
fn match_blocks_follow_host_user_and_order() {
    let written = Written::new(
        "Match host *.example.org user jane\n  Port 1001\n\
         Match originalhost short\n  HostName long.example.org\n  User jane\n\
         Match host long.example.org\n  Port 1002\n\
         Match !host long.example.org user jane\n  Port 1003\n\
         Match localuser nobody-here\n  Port 1004\n\
         Match all\n  ServerAliveInterval 7\n  ConnectTimeout 1m\n\
         Match canonical all\n  Port 1005\n",
    );
    check(&written, &["jane@x.example.org", "short", "jane@other", "other", "x.example.org"]);
}

#[test]
fn a_final_match_sees_what_the_first_pass_found() {
    let written = Written::new(
        "Match final host real.example.org\n  Port 1001\n\
         Host alias\n  HostName real.example.org\n\
         Match final all\n  User late\n",
    );
    check(&written, &["alias", "other"]);
}

#[test]
fn includes_take_part_where_they_stand() {
    let written = Written::new(
        "Host a\n  Include {here}/inner*\n  Port 1001\nHost b\n  User after\nInclude {here}/missing\nHost *\n  Port 1002\n",
    )
    .with("inner1", "User first\nHost b\n  User never\n")
    .with("inner2", "User second\nServerAliveCountMax 9\nHost a\n  ConnectTimeout 5\n");
    check(&written, &["a", "b", "c"]);
}

#[test]
fn jump_hosts_and_their_absence_are_the_same() {
    let written = Written::new(
        "Host direct\n  ProxyJump none\nHost two\n  ProxyJump jane@gate:2222,ssh://second:23\n\
         Host late\n  ProxyCommand none\n  ProxyJump never\nHost *\n  ProxyJump gate\n",
    );
    check(&written, &["two", "other"]);
    for host in ["direct", "late"] {
        assert!(written.settings(host).expect("fine").jumps.is_empty(), "{host}");
    }
}

#[test]
fn what_both_know_is_left_out_and_told_and_the_rest_is_the_same() {
    let written = Written::new(
        "IgnoreUnknown Fancy*\nFancyThing 1\nHost a\n  ForwardAgent yes\n  Ciphers aes128-ctr\n  HostKeyAlias alias\n\
         HashKnownHosts yes\n  AddressFamily inet6\n  PasswordAuthentication no\n  IdentitiesOnly yes\n\
         StrictHostKeyChecking no\nUserKnownHostsFile ~/.ssh/other\n",
    );
    check(&written, &["a", "b"]);
    let told: Vec<String> =
        written.settings("a").expect("fine").notices.into_iter().map(|n| n.keyword).collect();
    assert_eq!(told, ["ignoreunknown", "forwardagent", "ciphers", "stricthostkeychecking"]);
}

#[test]
fn tokens_homes_and_variables_are_put_in() {
    let written = Written::new(
        "Host short\n HostName long.example.org\n User jane\n Port 77\n HostKeyAlias kept\n\
         IdentityFile ~/k/%n-%h-%p-%r-%u-%k-100%%\n IdentityFile ${KEYS}/x\n IdentityAgent ~/agent-%r\n",
    );
    let settings = written.settings("short").expect("fine");
    let (home, me) = (home(), me());
    let first = home.join(format!("k/short-long.example.org-77-jane-{me}-kept-100%"));
    assert_eq!(settings.key_files, [first, PathBuf::from("/keys/x")]);
    assert_eq!(settings.agent, Some(home.join("agent-jane")));
    let target = settings.target();
    assert_eq!(target.known_as.entry(), "kept", "an alias stands in the file without the port");
}

#[test]
fn both_refuse_what_cannot_be_read() {
    for text in [
        "Hostt a\n",
        "Host a\n  Port\n",
        "Host a\n  User \"jane\n",
        "Host a\n  User jane doe\n",
        "Match\n",
        "Match colour blue\n",
        "Match host\n",
    ] {
        let written = Written::new(text);
        assert!(written.ssh("a").is_err(), "ssh accepts {text:?}");
        let error = written.settings("a").expect_err(text);
        assert!(error.to_string().contains("config:"), "{error}");
    }
    for text in ["Port 0\n", "Port x\n", "ConnectTimeout x\n", "AddressFamily x\n", "IdentitiesOnly x\n"] {
        let written = Written::new(text);
        assert!(written.ssh("a").is_err() && written.settings("a").is_err(), "{text}");
    }
}

#[test]
fn what_must_not_be_left_out_is_refused_for_the_hosts_it_is_about() {
    for (line, part) in [
        ("ProxyCommand nc %h %p", "ProxyJump"),
        ("RevokedHostKeys /x", "@revoked"),
        ("CanonicalizeHostname yes", "whole names"),
        ("IdentityFile ~other/key", "homes of other users"),
        ("IdentityFile /%C", "`%C`"),
        ("IdentityFile ${NOT_SET_AT_ALL}/x", "NOT_SET_AT_ALL"),
        ("HostName -oProxyCommand=id", "begins with `-`"),
        ("HostName a;b", "';'"),
    ] {
        let written = Written::new(&format!("Host a\n  {line}\n"));
        let error = written.settings("a").expect_err(line).to_string();
        assert!(error.contains(part) && error.contains(":2: "), "{error}");
        written.settings("b").expect("another host");
    }
    let written = Written::new("Match host a exec \"touch /tmp/x\"\n  Port 1\nHost *\n  Port 2\n");
    assert!(written.settings("a").expect_err("it decides").to_string().contains("Match exec"));
    assert_eq!(written.settings("b").expect("it does not").port, 2);
}

#[test]
fn a_way_goes_over_each_jump_host_with_its_own_settings() {
    let written = Written::new(
        "Host last\n  ProxyJump first,second\n  User l\nHost first\n  ProxyJump gate\n  User f\nHost second\n  User s\n\
         ProxyJump nowhere\nHost gate\n  User g\n  Port 2200\nHost circle\n  ProxyJump round\nHost round\n  ProxyJump circle\n",
    );
    let route = written.route("last").expect("a way");
    let way: Vec<String> = route.targets.iter().map(|t| t.shown()).collect();
    assert_eq!(way, ["g@[gate]:2200", "f@first", "s@second", "l@last"]);
    assert!(written.route("circle").expect_err("endless").to_string().contains("in a circle"));
}

#[test]
fn bounds_hold_for_includes_and_files_of_others() {
    let written = Written::new("Include {here}/config\n");
    let error = written.config().expect_err("it includes itself").to_string();
    assert!(error.contains("16 deep"), "{error}");

    use std::os::unix::fs::PermissionsExt;
    let written = Written::new("Port 1\n");
    std::fs::set_permissions(written.path(), PermissionsExt::from_mode(0o666)).expect("mode");
    let error = written.config().expect_err("anybody may have written it").to_string();
    assert!(error.contains("may write it"), "{error}");
    let none =
        SshConfig::read(&Disk, &[("/nowhere/config".into(), "/".into())], Path::new("/")).expect("empty");
    assert_eq!(none.settings(&asked("a"), &caller()).expect("defaults").port, 22);
}

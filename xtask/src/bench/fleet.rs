//! Fleet: playbooks beside ansible-core, with and without pipelining, and with mitogen, over the same servers.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::table::{Table, cell};
use super::{Bed, Report};
use crate::{clock, process};

/// Hosts: loopback addresses with a server each.
const HOSTS: usize = 10;
/// Tasks of the first case.
const COMMANDS: usize = 100;
/// Tasks of the second case.
const FILES: usize = 20;
/// The best of so many rounds counts; peers that take half a minute have one.
const ROUNDS: usize = 3;
/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the peers are made of; installed by `--install`.
const PEERS: [&str; 2] = ["ansible-core", "mitogen"];

struct Stage {
    folder: PathBuf,
    _servers: Vec<process::Beside>,
}

/// Who plays.
struct Player {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    settings: Vec<(&'static str, String)>,
    rounds: usize,
}

pub(super) fn run(bed: &Bed) -> Result<Report> {
    let mut report = Report {
        how: format!(
            "Real OpenSSH servers on {HOSTS} loopback addresses, one key, no other load. Seconds of the clock from the \
             start of the program to its end, the best of {ROUNDS} rounds (of one round for ansible-core without \
             mitogen). The helper and the peers' connections are made anew in each round; our binary is there already \
             from the first round on."
        ),
        table: Table::new(&["", "100 commands, 1 host", "facts and 20 files, 10 hosts", "again, unchanged"]),
        versions: vec!["wellkept (this tree)".into()],
        ..Report::default()
    };
    if !Path::new("/usr/sbin/sshd").exists() {
        report.skipped.push("there is no /usr/sbin/sshd; `apt-get install openssh-server`".to_owned());
        return Ok(report);
    }
    let product = bed.product()?;
    let stage = stage(bed)?;
    let mut players = vec![ours(&product, &stage)];
    match peers(bed)? {
        None => {
            report.skipped.push("ansible-core is not there; `cargo xtask bench fleet --install`".to_owned())
        }
        Some(venv) => {
            report.versions.extend(process::version(
                &venv.join("bin/ansible-playbook").display().to_string(),
                "--version",
            ));
            players.extend(theirs(&venv, &stage)?);
        }
    }
    let mut figures = BTreeMap::new();
    for player in &players {
        let hundred = best(player, &stage, "hundred.yml")?;
        let (files, again) = files(player, &stage)?;
        let seconds = |value: f64| cell(Some(value), 2, "s");
        report.table.row([player.name.to_owned(), seconds(hundred), seconds(files), seconds(again)]);
        figures.insert(player.name, json!({"hundred_s": hundred, "files_s": files, "again_s": again}));
    }
    report.figures = json!(figures);
    Ok(report)
}

fn stage(bed: &Bed) -> Result<Stage> {
    let folder = bed.folder("fleet")?;
    let here = |name: &str| folder.join(name);
    for key in ["host_key", "user_key"] {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(here(key));
        process::output(&mut command)?;
    }
    for name in ["home/.ssh", "cache", "out"] {
        std::fs::create_dir_all(here(name)).with_context(|| format!("failed to create {name}"))?;
    }
    if rustix::process::geteuid().is_root() {
        std::fs::create_dir_all("/run/sshd").context("failed to create /run/sshd")?;
    }
    let host_key = std::fs::read_to_string(here("host_key.pub"))?;
    let (mut known, mut hosts, mut servers) = (String::new(), "[all]\n".to_owned(), Vec::new());
    for n in 1..=HOSTS {
        let address = format!("127.0.0.{n}");
        let port = TcpListener::bind((address.as_str(), 0))?.local_addr()?.port();
        servers.push(server(&folder, &address, port)?);
        known.push_str(&format!("[{address}]:{port} {host_key}"));
        hosts.push_str(&format!("h{n} ansible_host={address} ansible_port={port}\n"));
    }
    let key = here("user_key");
    hosts.push_str(&format!(
        "[all:vars]\nansible_ssh_private_key_file={}\nansible_python_interpreter=/usr/bin/python3\n",
        key.display()
    ));
    std::fs::write(here("home/.ssh/known_hosts"), &known)?;
    std::fs::write(here("hosts"), hosts)?;
    books(&folder)?;
    Ok(Stage { folder, _servers: servers })
}

fn server(folder: &Path, address: &str, port: u16) -> Result<process::Beside> {
    let at = folder.display();
    let config = folder.join(format!("sshd_{address}"));
    let text = format!(
        "Port {port}\nListenAddress {address}\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/user_key.pub\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nUseDNS no\nMaxSessions 20\n\
         Subsystem sftp internal-sftp\nSetEnv XDG_CACHE_HOME={at}/cache\n"
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(&config);
    let running = process::Beside::start_quietly(&mut command, folder.join(format!("log_{address}")))?;
    let listens = clock::wait_for(PATIENCE, Duration::from_millis(20), || {
        std::net::TcpStream::connect((address, port)).ok()
    });
    ensure!(listens.is_some(), "the server on {address} does not listen");
    Ok(running)
}

fn books(folder: &Path) -> Result<()> {
    let mut hundred = "- hosts: h1\n  gather_facts: false\n  tasks:\n".to_owned();
    hundred.push_str(&"    - command: /bin/true\n".repeat(COMMANDS));
    let mut files = "- hosts: all\n  tasks:\n".to_owned();
    for n in 0..FILES {
        files.push_str(&format!(
            "    - copy: {{content: \"{n} {{{{ ansible_facts.os_family }}}}\\n\", dest: \"{}/out/{{{{ inventory_hostname }}}}-{n}\", mode: '0644'}}\n",
            folder.display()
        ));
    }
    std::fs::write(folder.join("hundred.yml"), hundred)?;
    Ok(std::fs::write(folder.join("files.yml"), files)?)
}

fn ours(product: &Path, stage: &Stage) -> Player {
    Player {
        name: "wellkept",
        program: product.to_owned(),
        arguments: vec!["play".to_owned()],
        settings: vec![("HOME", stage.folder.join("home").display().to_string())],
        rounds: ROUNDS,
    }
}

fn theirs(venv: &Path, stage: &Stage) -> Result<Vec<Player>> {
    let home = stage.folder.join("home").display().to_string();
    let known =
        format!("-o UserKnownHostsFile={home}/.ssh/known_hosts -o ControlMaster=auto -o ControlPersist=60s");
    let player = |name, more: &[(&'static str, String)], rounds| {
        let mut settings = vec![
            ("HOME", home.clone()),
            ("ANSIBLE_SSH_ARGS", known.clone()),
            ("ANSIBLE_NOCOLOR", "1".to_owned()),
        ];
        settings.extend_from_slice(more);
        Player { name, program: venv.join("bin/ansible-playbook"), arguments: Vec::new(), settings, rounds }
    };
    let mut script = Command::new(venv.join("bin/python"));
    script.args(["-c", "import ansible_mitogen, os; print(os.path.dirname(ansible_mitogen.__file__))"]);
    let mitogen = format!("{}/plugins/strategy", process::output(&mut script)?);
    let linear = ("ANSIBLE_STRATEGY", "mitogen_linear".to_owned());
    Ok(vec![
        player("ansible-core", &[], 1),
        player("ansible-core, pipelining", &[("ANSIBLE_PIPELINING", "1".to_owned())], 1),
        player("ansible-core, mitogen", &[linear, ("ANSIBLE_STRATEGY_PLUGINS", mitogen)], ROUNDS),
    ])
}

/// The virtual environment with the peers; made by `--install`, kept for the next time.
fn peers(bed: &Bed) -> Result<Option<PathBuf>> {
    let venv = bed.workspace.target.join("bench-fleet-venv");
    if venv.join("bin/ansible-playbook").is_file() {
        return Ok(Some(venv));
    }
    if !bed.options.install {
        return Ok(None);
    }
    process::output(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    process::output(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(PEERS))?;
    Ok(Some(venv))
}

fn once(player: &Player, stage: &Stage, book: &str) -> Result<f64> {
    let mut command = Command::new(&player.program);
    command.current_dir(&stage.folder).args(&player.arguments).args(["-i", "hosts", "-f", "10", book]);
    command.envs(player.settings.iter().map(|(name, value)| (*name, value.as_str())));
    let begun = clock::now();
    let said = process::output(&mut command)?;
    let took = begun.elapsed().as_secs_f64();
    ensure!(said.contains("failed=0"), "{} did not play {book}: {said}", player.name);
    Ok(took)
}

fn best(player: &Player, stage: &Stage, book: &str) -> Result<f64> {
    // Once without counting: programs and helpers are read from the disk and sent.
    if player.rounds > 1 {
        once(player, stage, book)?;
    }
    let mut best = f64::MAX;
    for _ in 0..player.rounds {
        best = best.min(once(player, stage, book)?);
    }
    Ok(best)
}

/// The case with files, each round from none; and the same again with nothing to change.
fn files(player: &Player, stage: &Stage) -> Result<(f64, f64)> {
    let out = stage.folder.join("out");
    let (mut first, mut again) = (f64::MAX, f64::MAX);
    for _ in 0..player.rounds {
        std::fs::remove_dir_all(&out).context("the files of the round before")?;
        std::fs::create_dir_all(&out)?;
        first = first.min(once(player, stage, "files.yml")?);
        again = again.min(once(player, stage, "files.yml")?);
    }
    Ok((first, again))
}

//! Fleet: playbooks beside ansible-core, with and without pipelining, and with mitogen, over the same servers.

mod books;
mod stage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::procstat::Usage;
use super::table::{Table, cell};
use super::{Bed, Report, venv};
use crate::{clock, process};
use stage::Stage;

/// The best of so many rounds counts; peers that take half a minute have one.
const ROUNDS: usize = 3;
/// Between two looks at a running program.
const LOOK: Duration = Duration::from_millis(10);
/// What the peers are made of; installed by `--install`.
const PEERS: [&str; 2] = ["ansible-core", "mitogen"];

/// Who plays.
struct Player {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    settings: Vec<(&'static str, String)>,
    rounds: usize,
}

/// What a play took.
#[derive(Debug, Clone, Copy)]
struct Took {
    seconds: f64,
    /// CPU seconds of the program that was started, and of those that it waited for.
    own_cpu: f64,
    /// CPU seconds of the servers with everything that they started.
    target_cpu: f64,
    /// The most memory that the program that was started had, MiB.
    peak_mib: f64,
}

/// A case: its playbook, what is done before each round, and what its rows are called.
struct Case {
    book: &'static str,
    hosts: &'static str,
    forks: &'static str,
    fresh: bool,
    name: &'static str,
}

const CASES: &[Case] = &[
    Case { book: "hundred.yml", hosts: "hosts", forks: "10", fresh: false, name: "100 commands, 1 host" },
    Case {
        book: "files.yml",
        hosts: "hosts",
        forks: "10",
        fresh: true,
        name: "facts and 20 files, 10 hosts",
    },
    Case { book: "files.yml", hosts: "hosts", forks: "10", fresh: false, name: "the same again, unchanged" },
    Case { book: "role.yml", hosts: "hosts", forks: "10", fresh: true, name: "a role of 30 tasks, 1 host" },
    Case { book: "role.yml", hosts: "hosts", forks: "10", fresh: false, name: "that role again, unchanged" },
];
/// Only ours: many hosts, each with a connection of its own.
const MANY: Case = Case {
    book: "many.yml",
    hosts: "many",
    forks: "50",
    fresh: false,
    name: "10 commands, 200 hosts, 50 at once",
};

pub(super) fn run(bed: &Bed) -> Result<Report> {
    let mut report = Report {
        how: format!(
            "Real OpenSSH servers on {} loopback addresses, one key, no other load. Seconds of the clock from the start of \
             the program to its end, the best of {ROUNDS} rounds (of one round for ansible-core without mitogen). The \
             helper and the connections of mitogen are made anew in each round, those of ansible-core are kept for a \
             minute; our binary is there already from the first round on. CPU is that of the servers with everything \
             that they start, and of the program on the controller with what it waits for.",
            stage::HOSTS
        ),
        versions: vec!["wellkept (this tree)".into()],
        ..Report::default()
    };
    if !Path::new("/usr/sbin/sshd").exists() {
        report.skipped.push("there is no /usr/sbin/sshd; `apt-get install openssh-server`".to_owned());
        return Ok(report);
    }
    let product = bed.product()?;
    let stage = Stage::new(bed)?;
    let mut players = vec![ours(&product, &stage)];
    match venv::of(bed, "fleet", &PEERS)? {
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
    measure(&players, &stage, &mut report)?;
    Ok(report)
}

fn measure(players: &[Player], stage: &Stage, report: &mut Report) -> Result<()> {
    let mut head = vec![""];
    head.extend(players.iter().map(|player| player.name));
    report.table = Table::new(&head);
    let mut figures = BTreeMap::new();
    for case in CASES {
        let took = players.iter().map(|player| best(player, stage, case)).collect::<Result<Vec<_>>>()?;
        rows(&mut report.table, case.name, &took);
        for (player, took) in players.iter().zip(&took) {
            let name = format!("{}: {}", player.name, case.name);
            // Some peers take half an hour in all; what is known should not be lost with the rest.
            eprintln!("{name}: {}", told(took));
            figures.insert(name, told(took));
        }
    }
    let Some(ours) = players.first() else { return Ok(()) };
    let took = best(ours, stage, &MANY)?;
    rows(&mut report.table, MANY.name, &[took]);
    figures.insert(format!("{}: {}", ours.name, MANY.name), told(&took));
    report.figures = json!(figures);
    Ok(())
}

fn told(took: &Took) -> serde_json::Value {
    json!({"seconds": took.seconds, "own_cpu_s": took.own_cpu, "target_cpu_s": took.target_cpu,
        "peak_mib": took.peak_mib})
}

fn rows(table: &mut Table, name: &str, took: &[Took]) {
    let mut row = |what: &str, places: usize, unit: &str, get: &dyn Fn(&Took) -> f64| {
        let cells = took.iter().map(|one| cell(Some(get(one)), places, unit));
        table.row(std::iter::once(format!("{name}{what}")).chain(cells));
    };
    row("", 2, "s", &|took| took.seconds);
    row(", CPU of the hosts", 2, "s", &|took| took.target_cpu);
    row(", CPU of the controller", 2, "s", &|took| took.own_cpu);
    row(", memory of the controller", 0, "MiB", &|took| took.peak_mib);
}

fn ours(product: &Path, stage: &Stage) -> Player {
    Player {
        name: "wellkept",
        program: product.to_owned(),
        arguments: vec!["play".to_owned()],
        settings: vec![("HOME", stage.home())],
        rounds: ROUNDS,
    }
}

fn theirs(venv: &Path, stage: &Stage) -> Result<Vec<Player>> {
    let home = stage.home();
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
        player("with pipelining", &[("ANSIBLE_PIPELINING", "1".to_owned())], 1),
        player("with mitogen", &[linear, ("ANSIBLE_STRATEGY_PLUGINS", mitogen)], ROUNDS),
    ])
}

/// One play. The most memory is read while it runs; its last milliseconds are not seen.
fn once(player: &Player, stage: &Stage, case: &Case) -> Result<Took> {
    if case.fresh {
        stage.clear()?;
    }
    let out = stage.path("said");
    let mut command = Command::new(&player.program);
    command.current_dir(stage.path("")).args(&player.arguments);
    command.args(["-i", case.hosts, "-f", case.forks, case.book]);
    command.envs(player.settings.iter().map(|(name, value)| (*name, value.as_str())));
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&out)?).stderr(Stdio::inherit());
    let (own, target) = (Usage::read(std::process::id())?.cpu_seconds, stage.settled_cpu_seconds()?);
    let begun = clock::now();
    let mut child = command.spawn().with_context(|| format!("failed to start {}", player.name))?;
    let mut peak_kib = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak_kib = peak_kib.max(stage::peak_kib(child.id()));
        std::thread::sleep(LOOK);
    };
    let seconds = begun.elapsed().as_secs_f64();
    let said = std::fs::read_to_string(&out)?;
    let well = status.success() && said.contains("failed=0") && !said.contains("unreachable=1");
    ensure!(well, "{} did not play {}: {said}", player.name, case.book);
    Ok(Took {
        seconds,
        own_cpu: Usage::read(std::process::id())?.cpu_seconds - own,
        target_cpu: stage.settled_cpu_seconds()? - target,
        peak_mib: peak_kib as f64 / 1024.0,
    })
}

fn best(player: &Player, stage: &Stage, case: &Case) -> Result<Took> {
    // Once without counting: programs and helpers are read from the disk and sent.
    if player.rounds > 1 {
        once(player, stage, case)?;
    }
    let mut best = once(player, stage, case)?;
    for _ in 1..player.rounds {
        let next = once(player, stage, case)?;
        if next.seconds < best.seconds {
            best = next;
        }
    }
    Ok(best)
}

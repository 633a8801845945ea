//! `wellkept play`: ansible-playbook's options, output and exit codes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use clap::Args;
use wellkept_fleet::journal::{self, Journal};
use wellkept_fleet::play::{Assigner, Ended, Hands, Player, list_hosts, list_tags, list_tasks, supported};
use wellkept_fleet::reach::Reach;
use wellkept_fleet::records::{self, Ear, HostRecord, Records, record};
use wellkept_fleet::scene::Scene;
use wellkept_playbook::book::{Loader, Playbook};
use wellkept_playbook::run::{Options, Run, Stats, Work};

use super::adhoc::limits;
use super::args::Reaching;
use super::scene::{Stage, me};
use super::show_play::line;
use super::{bad, text};
use crate::commands::sign::Admitted;
use crate::commands::{Context, KEEP_FILE_DEFAULT, default_data_dir};
use crate::exit::Failure;
use crate::say;
use crate::under_way::Announcer;

/// ansible-playbook's code for a playbook with mistakes.
const PARSER: u8 = 4;
/// Its code for a file that is not there, and for others.
const ERROR: u8 = 1;
/// Its code for a run that a person broke off.
const INTERRUPTED: u8 = 99;
/// Hosts at once when nobody says.
const FORKS: usize = 5;

#[derive(Debug, Args, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of ansible-playbook")]
pub(crate) struct PlayArgs {
    /// Playbooks.
    #[arg(required = true)]
    pub(in crate::commands) playbooks: Vec<PathBuf>,
    #[command(flatten)]
    reaching: Reaching,
    /// Only tasks with these tags.
    #[arg(short, long, value_name = "TAGS")]
    tags: Vec<String>,
    /// Not the tasks with these tags.
    #[arg(long, value_name = "TAGS")]
    skip_tags: Vec<String>,
    /// Only say what would change.
    #[arg(short = 'C', long)]
    pub(in crate::commands) check: bool,
    /// Show how files change.
    #[arg(short = 'D', long)]
    diff: bool,
    /// Hosts at once. Default: 5, or what ansible.cfg says.
    #[arg(short, long)]
    forks: Option<usize>,
    /// Begin at the task of this name.
    #[arg(long, value_name = "NAME")]
    start_at_task: Option<String>,
    /// Ask before each task.
    #[arg(long)]
    step: bool,
    /// Hosts wait for each other after each task, and nothing is sent ahead of its turn.
    #[arg(long)]
    lock_step: bool,
    /// Run handlers even when a task has failed.
    #[arg(long)]
    force_handlers: bool,
    /// Say which hosts are meant, and stop.
    #[arg(long)]
    list_hosts: bool,
    /// Say which tasks would run, and stop.
    #[arg(long)]
    list_tasks: bool,
    /// Say which tags there are, and stop.
    #[arg(long)]
    list_tags: bool,
    /// Read everything and stop.
    #[arg(long)]
    syntax_check: bool,
    /// Tell more; may be given again.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Facts are never kept between runs, so there is nothing to flush; taken for ansible-playbook's sake.
    #[arg(long)]
    flush_cache: bool,
    /// Go on with the newest run of these playbooks that was stopped or killed; no step is done twice.
    #[arg(long)]
    resume: bool,
    /// Go on with the newest run when it was stopped, else begin; one with a step in doubt stays stopped.
    #[arg(long, hide = true, conflicts_with = "resume")]
    go_on: bool,
    /// Never send the helper: plain commands only.
    #[arg(long)]
    no_helper: bool,
    /// Where steps and results are recorded, when it is there. Default: as for `up`.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    gate: crate::commands::sign::Gate,
    /// What the record calls it.
    #[arg(skip = "play")]
    pub(in crate::commands) kind: &'static str,
}

/// Counts by host.
pub(in crate::commands) type Counts = BTreeMap<String, Stats>;

/// What a run has come to.
pub(in crate::commands) struct Told<'a> {
    /// Counts by host.
    pub(in crate::commands) counts: &'a Counts,
    /// Hosts with a step of which nobody knows whether it was done.
    pub(in crate::commands) doubtful: &'a BTreeSet<String>,
}

/// Hears what is said; what a playbook has come to is told with no text.
pub(in crate::commands) type Hear<'a> = &'a mut dyn FnMut(&str, Option<&Told<'_>>);

impl PlayArgs {
    /// The same, with hosts reached as said here.
    pub(super) fn reached(self, reaching: Reaching) -> Self {
        Self { reaching, ..self }
    }
}

pub(in crate::commands) async fn run(context: Context, args: PlayArgs) -> anyhow::Result<u8> {
    heard(context, &args, &mut |text, _| line(text)).await
}

/// The same, with somebody else who hears what is said; after each playbook the counts are told, with no text.
pub(in crate::commands) async fn heard(
    context: Context,
    args: &PlayArgs,
    hear: Hear<'_>,
) -> anyhow::Result<u8> {
    let mut args = args.clone();
    let mut stage = Stage::new(context, &args.reaching)?;
    stage.starts_programs = args.gate.only_modules.is_none();
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let inventory = args.reaching.inventory.clone();
    let mut worst = 0;
    for path in args.playbooks.clone() {
        let admitted = args.gate.admit(context, &data_dir, &path)?;
        args.reaching.inventory.clone_from(&inventory);
        if inventory.is_empty() {
            args.reaching.inventory.extend(admitted.inventory.iter().map(|path| path.display().to_string()));
        }
        let code = one(context, &stage, &args, &admitted, hear).await?;
        if code != 0 {
            worst = code;
            break;
        }
    }
    Ok(worst)
}

struct Read {
    path: String,
    scene: Scene,
    loader: Loader,
    book: Playbook,
    options: Options,
}

async fn one(
    context: Context,
    stage: &Stage,
    args: &PlayArgs,
    admitted: &Admitted,
    hear: Hear<'_>,
) -> anyhow::Result<u8> {
    let mut read = read(context, stage, args, &admitted.playbook)?;
    if let Some(targets) = &admitted.targets {
        read.options.limit = within(context, &read.scene, targets, &read.options.limit)?;
    }
    read.scene.defaults.only_modules = args.gate.only_modules.clone().map(Arc::from);
    if args.syntax_check || args.list_hosts || args.list_tasks || args.list_tags {
        return Ok(listing(args, &read));
    }
    for (place, name) in &read.book.unsupported {
        let said =
            wellkept_model::Text::new("fleet.play.unsupported").with("place", place).with("module", name);
        say::error(&text(context, &said));
    }
    perform(context, stage, args, read, hear).await
}

/// The hosts that are both meant by a bundle and asked for; by name, so that no pattern can widen them.
fn within(
    context: Context,
    scene: &Scene,
    targets: &[String],
    limit: &[String],
) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for target in targets {
        for host in scene.names(target, limit).map_err(bad)?.hosts {
            if !names.contains(&host) {
                names.push(host);
            }
        }
    }
    if names.is_empty() {
        let told = wellkept_model::Text::new("sign.no_target").with("targets", targets.join(", "));
        return Err(bad(text(context, &told)).into());
    }
    Ok(names)
}

fn read(context: Context, stage: &Stage, args: &PlayArgs, path: &Path) -> anyhow::Result<Read> {
    if !path.exists() {
        let shown = path.display();
        return Err(Failure::new(ERROR, format!("[ERROR]: the playbook: {shown} could not be found")).into());
    }
    let full = std::path::absolute(path)?;
    let folder = full.parent().unwrap_or(Path::new("/")).display().to_string();
    let scene = stage.scene(context, &args.reaching, Some(folder))?;
    let options = options(stage, args, &scene)?;
    let mut loader = Loader::new(Rc::clone(&scene.engine), supported);
    let said = |name: &str, usual: &[&str]| -> Vec<String> {
        let said = stage.settings.files_of(name, ':');
        let usual = usual.iter().map(|path| match path.strip_prefix("~/") {
            Some(rest) => stage.home.join(rest),
            None => PathBuf::from(path),
        });
        let all: Vec<PathBuf> = if said.is_empty() { usual.collect() } else { said };
        all.iter().map(|path| path.display().to_string()).collect()
    };
    loader.roles_path =
        said("roles_path", &["~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles"]);
    loader.collections_path =
        said("collections_path", &["~/.ansible/collections", "/usr/share/ansible/collections"]);
    loader.lookups = wellkept_fleet::lookups::NAMES.iter().map(|name| (*name).to_owned()).collect();
    loader.extra.clone_from(&scene.extra);
    let book = loader.playbook(&full.display().to_string());
    let book = book
        .map_err(|error| Failure::new(PARSER, wellkept_catalogue::harmless(&format!("[ERROR]: {error}"))))?;
    Ok(Read { path: path.display().to_string(), scene, loader, book, options })
}

fn options(stage: &Stage, args: &PlayArgs, scene: &Scene) -> anyhow::Result<Options> {
    let settings = &stage.settings;
    let list = |given: &[String], name: &str| -> Vec<String> {
        let said: Vec<String> = settings.get(name).map(str::to_owned).into_iter().collect();
        let given = if given.is_empty() { &said } else { given };
        let parts = given.iter().flat_map(|text| text.split(',')).map(|tag| tag.trim().to_owned());
        parts.filter(|tag| !tag.is_empty()).collect()
    };
    let tags = list(&args.tags, "run_tags");
    let defaults = Options::default();
    let forks = args.forks.or_else(|| settings.number("forks").map(|n| n as usize));
    Ok(Options {
        check: args.check,
        diff: args.diff || settings.flag("diff") == Some(true),
        tags: if tags.is_empty() { defaults.tags.clone() } else { tags },
        skip_tags: list(&args.skip_tags, "skip_tags"),
        limit: limits(&args.reaching.limit)?,
        start_at_task: args.start_at_task.clone(),
        extra: scene.extra.clone(),
        becomes: scene.defaults.becomes,
        become_user: scene.defaults.become_user.clone(),
        become_method: scene.defaults.become_method.clone(),
        force_handlers: args.force_handlers || settings.flag("force_handlers") == Some(true),
        forks: forks.unwrap_or(FORKS).max(1),
        step: args.step,
        lock_step: args.lock_step,
        gather: settings.get("gathering") != Some("explicit"),
        inject_facts: settings.flag("inject_facts_as_vars") != Some(false),
        verbosity: args.verbose,
        ..defaults
    })
}

fn listing(args: &PlayArgs, read: &Read) -> u8 {
    let Read { path, scene, book, options, .. } = read;
    let mut lines = Vec::new();
    if args.syntax_check {
        lines.push(format!("\nplaybook: {path}"));
    }
    if args.list_hosts {
        lines.extend(list_hosts(path, book, scene, &options.limit));
    }
    if args.list_tasks {
        lines.extend(list_tasks(path, book, &options.tags, &options.skip_tags));
    }
    if args.list_tags {
        lines.extend(list_tags(path, book, &options.tags, &options.skip_tags));
    }
    lines.iter().for_each(|text| line(text));
    0
}

async fn perform(
    context: Context,
    stage: &Stage,
    args: &PlayArgs,
    read: Read,
    hear: Hear<'_>,
) -> anyhow::Result<u8> {
    let Read { path, scene, loader, book, options } = read;
    let mut kept = record(
        args.kind,
        std::slice::from_ref(&path),
        &options.limit.join(":"),
        &me(),
        crate::clock::now().0,
    );
    kept.head.check = options.check;
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let named = std::path::absolute(&path)?.display().to_string();
    // A look is no change: there is nothing to go on with.
    let folder = journal::folder(&data_dir).filter(|_| !options.check);
    let journal = match (folder, args.resume) {
        (Some(folder), true) => Some(Journal::resume(&folder, &named).map_err(bad)?),
        (Some(folder), false) if args.go_on => match Journal::resume(&folder, &named) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Some(Journal::new(&folder, &named, kept.head.began_ms)?)
            }
            stopped => Some(stopped.map_err(bad)?),
        },
        (Some(folder), false) => Some(Journal::new(&folder, &named, kept.head.began_ms)?),
        (None, true) => return Err(bad(super::word(context, "fleet.resume.no_data_dir")).into()),
        (None, false) => None,
    };
    let exe = std::env::current_exe()?;
    let pool = Arc::new(stage.pool()?);
    let hands = Hands::new(pool, Arc::clone(&stage.terminal) as _, &exe, args.no_helper);
    let hands = Arc::new(hands.remembering(stage.stamps()));
    let engine = Rc::clone(&scene.engine);
    seed(&engine);
    let assigner = Assigner { engine: Rc::clone(&engine), defaults: scene.defaults };
    let run = Run::new(engine, loader, book, scene.inventory, options);
    let mut ear = Ear::default();
    let mut say = |text: &str| {
        ear.hear(text);
        hear(text, None);
    };
    let now = || crate::clock::now().0;
    let mut announcer = announcer(context, args, &data_dir, &path);
    let mut before = |work: &Work, reach: &Reach| match &mut announcer {
        Some(announcer) => announcer.before(work, reach),
        None => Ok(()),
    };
    let mut player =
        Player { run, assigner, hands, journal, now_ms: &now, say: &mut say, before: &mut before };
    let code = match player.play().await? {
        Ended::Interrupted => INTERRUPTED,
        Ended::Done(code) => {
            // Who goes on by himself goes on with this one until a person has looked: what is in doubt is not done again.
            let is_over = |journal: &&mut Journal| !args.go_on || journal.doubtful().is_empty();
            if let Some(journal) = player.journal.as_mut().filter(is_over) {
                journal.over(code)?;
            }
            code
        }
    };
    let counts = player.run.stats().clone();
    let doubtful = player.journal.as_ref().map(|journal| journal.doubtful().clone()).unwrap_or_default();
    drop(player);
    kept.head.exit = code;
    keep(&data_dir, kept, &counts, ear);
    hear("", Some(&Told { counts: &counts, doubtful: &doubtful }));
    Ok(code)
}

/// Who tells automation which services the play has in hand; nobody without a data directory or a keep file.
fn announcer(context: Context, args: &PlayArgs, data_dir: &Path, path: &str) -> Option<Announcer> {
    let usual = Path::new(KEEP_FILE_DEFAULT);
    let keep = args.gate.keep.as_deref().or(Some(usual).filter(|path| path.exists()))?;
    if !data_dir.join("VERSION").is_file() {
        return None;
    }
    match crate::commands::check::load(keep, context.language) {
        Ok((keep, _)) => Some(Announcer::new(keep, data_dir, path, me())),
        Err(error) => {
            say::error(&error.to_string());
            None
        }
    }
}

/// Lets `random` and its like differ from run to run.
fn seed(engine: &wellkept_playbook::template::Engine) {
    let mut random = [0; 8];
    // Without random numbers of the system the clock has to do: nothing secret hangs on it.
    let fresh = getrandom::fill(&mut random).map(|()| u64::from_ne_bytes(random));
    engine.randomness.set(fresh.unwrap_or_else(|_| crate::clock::now_ns().unsigned_abs()) | 1);
}

/// A run is recorded where a data directory is; that it cannot be does not change what was done.
fn keep(data_dir: &Path, mut kept: records::Record, stats: &Counts, mut ear: Ear) {
    let Some(records) = Records::of(data_dir) else { return };
    kept.head.ended_ms = crate::clock::now().0;
    kept.hosts = stats
        .iter()
        .map(|(host, stats)| {
            let (failures, unknown) = ear.take(host);
            HostRecord::played(host, counted(stats, unknown), failures)
        })
        .collect();
    if let Err(error) = records.put(&kept) {
        say::error(&error.to_string());
    }
}

/// The recap's counts, with what nobody knows the end of told apart from what was not reached.
fn counted(stats: &Stats, unknown: u32) -> records::Counts {
    let unknown = unknown.min(stats.unreachable);
    records::Counts {
        ok: stats.ok,
        changed: stats.changed,
        failed: stats.failed,
        unreachable: stats.unreachable - unknown,
        unknown,
        skipped: stats.skipped,
        rescued: stats.rescued,
        ignored: stats.ignored,
    }
}

//! `wellkept up`: everything, in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, oneshot};
use wellkept_api::{Command, Limits, Shared, StaticFile, allowed_hosts};
use wellkept_catalogue::Language;
use wellkept_doors::Doors;
use wellkept_model::keep::Keep;
use wellkept_model::{SeriesSource, Text};
use wellkept_state::{DataDir, FileVersions, StateDb};
use wellkept_tsdb::Store;

use super::{Context, KEEP_FILE_DEFAULT, variable};
use crate::agents::{self, AgentsRunning};
use crate::clock::now;
use crate::engine::{Engine, OwnMetrics, Parts, Published, Writer, channel, open_store};
use crate::exit::{ADDRESS, DATA_DIR, Failure, OK, USAGE};
use crate::fleet_book::FleetBook;
use crate::logs::{self, LogHouse, LogsRunning};
use crate::metrics::{Base, Files, HttpDoors, Intake, Sockets, Views, page};
use crate::say;
use crate::states::States;

/// Acts that may wait for the engine; more are refused.
const COMMANDS_MAX: usize = 64;

/// What `up` was asked.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) keep: Option<PathBuf>,
    pub(super) data_dir: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) no_collect: bool,
}

pub(super) async fn run(context: Context, options: Options) -> anyhow::Result<u8> {
    start_log();
    // A limit on the size of files (RLIMIT_FSIZE) then fails the write, as a full disk does, and does not end the process.
    let _no_end = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
    let keep_file =
        options.keep.clone().or_else(|| Some(KEEP_FILE_DEFAULT.into()).filter(|p: &PathBuf| p.exists()));
    let keep_file = keep_file.map(std::path::absolute).transpose()?;
    let (keep, keep_text) = load(context, keep_file.as_deref())?;
    if options.no_collect && !(keep.services.is_empty() && keep.filesystems.is_empty()) {
        let text = Text::new("cli.error.no_collect");
        return Err(Failure::new(USAGE, say::text(context.language, &text)).into());
    }
    let files = Files::read(&keep)?;
    let listener = listen(context, options.listen).await?;
    let address = listener.local_addr()?;
    let sockets = Sockets::bind(&keep.metrics).await?;
    let lines = logs::Taken::of(&keep).await?;
    let agents = agents::Socket::bind(&keep.agents).await?;
    let dir = DataDir::open(&options.data_dir).map_err(|e| Failure::of(DATA_DIR, &e))?;
    let state = StateDb::open(dir.path()).await.map_err(|e| Failure::of(DATA_DIR, &e))?;
    let versions = FileVersions::open(dir.path(), state.clone()).map_err(|e| Failure::of(DATA_DIR, &e))?;
    let store = open_store(dir.path(), &keep.metrics).map_err(|e| Failure::of(DATA_DIR, &e))?;
    let lines = logs::Opened::open(lines, dir.path())?;
    greet(context, address, &dir, keep_file.as_deref(), &keep);
    agents.greet(context.language);

    let metrics = Arc::new(OwnMetrics::default());
    let (publisher, published) = channel();
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let identity = wellkept_collect::identity(&host_name());
    let doors =
        Arc::new(Doors::new(Arc::clone(&store), identity.clone(), keep.metrics.limits.samples_per_second));
    let intake = Intake::start(Base {
        keep: &keep,
        files,
        sockets,
        data_dir: dir.path(),
        doors: &doors,
        store: &store,
        identity,
        host: host_name(),
    })
    .await?;
    let around = logs::Around {
        keep: &keep,
        data_dir: dir.path(),
        host: &host_name(),
        usual: !options.no_collect,
        store: &store,
        identity: &wellkept_collect::identity(&host_name()),
        incidents: published.incidents.clone(),
    };
    let lines = LogsRunning::start(lines, around).await?;
    let agents = AgentsRunning::start(agents, &keep.agents, dir.path(), &doors, &lines.logs, &state)?;
    let source = intake.source();
    let views = views(&intake, &doors, &store, &options, &keep);
    let snapshots = dir.path().join(super::store::SNAPSHOTS_DIR);
    let own_metrics = own_metrics(&metrics, &store, &doors, &intake, (&lines, agents.clone()));
    let doors = HttpDoors { doors, store: Arc::clone(&store), snapshots };
    let wired = Wired {
        views: Arc::new(views),
        doors: Arc::new(doors),
        logs: Arc::new(lines.house()),
        fleet: FleetBook::new(dir.path().to_owned(), &keep.agents),
        source: Arc::clone(&source),
        own_metrics,
    };
    let shared = shared(published, commands.clone(), wired, dir.token().reveal(), address);
    let engine = Engine::new(Parts {
        states: States::start(&keep, keep_file.as_deref(), &host_name(), dir.path())?,
        host: host_name(),
        keep_file,
        keep,
        keep_text,
        collect: !options.no_collect,
        intake: Arc::clone(&intake),
        logs: (Arc::clone(&lines.logs), Arc::clone(&lines.sources)),
        agents: agents.clone(),
        data_dir: dir.path().to_owned(),
        state,
        versions,
        source,
        writer: Writer::start(store, Arc::clone(intake.senders()), Arc::clone(&metrics))?,
        publisher,
        commands: inbox,
        metrics,
    })
    .await?;
    let stop = Arc::new(Notify::new());
    let door = tokio::spawn(wellkept_api::serve(listener, wellkept_api::router(shared), {
        let stop = Arc::clone(&stop);
        async move { stop.notified().await }
    }));
    engine.run(wait_for_end(commands)).await;
    stop.notify_one();
    door.await?;
    agents::shutdown(agents).await;
    intake.shutdown().await;
    lines.shutdown().await;
    Ok(OK)
}

async fn listen(context: Context, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        let text = Text::new("cli.error.listen").with("address", address).with("error", e);
        Failure::new(ADDRESS, say::text(context.language, &text)).into()
    })
}

/// The keep file with its text; the usual one without a file.
fn load(context: Context, file: Option<&Path>) -> anyhow::Result<(Keep, Option<Arc<str>>)> {
    let loaded = file.map(|path| super::check::load(path, context.language)).transpose()?;
    Ok(loaded.map_or_else(Default::default, |(keep, text)| (keep, Some(text))))
}

/// Completes on SIGINT or SIGTERM; SIGHUP reads the keep file again.
async fn wait_for_end(commands: mpsc::Sender<Command>) {
    let signals =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()));
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        tracing::error!("signals cannot be received; end the process with SIGKILL");
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => return,
            _ = terminate.recv() => return,
            _ = hangup.recv() => reload(&commands).await,
        }
    }
}

async fn reload(commands: &mpsc::Sender<Command>) {
    let (reply, answer) = oneshot::channel();
    if commands.try_send(Command::Reload { who: "SIGHUP".to_owned(), reply }).is_err() {
        tracing::error!("SIGHUP came while too many acts wait; send it again");
        return;
    }
    // The engine answers while it runs, and this future is polled beside it.
    tokio::spawn(async move {
        if let Ok(Err(refusal)) = answer.await {
            tracing::error!("{}", say::text(Language::En, &refusal.text));
        }
    });
}

/// What Prometheus' API tells besides series.
fn views(intake: &Intake, doors: &Arc<Doors>, store: &Arc<Store>, options: &Options, keep: &Keep) -> Views {
    Views {
        doors: Arc::clone(doors),
        store: Arc::clone(store),
        scraping: Arc::clone(intake.scraping()),
        ruler: Arc::clone(intake.ruler()),
        started_at: now(),
        flags: vec![
            ("data-dir", options.data_dir.display().to_string()),
            ("listen", options.listen.to_string()),
            ("no-collect", options.no_collect.to_string()),
            ("keep", options.keep.as_ref().map(|k| k.display().to_string()).unwrap_or_default()),
        ],
        kept: keep.metrics.retention.clone(),
    }
}

/// Writes what we say about ourselves.
fn own_metrics(
    metrics: &Arc<OwnMetrics>,
    store: &Arc<Store>,
    doors: &Arc<Doors>,
    intake: &Arc<Intake>,
    (lines, agents): (&LogsRunning, Option<Arc<AgentsRunning>>),
) -> Arc<dyn Fn() -> String + Send + Sync> {
    let (store, doors, intake, metrics) =
        (Arc::clone(store), Arc::clone(doors), Arc::clone(intake), Arc::clone(metrics));
    let (logs, sources) = (Arc::clone(&lines.logs), Arc::clone(&lines.sources));
    Arc::new(move || {
        let own = metrics.page() + &page(&store, &doors, &intake) + &logs::page(&logs, &sources);
        own + &agents::page(agents.as_deref())
    })
}

/// What the API reaches besides the engine.
struct Wired {
    views: Arc<Views>,
    doors: Arc<HttpDoors>,
    logs: Arc<LogHouse>,
    fleet: FleetBook,
    source: Arc<dyn SeriesSource>,
    own_metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

fn shared(
    published: Published,
    commands: mpsc::Sender<Command>,
    wired: Wired,
    token: &str,
    address: SocketAddr,
) -> Shared {
    Shared {
        overview: published.overview,
        incidents: published.incidents,
        changes: published.changes,
        beliefs: published.beliefs,
        ready: published.ready,
        commands,
        source: wired.source,
        views: wired.views,
        doors: wired.doors,
        logs: wired.logs,
        fleet: Arc::new(wired.fleet),
        own_metrics: wired.own_metrics,
        console,
        token_sha256: Sha256::digest(token.as_bytes()).into(),
        reading_needs_token: !address.ip().is_loopback(),
        hosts: allowed_hosts(address, &[]),
        version: env!("CARGO_PKG_VERSION"),
        limits: Limits::default(),
        clock: now,
    }
}

fn console(path: &str) -> Option<StaticFile> {
    let asset = if path == "index.html" { wellkept_console::index() } else { wellkept_console::asset(path) };
    asset.map(|a| StaticFile { mime: a.mime, body: a.body, etag: a.etag, immutable: a.immutable })
}

fn greet(context: Context, address: SocketAddr, dir: &DataDir, keep_file: Option<&Path>, keep: &Keep) {
    let print = |text: &Text| say::line(&say::text(context.language, text));
    print(&Text::new("cli.up.watches").with("version", env!("CARGO_PKG_VERSION")).with("host", host_name()));
    print(&Text::new("cli.up.console").with("url", format!("http://{address}/")));
    print(&Text::new("cli.up.data").with("path", dir.path().display()));
    match keep_file {
        None => print(&Text::new("cli.up.no_keep")),
        Some(path) => print(
            &Text::new("cli.up.keep")
                .with("file", path.display())
                .with("services", keep.services.len())
                .with("filesystems", keep.filesystems.len())
                .with("mode", keep.automation.mode.word()),
        ),
    }
    if dir.token_is_new() {
        print(&Text::new("cli.up.token").with("token", dir.token().reveal()));
    }
}

pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Diagnostics go to standard error; `WELLKEPT_LOG` chooses what (as `RUST_LOG` elsewhere).
pub(super) fn start_log() {
    let filter = variable("WELLKEPT_LOG").unwrap_or_else(|| "warn,wellkept=info".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

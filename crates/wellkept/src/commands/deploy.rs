//! `wellkept deploy` and `wellkept rollback`: releases of the apps that the keep file declares.

mod args;
mod history;
mod hosts;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use args::{DeployArgs, RollbackArgs};

use args::{Common, DeployCommand};
use hosts::Hosts;
use serde_json::json;
use wellkept_deploy::{
    Act, Asked, DeployError, Deployment, Head, House, Notice, Preview, PutUp, Status, Version,
};
use wellkept_model::Text;
use wellkept_model::keep::{App, Keep};
use wellkept_state::DataDir;

use super::fleet::scene::{Stage, me};
use super::fleet::{bad, limits};
use super::{Context, KEEP_FILE_DEFAULT, default_data_dir};
use crate::cli::Output;
use crate::exit::{DATA_DIR, Failure, NOT_WELL, OK, USAGE};
use crate::say;
use crate::under_way::{self, is_here};

/// The longest that a batch is expected to take besides its checks.
const BATCH_MAX: Duration = Duration::from_secs(15 * 60);

pub(super) async fn deploy(context: Context, args: DeployArgs) -> anyhow::Result<u8> {
    if let Some(DeployCommand::History { app, common }) = args.command {
        return history::run(context, &app, &common);
    }
    let name = args.app.unwrap_or_default();
    let scene = Scene::read(context, &name, args.common)?;
    let world = scene.world(context).await?;
    let code = if args.resume || args.settle {
        let taken = Deployment::resume(&world, &scene.house, &scene.app, args.assume_done, args.settle).await;
        let deployment = taken.map_err(|e| refused(context, &e))?;
        let _notice = scene.put_up(context, deployment.head())?;
        if args.settle {
            deployment.settle(&me()).await.map_err(|e| refused(context, &e))?;
            say::line(&say::text(context.language, &Text::new("deploy.settled").with("app", &name)));
            OK
        } else {
            run(context, deployment).await?
        }
    } else {
        let version = args.version.unwrap_or_default();
        let asked = scene.asked(Act::Deploy, version_of(context, &version)?, args.sha256);
        go(context, &world, &scene, &asked, args.check).await?
    };
    world.close().await;
    Ok(code)
}

pub(super) async fn rollback(context: Context, args: RollbackArgs) -> anyhow::Result<u8> {
    let scene = Scene::read(context, &args.app, args.common)?;
    let world = scene.world(context).await?;
    let is_open = scene.house.is_open().map_err(|e| refused(context, &e))?;
    let code = match args.version {
        None if is_open && !args.check => {
            let taken = Deployment::resume(&world, &scene.house, &scene.app, false, true).await;
            let deployment = taken.map_err(|e| refused(context, &e))?;
            let head = deployment.head().clone();
            let _notice = scene.put_up(context, &head)?;
            let ended = deployment.go_back(&me()).await.map_err(|e| refused(context, &e))?;
            let asked_for = if ended.0 == Status::RolledBack { OK } else { NOT_WELL };
            tell_end(context, &head, ended);
            asked_for
        }
        given => {
            let version = match given {
                Some(version) => version,
                None => scene.house.version_before().map_err(|e| refused(context, &e))?,
            };
            let asked = scene.asked(Act::Rollback, version_of(context, &version)?, None);
            go(context, &world, &scene, &asked, args.check).await?
        }
    };
    world.close().await;
    Ok(code)
}

async fn go(
    context: Context,
    world: &Hosts,
    scene: &Scene,
    asked: &Asked<'_>,
    check: bool,
) -> anyhow::Result<u8> {
    let house = &scene.house;
    if check {
        let preview = Deployment::preview(world, house, asked).await.map_err(|e| refused(context, &e))?;
        show_preview(context, asked.app, &preview);
        return Ok(OK);
    }
    let deployment = Deployment::begin(world, house, asked).await.map_err(|e| refused(context, &e))?;
    let _notice = scene.put_up(context, deployment.head())?;
    if context.output == Output::Table && is_unchecked(asked.app) {
        say::line(&say::word(context.language, "deploy.unchecked"));
    }
    run(context, deployment).await
}

/// Nothing would show that a release is not well.
fn is_unchecked(app: &App) -> bool {
    app.health.is_empty() && app.errors.is_none()
}

async fn run(context: Context, deployment: Deployment<'_, Hosts>) -> anyhow::Result<u8> {
    let head = deployment.head().clone();
    let ended = deployment.run().await.map_err(|e| refused(context, &e))?;
    let code = if ended.0 == Status::Done { OK } else { NOT_WELL };
    tell_end(context, &head, ended);
    Ok(code)
}

/// Everything that is known before a host is asked.
struct Scene {
    app: App,
    keep: Keep,
    house: House,
    data_dir: PathBuf,
    common: Common,
    stage: Stage,
    hosts: Vec<String>,
    places: Vec<(String, wellkept_fleet::adhoc::Place)>,
}

impl Scene {
    fn read(context: Context, name: &str, mut common: Common) -> anyhow::Result<Self> {
        let (keep, app) = app_of(context, name, &common)?;
        if common.reaching.inventory.is_empty() {
            common.reaching.inventory.clone_from(&app.inventory);
        }
        let data_dir = common.remote.data_dir.clone().unwrap_or_else(default_data_dir);
        let house = house(context, &data_dir, name)?;
        let stage = Stage::new(context, &common.reaching)?;
        let scene = stage.scene(context, &common.reaching, None)?;
        let chosen = scene.names(&app.hosts, &limits(&common.reaching.limit)?).map_err(bad)?;
        if let Some(part) = chosen.unmatched.first() {
            let text = Text::new("fleet.pattern.unmatched").with("pattern", part);
            return Err(Failure::new(USAGE, say::text(context.language, &text)).into());
        }
        let places = chosen.hosts.iter().map(|host| Ok((host.clone(), scene.place(host).map_err(bad)?)));
        let places = places.collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { app, keep, house, data_dir, common, stage, hosts: chosen.hosts, places })
    }

    async fn world(&self, context: Context) -> anyhow::Result<Hosts> {
        let pool = Arc::new(self.stage.pool()?);
        let exe = std::env::current_exe()?;
        Ok(Hosts::new(context, self, pool, &exe))
    }

    /// Keeps automation away from what the deployment has in hand on this machine; none when that is nothing.
    fn put_up(&self, context: Context, head: &Head) -> anyhow::Result<Option<PutUp>> {
        let here = |host: &str| self.places.iter().any(|(name, place)| name == host && is_here(&place.reach));
        if !head.hosts.iter().any(|host| here(&host.name)) {
            return Ok(None);
        }
        let services = under_way::of_app(&self.keep, &self.app);
        if services.is_empty() {
            return Ok(None);
        }
        let (batches, app) = (u32::try_from(head.batches.len()).unwrap_or(u32::MAX), &self.app);
        // There, and all the way back.
        let length = (app.starts_within + app.hold + BATCH_MAX).saturating_mul(batches.saturating_add(1)) * 2;
        let now = crate::clock::now().0;
        let notice = Notice {
            what: format!("{} {} {}", act_word(head.act), head.app, head.version),
            who: me(),
            services: services.into_iter().collect(),
            began_ms: now,
            until_ms: now.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)),
        };
        let put = under_way::put_up(&self.data_dir, &format!("deploy-{}", head.app), &notice);
        let told = |e| {
            Failure::new(DATA_DIR, say::text(context.language, &Text::new("deploy.no_notice").with("why", e)))
        };
        Ok(Some(put.map_err(told)?))
    }

    fn asked(&self, act: Act, version: Version, sha256: Option<String>) -> Asked<'_> {
        Asked {
            app: &self.app,
            act,
            version,
            hosts: self.hosts.clone(),
            sha256,
            who: me(),
            controller: super::up::host_name(),
        }
    }
}

/// The keep file and the app in it.
fn app_of(context: Context, name: &str, common: &Common) -> anyhow::Result<(Keep, App)> {
    let path = common.keep.clone().unwrap_or_else(|| PathBuf::from(KEEP_FILE_DEFAULT));
    let (keep, _) = super::check::load(&std::path::absolute(path)?, context.language)?;
    match keep.deploy.get(name).cloned() {
        Some(app) => Ok((keep, app)),
        None => {
            let known: Vec<&str> = keep.deploy.keys().map(String::as_str).collect();
            let text = Text::new("deploy.no_app").with("app", name).with("known", known.join(", "));
            Err(Failure::new(USAGE, say::text(context.language, &text)).into())
        }
    }
}

/// The app's folder in the data directory, which is made when it is not there.
fn house(context: Context, data_dir: &Path, name: &str) -> anyhow::Result<House> {
    if !data_dir.join("VERSION").exists() {
        DataDir::open(data_dir).map_err(|e| Failure::of(DATA_DIR, &e))?;
    }
    Ok(House::of(data_dir, name).map_err(|e| refused(context, &e))?)
}

fn version_of(context: Context, text: &str) -> anyhow::Result<Version> {
    let refused = || {
        let text = Text::new("deploy.bad_version").with("version", text);
        Failure::new(USAGE, say::text(context.language, &text))
    };
    Ok(text.parse().map_err(|_| refused())?)
}

fn refused(context: Context, error: &DeployError) -> Failure {
    let code = match error {
        DeployError::Refused(_) => USAGE,
        DeployError::Disk { .. } => DATA_DIR,
    };
    let why = say::text(context.language, &error.text());
    let text = match error.text().arg("host") {
        Some(host) if !why.contains(host) => format!("{}: {why}", wellkept_catalogue::harmless(host)),
        _ => why,
    };
    Failure::new(code, text)
}

fn show_preview(context: Context, app: &App, preview: &Preview) {
    let head = &preview.head;
    if context.output == Output::Json {
        let batches: Vec<_> = head.batches.iter().map(|batch| json!(batch)).collect();
        let hosts: Vec<_> = head.hosts.iter().map(|h| json!({"host": h.name, "before": h.before})).collect();
        let told = json!({
            "app": head.app, "act": act_word(head.act), "version": head.version, "sha256": head.sha256,
            "bytes": preview.bytes, "hosts": hosts, "already": head.already, "batches": batches,
            "errors_before": head.errors_before,
        });
        return say::line(&told.to_string());
    }
    let line = |text: &Text| say::line(&say::text(context.language, text));
    line(
        &Text::new("deploy.would").with("app", &head.app).with("version", &head.version).with("to", &head.to),
    );
    if let (Some(sha256), Some(bytes)) = (&head.sha256, preview.bytes) {
        line(&Text::new("deploy.would_bring").with("bytes", bytes).with("sha256", sha256));
    }
    for (number, batch) in head.batches.iter().enumerate() {
        let from = |host: &String| {
            let before = head.hosts.iter().find(|h| h.name == *host).and_then(|h| h.before.clone());
            format!("{host} ({})", before.unwrap_or_else(|| "-".to_owned()))
        };
        let hosts = batch.iter().map(from).collect::<Vec<_>>().join(", ");
        line(&Text::new("deploy.would_batch").with("number", number + 1).with("hosts", hosts));
    }
    if !head.already.is_empty() {
        line(&Text::new("deploy.already").with("hosts", head.already.join(", ")));
    }
    if head.hosts.is_empty() {
        line(&Text::new("deploy.nothing_to_do"));
    }
    if is_unchecked(app) {
        line(&Text::new("deploy.unchecked"));
    }
}

fn act_word(act: Act) -> &'static str {
    match act {
        Act::Deploy => "deploy",
        Act::Rollback => "rollback",
    }
}

/// The text of a status.
fn status_text(context: Context, status: Status) -> String {
    say::word(context.language, &format!("deploy.status.{}", status.word()))
}

fn tell_end(context: Context, head: &Head, (status, why): (Status, Option<Text>)) {
    let why = why.map(|why| say::text(context.language, &why));
    match context.output {
        Output::Json => {
            let hosts: Vec<_> =
                head.hosts.iter().map(|h| json!({"host": h.name, "before": h.before})).collect();
            let told = json!({
                "id": head.id, "app": head.app, "act": act_word(head.act), "version": head.version,
                "status": status.word(), "why": why, "hosts": hosts, "already": head.already,
            });
            say::line(&told.to_string());
        }
        Output::Table => {
            let text = Text::new("deploy.ended").with("app", &head.app).with("version", &head.version);
            say::line(&say::text(context.language, &text.with("status", status_text(context, status))));
            if let Some(why) = why.filter(|_| status == Status::Interrupted) {
                say::line(&why);
            }
        }
    }
}

//! Which services of the keep file deployments and plays have in hand on this machine: told by the one, heeded by the
//! engine of `wellkept up`, which does nothing to them of its own meanwhile.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use wellkept_deploy::{Notice, PutUp};
use wellkept_fleet::reach::Reach;
use wellkept_fleet::values::key_text;
use wellkept_inventory::Value;
use wellkept_model::TimestampMs;
use wellkept_model::keep::{App, Command, Identity, Keep, Service};
use wellkept_model::maintenance::Window;
use wellkept_playbook::run::Work;

pub(crate) use wellkept_deploy::put_up;

use crate::clock::now;

/// The marker of a deployment, beside the link to the current release.
const MARKER: &str = ".wellkept/deploying";
/// How long a marker of another controller is believed.
const ELSEWHERE_MAX_MS: i64 = 3_600_000;
/// How long a play has in hand what it has touched last: nobody knows how long it will take.
const PLAY_MAX_MS: i64 = 3_600_000;
/// A notice that is older than this is written anew with the next step.
const FRESH_MS: i64 = 300_000;

/// What is under way on this machine, as windows for the guards: what was posted here, and what controllers elsewhere have
/// marked in the folders of releases.
pub(crate) fn windows(data_dir: &Path, keep: &Keep, host: &str, at: TimestampMs) -> Vec<Window> {
    let window = |notice: Notice| Window {
        from: TimestampMs(notice.began_ms),
        until: TimestampMs(notice.until_ms),
        components: notice.services,
        reason: format!("{} ({})", notice.what, notice.who),
        drill: false,
    };
    let posted = wellkept_deploy::under_way(data_dir, at).into_iter().map(window);
    posted.chain(keep.services.values().filter_map(|service| from_elsewhere(service, host, at))).collect()
}

/// A deployment of a service's app by another controller. Whether that still lives cannot be seen from here, so it is
/// believed for a while only; our own deployments are known better by their notices.
fn from_elsewhere(service: &Service, host: &str, at: TimestampMs) -> Option<Window> {
    let marker = service.release.as_ref()?.current.parent()?.join(MARKER);
    let marked = std::fs::symlink_metadata(&marker).ok()?;
    let from = TimestampMs(marked.mtime().saturating_mul(1000));
    let text = std::fs::read_link(&marker).ok()?.to_string_lossy().into_owned();
    let (_, controller) = text.rsplit_once('@')?;
    let reason = text.split_once(' ').map_or(text.as_str(), |(_, what)| what).chars().take(200).collect();
    let until = TimestampMs(from.0.saturating_add(ELSEWHERE_MAX_MS));
    let window = Window { from, until, components: vec![service.name.clone()], reason, drill: false };
    (controller != host && window.is_open(at)).then_some(window)
}

/// Whether what is done there is done to this machine. A name that only resolves to one of its addresses is not looked up.
pub(crate) fn is_here(reach: &Reach) -> bool {
    let own_address = |ip: IpAddr| std::net::UdpSocket::bind((ip, 0)).is_ok();
    reach.local
        || reach.host == "localhost"
        || reach.host == crate::commands::up::host_name()
        || reach.host.parse().is_ok_and(own_address)
}

/// The services that a deployment of this app concerns: of its name, with their releases in its folder, or named by the
/// command that restarts it.
pub(crate) fn of_app(keep: &Keep, app: &App) -> BTreeSet<String> {
    let words = app.restart.iter().flat_map(words);
    let words: Vec<&str> = words.flat_map(str::split_ascii_whitespace).chain([app.name.as_str()]).collect();
    touched(keep, &words, &[&app.to])
}

fn words(command: &Command) -> impl Iterator<Item = &str> {
    command.argv.iter().map(String::as_str)
}

/// Services that one of the words names, or whose releases lie at or below one of the paths.
fn touched(keep: &Keep, words: &[&str], paths: &[&Path]) -> BTreeSet<String> {
    let named = |service: &Service| {
        let unit = match &service.identity {
            Identity::Unit(unit) => unit.as_str(),
            _ => "",
        };
        let plain = |word: &str| word.strip_suffix(".service").unwrap_or(word).to_owned();
        words.iter().any(|word| *word == service.name || (!unit.is_empty() && plain(word) == plain(unit)))
    };
    let released = |service: &Service| {
        service.release.as_ref().is_some_and(|release| {
            paths.iter().any(|path| {
                release.current == *path
                    || release.from.parent() == Some(*path)
                    || path.starts_with(&release.from)
            })
        })
    };
    let all = keep.services.values().filter(|service| named(service) || released(service));
    all.map(|service| service.name.clone()).collect()
}

/// Hears what a play is about to do, and tells which services it has in hand by now.
pub(crate) struct Announcer {
    keep: Keep,
    data_dir: PathBuf,
    notice: Notice,
    put: Option<PutUp>,
}

impl Announcer {
    /// Nothing is told before the play touches a service.
    pub(crate) fn new(keep: Keep, data_dir: &Path, playbook: &str, who: String) -> Self {
        let what = format!("play {playbook}");
        let notice = Notice { what, who, services: Vec::new(), began_ms: 0, until_ms: 0 };
        Self { keep, data_dir: data_dir.to_owned(), notice, put: None }
    }

    /// A step is about to begin.
    ///
    /// # Errors
    /// The disk; the step must not begin then.
    pub(crate) fn before(&mut self, work: &Work, reach: &Reach) -> std::io::Result<()> {
        if work.check || self.keep.services.is_empty() {
            return Ok(());
        }
        let services = of_work(&self.keep, work);
        if services.is_empty() || !is_here(reach) {
            return Ok(());
        }
        let known = services.iter().all(|name| self.notice.services.contains(name));
        let at = now().0;
        if known && at - self.notice.began_ms < FRESH_MS {
            return Ok(());
        }
        let all: BTreeSet<String> = services.into_iter().chain(self.notice.services.drain(..)).collect();
        self.notice.services = all.into_iter().collect();
        (self.notice.began_ms, self.notice.until_ms) = (at, at + PLAY_MAX_MS);
        match &self.put {
            Some(put) => put.change(&self.notice)?,
            None => self.put = Some(put_up(&self.data_dir, "play", &self.notice)?),
        }
        Ok(())
    }
}

/// The services that a step concerns.
fn of_work(keep: &Keep, work: &Work) -> BTreeSet<String> {
    let texts = |names: &[&str]| -> Vec<String> {
        let given = work.args.iter().filter(|(name, _)| names.contains(&name.as_str()));
        given
            .flat_map(|(_, value)| match value {
                Value::List(all) => all.iter().map(key_text).collect(),
                one => vec![key_text(one)],
            })
            .collect()
    };
    let (named, paths) = match work.module.as_str() {
        "service" | "systemd" | "systemd_service" | "docker_container" => (texts(&["name"]), Vec::new()),
        "command" | "shell" | "raw" => (texts(&["_raw_params", "cmd", "argv"]), Vec::new()),
        "file" | "copy" | "template" | "unarchive" | "git" => (Vec::new(), texts(&["path", "dest", "name"])),
        _ => return BTreeSet::new(),
    };
    let words: Vec<&str> = named.iter().flat_map(|text| text.split_ascii_whitespace()).collect();
    let paths: Vec<&Path> = paths.iter().map(Path::new).filter(|path| path.is_absolute()).collect();
    touched(keep, &words, &paths)
}

#[cfg(test)]
mod tests {
    use wellkept_model::keep::Release;

    use super::*;

    fn keep() -> Keep {
        let mut keep = Keep::default();
        let unit = |name: &str, unit: &str| Service::named(name, Identity::Unit(unit.to_owned()));
        let mut shop = unit("shop", "shop.service");
        shop.release = Some(Release {
            current: "/srv/shop/current".into(),
            from: "/srv/shop/releases".into(),
            manifest: None,
            artefact: None,
            rollback: None,
        });
        for service in [shop, unit("web", "nginx.service"), unit("db", "postgresql.service")] {
            keep.services.insert(service.name.clone(), service);
        }
        keep
    }

    #[test]
    fn a_deployment_by_another_controller_is_known_by_its_marker_for_a_while() {
        let home = tempfile::tempdir().unwrap();
        let mut keep = keep();
        let release = keep.services.get_mut("shop").and_then(|shop| shop.release.as_mut()).unwrap();
        release.current = home.path().join("current");
        let known = |host: &str, at: TimestampMs| {
            let windows = windows(home.path(), &keep, host, at);
            windows.into_iter().map(|w| (w.components.join(","), w.reason)).collect::<Vec<_>>()
        };
        let marker = home.path().join(MARKER);
        std::fs::create_dir_all(marker.parent().unwrap()).unwrap();
        assert!(known("me", now()).is_empty());
        std::os::unix::fs::symlink("17 9.9 of shop by bob@elsewhere", &marker).unwrap();
        let at = TimestampMs(now().0 + 1000);
        assert_eq!(known("me", at), [("shop".to_owned(), "9.9 of shop by bob@elsewhere".to_owned())]);
        assert!(known("elsewhere", at).is_empty(), "our own is known by its notice");
        assert!(known("me", TimestampMs(at.0 + ELSEWHERE_MAX_MS)).is_empty(), "not for ever");
        std::fs::remove_file(&marker).unwrap();
        std::fs::write(&marker, "17 9.9 of shop by bob@elsewhere").unwrap();
        assert!(known("me", at).is_empty(), "it is a link or none of ours");
    }

    fn hit(words: &[&str], paths: &[&str]) -> Vec<String> {
        let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
        touched(&keep(), words, &paths).into_iter().collect()
    }

    #[test]
    fn a_service_is_meant_by_its_name_its_unit_or_where_its_releases_lie() {
        assert_eq!(hit(&["systemctl", "restart", "nginx"], &[]), ["web"]);
        assert_eq!(hit(&["nginx.service", "db"], &[]), ["db", "web"]);
        assert_eq!(hit(&[], &["/srv/shop"]), ["shop"]);
        assert_eq!(hit(&[], &["/srv/shop/current"]), ["shop"]);
        assert_eq!(hit(&[], &["/srv/shop/releases/1.4"]), ["shop"]);
        assert!(hit(&["nginx-light"], &["/srv/shopping", "/srv/other", "/srv", "/"]).is_empty());
    }
}

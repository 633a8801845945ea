//! A deployment: planned, written down, taken up again.

use std::future::Future;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use futures_util::stream;
use wellkept_model::Text;
use wellkept_model::keep::App;

use crate::artefact::{self, Prepared};
use crate::error::DeployError;
use crate::host::{Bad, Done, Look, Site};
use crate::house::{Held, House};
use crate::journal::{Act, FORMAT, Head, HostPlan, How, Journal, Known, Step};
use crate::plan::batches;
use crate::version::Version;
use crate::world::World;

/// Hosts that are worked on at once.
const AT_ONCE: usize = 20;

/// What is wanted.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The app.
    pub app: &'a App,
    /// What is done.
    pub act: Act,
    /// The version.
    pub version: Version,
    /// The hosts, in order.
    pub hosts: Vec<String>,
    /// A checksum from the command line.
    pub sha256: Option<String>,
    /// The user.
    pub who: String,
    /// This machine.
    pub controller: String,
}

/// What would be done.
#[derive(Debug)]
pub struct Preview {
    /// All choices.
    pub head: Head,
    /// The artefact, when one is brought.
    pub bytes: Option<u64>,
}

/// A deployment under way. While it lives no other one of the app can be begun.
#[derive(Debug)]
pub struct Deployment<'a, W> {
    pub(crate) world: &'a W,
    pub(crate) app: &'a App,
    pub(crate) version: Version,
    pub(crate) head: Head,
    pub(crate) journal: Journal,
    pub(crate) house: &'a House,
    _held: Held,
}

impl<'a, W: World> Deployment<'a, W> {
    /// Looks at everything and says what would be done; changes nothing on any host.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub async fn preview(world: &W, house: &House, asked: &Asked<'_>) -> Result<Preview, DeployError> {
        let _held = house.lock()?;
        let (head, prepared) = plan(world, house, asked).await?;
        let _ = std::fs::remove_file(house.artefact_path(&head.id));
        Ok(Preview { head, bytes: prepared.map(|p| p.bytes) })
    }

    /// Plans it, asks every guard, and writes it down. Nothing was changed on a host yet.
    ///
    /// # Errors
    /// [`DeployError::Refused`] when a guard says no.
    pub async fn begin(world: &'a W, house: &'a House, asked: &Asked<'a>) -> Result<Self, DeployError> {
        let held = house.lock()?;
        house.tidy()?;
        let (head, _) = plan(world, house, asked).await?;
        let journal = house.begin(&head)?;
        Ok(Self { world, app: asked.app, version: asked.version.clone(), head, journal, house, _held: held })
    }

    /// Takes up the one that was interrupted. `assume_done`: a person has looked, and what was begun without an end is
    /// taken for done. `back`: it will only go back, so that nothing has to be known.
    ///
    /// # Errors
    /// [`DeployError::Refused`] when there is none, when the app lies elsewhere by now, or when a step is in doubt.
    pub async fn resume(
        world: &'a W,
        house: &'a House,
        app: &'a App,
        assume_done: bool,
        back: bool,
    ) -> Result<Self, DeployError> {
        let held = house.lock()?;
        let Some(id) = house.open_one()? else {
            return DeployError::refused(Text::new("deploy.nothing_open").with("app", &app.name));
        };
        let journal = Journal::resume(&house.journal_path(&id))?;
        let head = journal.told(|told| told.head.clone());
        let version = head.as_ref().and_then(|head| head.version.parse().ok());
        let (Some(head), Some(version)) = (head, version) else {
            return DeployError::refused(Text::new("deploy.nothing_open").with("app", &app.name));
        };
        let to = app.to.display().to_string();
        if head.to != to {
            let text = Text::new("deploy.moved").with("before", &head.to).with("now", to);
            return DeployError::refused(text);
        }
        let deployment = Self { world, app, version, head, journal, house, _held: held };
        let doubtful = deployment.journal.told(crate::journal::Told::doubtful);
        if !back {
            for (host, step) in &doubtful {
                if !assume_done {
                    let text = Text::new("deploy.doubt").with("host", host).with("step", step.word());
                    return DeployError::refused(text.with("app", &app.name));
                }
                deployment.journal.end(host, *step, How::Ok, Some(Text::new("deploy.assumed")))?;
            }
        }
        Ok(deployment)
    }

    /// What it is.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// A person has looked after what was left open: nothing is done, and the next deployment may begin. Our markers are
    /// taken away where hosts can be reached.
    ///
    /// # Errors
    /// The disk.
    pub async fn settle(self, who: &str) -> Result<(), DeployError> {
        self.unmark().await;
        self.journal.settled(self.world.now(), who)
    }

    pub(crate) fn artefact(&self) -> PathBuf {
        self.house.artefact_path(&self.head.id)
    }

    pub(crate) fn site<'s>(&'s self, host: &'s str, version: &'s Version) -> Site<'s, W> {
        Site { world: self.world, app: self.app, host, version }
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        self.head.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Does it on hosts, some at once.
    pub(crate) async fn each<'s, T, F>(
        &'s self,
        hosts: &'s [String],
        work: impl Fn(String) -> F + Send + 's,
    ) -> Vec<(String, T)>
    where
        T: Send,
        F: Future<Output = T> + Send,
    {
        all(hosts, work).await
    }

    /// Writes a step down, does it, and writes its end down. One that has succeeded before is not done again.
    pub(crate) async fn step(
        &self,
        host: &str,
        step: Step,
        work: impl Future<Output = Done<()>> + Send,
    ) -> Done<()> {
        if self.journal.known(host, step) == Some(Known::Ended(How::Ok)) {
            return Ok(());
        }
        self.journal.begin(host, step).map_err(|error| Bad::failed(error.text()))?;
        let result = work.await;
        let (how, why) = match &result {
            Ok(()) => (How::Ok, None),
            Err(bad) => (bad.how, Some(bad.why.clone())),
        };
        // The step is done or not, whether its end can be written down or not; without it, it would be taken for unknown.
        self.journal.end(host, step, how, why).map_err(|error| Bad::failed(error.text()))?;
        result
    }

    /// Takes our markers away; where that is not possible it is told.
    pub(crate) async fn unmark(&self) {
        let hosts = self.hosts();
        let done =
            self.each(&hosts, |host| async move { self.site(&host, &self.version).unmark(&self.head).await });
        for (host, result) in done.await {
            if let Err(bad) = result {
                self.world.tell(Text::new("deploy.still_marked").with("host", host).with("why", why(&bad)));
            }
        }
    }
}

/// The reason, to be put into another text.
pub(crate) fn why(bad: &Bad) -> String {
    let values = bad.why.args.iter().map(|(_, value)| value.as_str());
    let values = values.collect::<Vec<_>>().join(", ");
    if values.is_empty() { bad.why.key.clone() } else { values }
}

/// Does it on hosts, some at once; in the order of the hosts.
async fn all<T: Send, F: Future<Output = T> + Send>(
    hosts: &[String],
    work: impl Fn(String) -> F + Send,
) -> Vec<(String, T)> {
    let running = hosts.iter().map(|host| {
        let (name, doing) = (host.clone(), work(host.clone()));
        async move { (name, doing.await) }
    });
    stream::iter(running.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await
}

/// Makes every choice. The lock is held.
async fn plan<W: World>(
    world: &W,
    house: &House,
    asked: &Asked<'_>,
) -> Result<(Head, Option<Prepared>), DeployError> {
    if let Some(open) = house.open_one()? {
        let text = Text::new("deploy.interrupted").with("id", open).with("app", &asked.app.name);
        return DeployError::refused(text);
    }
    // To go back is allowed also while everything else stands still.
    if let Some(why) = world.halted().filter(|_| asked.act == Act::Deploy) {
        return DeployError::refused(why);
    }
    if asked.hosts.is_empty() {
        return DeployError::refused(Text::new("deploy.no_hosts").with("pattern", &asked.app.hosts));
    }
    let now = world.now();
    let id = format!("{:015}-{}", now.0, std::process::id());
    let errors_before = match asked.app.errors.as_ref().filter(|_| asked.act == Act::Deploy) {
        None => None,
        Some(errors) => match world.query(&errors.query).await {
            Ok(before) => before,
            Err(why) => return DeployError::refused(Text::new("deploy.no_baseline").with("why", why)),
        },
    };
    let prepared = match asked.act {
        Act::Rollback => None,
        Act::Deploy => {
            let to = house.artefact_path(&id);
            let given = asked.sha256.as_deref();
            Some(artefact::prepare(asked.app, &asked.version, given, &to, now).await?)
        }
    };
    let looks = all(&asked.hosts, |host| async move {
        Site { world, app: asked.app, host: &host, version: &asked.version }.look().await
    });
    let (mut hosts, mut already) = (Vec::new(), Vec::new());
    for (name, look) in looks.await {
        let sha256 = prepared.as_ref().map(|p| p.sha256.as_str());
        let checked = look.map_err(|bad| (bad.why.clone(), why(&bad))).and_then(|look| {
            let has = guard(asked, &look, sha256).map_err(|text| (text, String::new()))?;
            Ok((has, look))
        });
        match checked {
            Ok((true, _)) => already.push(name),
            Ok((false, look)) => hosts.push(HostPlan { name, before: look.current }),
            Err((text, _)) => {
                let _ = std::fs::remove_file(house.artefact_path(&id));
                return DeployError::refused(text.with("host", &name));
            }
        }
    }
    let names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    let batches = match asked.act {
        Act::Deploy => batches(&names, &asked.app.batches),
        Act::Rollback => batches(&names, &[]),
    };
    let head = Head {
        format: FORMAT,
        id,
        app: asked.app.name.clone(),
        act: asked.act,
        version: asked.version.to_string(),
        who: asked.who.clone(),
        controller: asked.controller.clone(),
        began_ms: now.0,
        to: asked.app.to.display().to_string(),
        hosts,
        already,
        batches,
        sha256: prepared.as_ref().map(|p| p.sha256.clone()),
        commit: prepared.as_ref().and_then(|p| p.commit.clone()),
        errors_before,
    };
    Ok((head, prepared))
}

/// Whether a host has it already; why it may not be begun.
fn guard(asked: &Asked<'_>, look: &Look, sha256: Option<&str>) -> Result<bool, Text> {
    let version = asked.version.as_str();
    if let Some(marker) = &look.marker {
        let path = format!("{}/.wellkept/deploying", asked.app.to.display());
        return Err(Text::new("deploy.marked").with("path", path).with("marker", marker));
    }
    let is_current = look.current.as_deref() == Some(version);
    match asked.act {
        Act::Rollback if !look.there => Err(Text::new("deploy.no_release").with("version", version)),
        Act::Rollback => Ok(is_current),
        Act::Deploy => {
            if let Some(name) = look.missing.first() {
                let path = format!("{}/shared/{name}", asked.app.to.display());
                return Err(Text::new("deploy.no_shared").with("path", path));
            }
            match look.mark.as_deref() {
                None if look.there => Err(Text::new("deploy.foreign_release").with("version", version)),
                mark if is_current && mark != sha256 => {
                    Err(Text::new("deploy.other_content").with("version", version))
                }
                _ => Ok(is_current),
            }
        }
    }
}

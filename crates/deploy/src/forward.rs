//! Batch by batch onto the hosts.

use wellkept_model::Text;

use crate::check::Watched;
use crate::deployment::{Deployment, why};
use crate::error::DeployError;
use crate::host::{Bad, Done};
use crate::journal::{Act, How, Status, Step};
use crate::world::World;

/// Why it went no further.
pub(crate) enum Stop {
    /// It is not well.
    Ill(Text),
    /// The stop switch, or a person.
    Halted(Text),
}

impl<W: World> Deployment<'_, W> {
    /// Does it, or goes on with it, to its end. An end that is [`Status::Interrupted`] can be taken up again.
    ///
    /// # Errors
    /// Our own files; what was done so far can be taken up.
    pub async fn run(self) -> Result<(Status, Option<Text>), DeployError> {
        let (turned, failed) = self.journal.told(|told| (told.turned.clone(), told.failed.clone()));
        if let Some(why) = turned {
            return self.back(why).await;
        }
        if let Some((host, step)) = failed.filter(|_| self.head.act == Act::Deploy) {
            let why = Text::new("deploy.step").with("host", host).with("step", step.word());
            return self.back(why.with("why", "-")).await;
        }
        match self.forward().await {
            Ok(()) => self.finish().await,
            Err(Stop::Halted(why)) => {
                self.world.tell(Text::new("deploy.halted").with("app", &self.app.name));
                Ok((Status::Interrupted, Some(why)))
            }
            Err(Stop::Ill(why)) => match self.head.act {
                Act::Deploy => self.back(why).await,
                // Who goes back and is not well there has nowhere else to go: a person decides.
                Act::Rollback => {
                    self.unmark().await;
                    self.over(self.doubt(Status::Failed), Some(why))
                }
            },
        }
    }

    /// Unknown, where a step has no known end.
    pub(crate) fn doubt(&self, otherwise: Status) -> Status {
        if self.journal.told(|told| told.doubtful().is_empty()) { otherwise } else { Status::Unknown }
    }

    pub(crate) fn over(
        &self,
        status: Status,
        why: Option<Text>,
    ) -> Result<(Status, Option<Text>), DeployError> {
        self.journal.over(self.world.now(), status, why.clone())?;
        self.house.tidy()?;
        Ok((status, why))
    }

    async fn forward(&self) -> Result<(), Stop> {
        let hosts = self.hosts();
        let marked = self.each(&hosts, |host| async move {
            let site = self.site(&host, &self.version);
            self.step(&host, Step::Mark, site.mark(&self.head)).await
        });
        first_bad(marked.await, Step::Mark)?;
        let count = self.head.batches.len();
        for (number, batch) in self.head.batches.iter().enumerate() {
            if self.journal.has_held(number) {
                continue;
            }
            if let Some(why) = self.world.halted() {
                return Err(Stop::Halted(why));
            }
            let text = Text::new("deploy.batch").with("number", number + 1).with("count", count);
            self.world.tell(text.with("hosts", batch.join(", ")).with("version", &self.version));
            let onto = self.each(batch, |host| async move { self.onto(&host).await }).await;
            for (host, result) in onto {
                if let Err((step, bad)) = result {
                    return Err(Stop::Ill(told(&host, step, &bad)));
                }
            }
            match self.watch(batch, self.app.hold, self.head.act == Act::Deploy).await {
                Watched::Well => {}
                Watched::Ill(why) => return Err(Stop::Ill(why)),
                Watched::Halted(why) => return Err(Stop::Halted(why)),
            }
            self.journal.held(number).map_err(|error| Stop::Ill(error.text()))?;
            self.world.tell(Text::new("deploy.batch_well").with("number", number + 1).with("count", count));
        }
        Ok(())
    }

    /// Everything on one host, to the restart.
    async fn onto(&self, host: &str) -> Result<(), (Step, Bad)> {
        let site = self.site(host, &self.version);
        let at = |step| move |bad| (step, bad);
        if let Some(sha256) = &self.head.sha256 {
            let artefact = self.artefact();
            let stage = site.stage(&self.head, &artefact, sha256);
            self.step(host, Step::Stage, stage).await.map_err(at(Step::Stage))?;
        }
        let deploys = self.head.act == Act::Deploy;
        if let Some(before) = self.app.before.as_ref().filter(|_| deploys) {
            self.step(host, Step::Before, site.command(before, true)).await.map_err(at(Step::Before))?;
        }
        let switch = async {
            site.switch(self.version.as_str()).await?;
            let version = self.version.as_str();
            self.world.changed(host, self.head.before(host), Some(version)).await;
            Ok(())
        };
        self.step(host, Step::Switch, switch).await.map_err(at(Step::Switch))?;
        if let Some(restart) = &self.app.restart {
            self.step(host, Step::Restart, site.command(restart, false)).await.map_err(at(Step::Restart))?;
        }
        if let Some(after) = self.app.after.as_ref().filter(|_| deploys) {
            self.step(host, Step::After, site.command(after, true)).await.map_err(at(Step::After))?;
        }
        Ok(())
    }

    async fn finish(&self) -> Result<(Status, Option<Text>), DeployError> {
        let hosts = self.hosts();
        let tidied = self.each(&hosts, |host| async move {
            self.site(&host, &self.version).tidy(self.head.before(&host)).await
        });
        for (host, result) in tidied.await {
            if let Err(bad) = result {
                self.world.tell(Text::new("deploy.not_tidied").with("host", host).with("why", why(&bad)));
            }
        }
        self.unmark().await;
        self.over(Status::Done, None)
    }
}

/// What happened on a host, for people.
fn told(host: &str, step: Step, bad: &Bad) -> Text {
    let key = if bad.how == How::Unknown { "deploy.step_unknown" } else { "deploy.step" };
    Text::new(key).with("host", host).with("step", step.word()).with("why", why(bad))
}

fn first_bad(results: Vec<(String, Done<()>)>, step: Step) -> Result<(), Stop> {
    let bad = results.into_iter().find_map(|(host, result)| Some((host, result.err()?)));
    bad.map_or(Ok(()), |(host, bad)| Err(Stop::Ill(told(&host, step, &bad))))
}

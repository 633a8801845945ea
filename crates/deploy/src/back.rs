//! Back to what was before, on every host that was switched.
//!
//! A step back is the same done once or twice, so it is tried again, and it is done also when it cannot be written
//! down: a host that stays with a release that is not well is worse than a journal with a gap.

use std::time::Duration;

use wellkept_model::Text;

use crate::check::Watched;
use crate::deployment::{Deployment, why};
use crate::error::DeployError;
use crate::host::{Bad, Done};
use crate::journal::{How, Status, Step};
use crate::version::Version;
use crate::world::World;

/// How often a step back is tried.
const ATTEMPTS: u32 = 3;
/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

impl<W: World> Deployment<'_, W> {
    /// Goes back because somebody wants it.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn go_back(self, who: &str) -> Result<(Status, Option<Text>), DeployError> {
        let turned = self.journal.told(|told| told.turned.clone());
        let why = turned.unwrap_or_else(|| Text::new("deploy.asked_back").with("who", who));
        self.back(why).await
    }

    pub(crate) async fn back(&self, why_back: Text) -> Result<(Status, Option<Text>), DeployError> {
        if self.journal.told(|told| told.turned.is_none())
            && let Err(error) = self.journal.turned(&why_back)
        {
            self.world.tell(error.text());
        }
        self.world.tell(why_back.clone());
        let mut hosts = self.hosts();
        hosts.reverse();
        hosts.retain(|host| self.journal.known(host, Step::Switch).is_some());
        if !hosts.is_empty() {
            self.world.tell(Text::new("deploy.goes_back").with("hosts", hosts.join(", ")));
        }
        let results = self.each(&hosts, |host| async move { self.back_on(&host).await }).await;
        let mut worst = self.doubt(Status::RolledBack);
        let mut put_back = Vec::new();
        for (host, result) in results {
            match result {
                Ok(()) if self.head.before(&host).is_some() => put_back.push(host),
                Ok(()) => {}
                Err(bad) => {
                    self.world.tell(Text::new("deploy.not_back").with("host", &host).with("why", why(&bad)));
                    worst = match (bad.how, worst) {
                        (How::Unknown | How::Unreachable, _) | (_, Status::Unknown) => Status::Unknown,
                        _ => Status::Failed,
                    };
                }
            }
        }
        if !put_back.is_empty()
            && let Watched::Ill(why) = self.watch(&put_back, Duration::ZERO, false).await
        {
            self.world.tell(Text::new("deploy.back_ill"));
            self.world.tell(why);
        }
        // Else somebody has to look, and nobody else may begin meanwhile.
        if worst == Status::RolledBack {
            self.unmark().await;
        }
        self.over(worst, Some(why_back))
    }

    /// One host back to what it had.
    async fn back_on(&self, host: &str) -> Done<()> {
        let before = self.head.before(host);
        let version: Option<Version> = before.and_then(|before| before.parse().ok());
        self.again(host, Step::Back, || async {
            let site = self.site(host, version.as_ref().unwrap_or(&self.version));
            match before {
                Some(before) => site.switch(before).await?,
                None => site.unswitch().await?,
            }
            self.world.changed(host, Some(self.version.as_str()), before).await;
            Ok(())
        })
        .await?;
        let restarted = self.journal.known(host, Step::Restart).is_some();
        let (Some(restart), Some(version), true) = (&self.app.restart, &version, restarted) else {
            return Ok(());
        };
        let site = self.site(host, version);
        self.again(host, Step::BackRestart, || site.command(restart, false)).await
    }

    async fn again<F: Future<Output = Done<()>> + Send>(
        &self,
        host: &str,
        step: Step,
        work: impl Fn() -> F,
    ) -> Done<()> {
        // The journal is told what is known of it, and is not asked for leave.
        let note = |error: Result<(), DeployError>| {
            if let Err(error) = error {
                self.world.tell(error.text());
            }
        };
        note(self.journal.begin(host, step));
        let mut result = work().await;
        for _ in 1..ATTEMPTS {
            if result.is_ok() {
                break;
            }
            self.world.wait(PAUSE).await;
            result = work().await;
        }
        let (how, why) = match &result {
            Ok(()) => (How::Ok, None),
            Err(Bad { how, why }) => (*how, Some(why.clone())),
        };
        note(self.journal.end(host, step, how, why));
        result
    }
}

//! Noticing the end of a process that is not our child, and learning how it ended.

use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, geteuid, pidfd_open};
use wellkept_kernel::{Ended, Readable};
use wellkept_model::observe::Exit;

use super::process::{Identified, identify, uid};
use crate::proc_stat;
use crate::source::read_once;

/// Time between two looks where the kernel gives no pidfd (before 5.3, or forbidden).
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long we wait for the parent to collect a process whose end only it may read yet. Longer would hold up the
/// recovery for a detail.
const COLLECT_WAIT: Duration = Duration::from_millis(200);

/// Time between two tries within [`COLLECT_WAIT`].
const COLLECT_STEP: Duration = Duration::from_millis(5);

/// A hold on one process.
#[derive(Debug)]
pub(super) struct Hold {
    process: Identified,
    uid: Option<u32>,
    pidfd: Option<Readable>,
}

impl Hold {
    /// Takes hold of a process. If it has ended since it was identified, [`Self::ended`] returns at once.
    pub(super) fn of(process: Identified) -> Self {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let pidfd = pid
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            // Opened after its number was given out again: the descriptor is somebody else's.
            .filter(|_| identify(process.pid).is_none_or(|p| p.start_ticks == process.start_ticks))
            .and_then(|fd| Readable::new(fd).ok());
        Self { process, uid: uid(process.pid), pidfd }
    }

    /// Waits until the process has ended; a zombie has. Cancel safe.
    pub(super) async fn ended(&self) {
        if let Some(pidfd) = &self.pidfd
            && pidfd.wait().await.is_ok()
        {
            return;
        }
        while is_there(self.process) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How it ended; asked after [`Self::ended`].
    ///
    /// A zombie shows its wait status in `/proc` to those who may trace it; a collected process shows it through its
    /// pidfd (Linux 6.15). Between the two nobody knows, so we try for a moment.
    pub(super) async fn how(&self) -> Exit {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(exit) = self.told_by_pidfd() {
                return exit;
            }
            match self.zombie_status() {
                Some(Zombie::Told(exit)) => return exit,
                Some(Zombie::Hidden) if waited < COLLECT_WAIT => {}
                // Collected just now: the pidfd knows if anybody does.
                _ => return self.told_by_pidfd().unwrap_or(Exit::Unknown),
            }
            tokio::time::sleep(COLLECT_STEP).await;
            waited += COLLECT_STEP;
        }
    }

    fn told_by_pidfd(&self) -> Option<Exit> {
        wellkept_kernel::exit_info(self.pidfd.as_ref()?).ok().flatten().map(exit)
    }

    fn zombie_status(&self) -> Option<Zombie> {
        let text = read_once(format!("/proc/{}/stat", self.process.pid)).ok()?;
        let stat = proc_stat::parse(&text).filter(|s| s.start_ticks == self.process.start_ticks)?;
        let me = geteuid().as_raw();
        // The kernel writes 0 to those who may not know, which would read as "ended well".
        let may_know = stat.exit_code != 0 || me == 0 || self.uid == Some(me);
        Some(if stat.state == 'Z' && may_know {
            Zombie::Told(exit(Ended::from_wait_status(stat.exit_code)))
        } else {
            Zombie::Hidden
        })
    }
}

enum Zombie {
    Told(Exit),
    Hidden,
}

fn exit(ended: Ended) -> Exit {
    match ended {
        Ended::Code(code) => Exit::Code(code),
        Ended::Signal(signal) => Exit::Signal(signal),
    }
}

fn is_there(process: Identified) -> bool {
    identify(process.pid).is_some_and(|p| p.start_ticks == process.start_ticks && p.state != 'Z')
}

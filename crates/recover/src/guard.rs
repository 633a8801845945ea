//! The safe envelope: what must hold before a plan may run without a person. Each guard has a test.

mod means;

use std::collections::BTreeMap;
use std::path::Path;

use wellkept_model::keep::{Keep, Mode, Service};
use wellkept_model::observe::Observation;
use wellkept_model::{
    ActionKind, CauseKind, EntityId, EntityKind, Finding, FindingKind, PlannedAction, ProcessSet, Text,
    TimestampMs,
};

use crate::Ledger;
use crate::plan::rarely_helps;

/// Share of a group's members that, ill at once, stops all automatic action there.
const GROUP_ILL_SHARE: f64 = 0.3;
/// Groups smaller than this are not groups; in larger ones a single member is never that share.
const GROUP_MIN: usize = 4;
/// Services with checks that are needed to doubt our own vantage.
const VANTAGE_MIN: usize = 4;

/// What the guards look at besides the plan.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// When.
    pub now: TimestampMs,
    /// The keep file.
    pub keep: &'a Keep,
    /// Whether the stop switch is on.
    pub frozen: bool,
    /// All findings that hold now, of all incidents.
    pub active: &'a [Finding],
    /// What was seen.
    pub seen: &'a Observation,
    /// What was tried.
    pub ledger: &'a Ledger,
}

/// Whether a plan may run by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may.
    Allowed,
    /// A person may approve it; why it may not run alone.
    Withheld(Text),
    /// Trying again does not help; a person is needed.
    Spent(Text),
}

/// Asks all guards about the steps that answer a cause. The first objection wins.
#[must_use]
pub(crate) fn check(cause: CauseKind, steps: &[PlannedAction], s: &Surroundings<'_>) -> Verdict {
    let objections = steps.iter().flat_map(|step| {
        [
            no_target(step),
            mode(s.keep.automation.mode),
            frozen(s.frozen),
            not_allowed(step, s),
            needs_confirmation(step, s.keep),
            in_maintenance(step, s.seen),
            deployed(step, s.seen),
            made_worse(cause, step, s.ledger),
            helped_rarely(cause, step, s.ledger),
            many_ill(step, s),
            vantage_in_doubt(s),
        ]
    });
    if let Some(text) = objections.flatten().next() {
        return Verdict::Withheld(text);
    }
    steps.iter().find_map(|step| budget_spent(step, s)).map_or(Verdict::Allowed, Verdict::Spent)
}

fn no_target(step: &PlannedAction) -> Option<Text> {
    step.target.name.trim().is_empty().then(|| Text::new("withheld.no_target"))
}

fn mode(mode: Mode) -> Option<Text> {
    (mode != Mode::Act).then(|| Text::new("withheld.mode"))
}

fn frozen(frozen: bool) -> Option<Text> {
    frozen.then(|| Text::new("withheld.frozen"))
}

fn not_allowed(step: &PlannedAction, s: &Surroundings<'_>) -> Option<Text> {
    let keep = s.keep;
    let by_means = means::allowed(step, keep);
    let allowed = by_means.unwrap_or_else(|| match step.target.kind {
        EntityKind::Service => {
            keep.services.get(&step.target.name).is_some_and(|service| may(service, step.kind))
        }
        EntityKind::Filesystem => {
            step.kind == ActionKind::FreeSpace
                && keep.filesystems.get(&step.target.name).is_some_and(|f| !f.free_space.is_empty())
        }
        // A single process, or a session: only of users that are named, and only as long as we see whose it is.
        EntityKind::Process => {
            step.kind == ActionKind::Kill && are_of(&step.subject, &keep.strangers.kill, s.seen)
        }
        EntityKind::Host => {
            step.kind == ActionKind::Reconfigure && are_of(&step.subject, &keep.strangers.slow_down, s.seen)
        }
        EntityKind::Listener => {
            step.kind == ActionKind::Isolate && keep.listeners.as_ref().is_some_and(|l| l.isolate)
        }
        EntityKind::Interface
        | EntityKind::File
        | EntityKind::Backup
        | EntityKind::Dependency
        | EntityKind::Address
        | EntityKind::Account
        | EntityKind::Network => false,
    });
    let text =
        Text::new("withheld.not_allowed").with("action", step.kind.word()).with("name", &step.target.name);
    (!allowed && step.kind != ActionKind::Escalate).then_some(text)
}

/// True when the step names processes, and each of them is seen to belong to one of these users.
fn are_of(subject: &str, users: &[String], seen: &Observation) -> bool {
    let table = seen.local.table.as_ref();
    let is_of = |user: &str| users.iter().any(|u| u == user);
    match subject.parse::<ProcessSet>() {
        Ok(ProcessSet::Some(processes)) => processes.iter().all(|process| {
            let holders = seen.listeners.iter().filter_map(|l| l.holder.as_ref());
            let holders = holders.filter(|h| h.process == *process).map(|h| h.user.as_str());
            let consumers = table.into_iter().flat_map(|t| &t.consumers);
            let consumers =
                consumers.filter(|c| c.process == *process && c.service.is_none()).map(|c| c.user.as_str());
            let mut owners = holders.chain(consumers).peekable();
            owners.peek().is_some() && owners.all(is_of)
        }),
        Ok(ProcessSet::Session { id, uid }) => table
            .into_iter()
            .flat_map(|t| &t.crowds)
            .any(|c| c.session == id && c.uid == uid && !c.of_service && is_of(&c.user)),
        Ok(ProcessSet::Cgroup(path)) => {
            let inside = |group: &str| Path::new(group).starts_with(&path);
            let mut services = seen.services.values().filter_map(|s| s.limits.pids_group.as_deref());
            let mut crowds = table.into_iter().flat_map(|t| &t.crowds).filter(|c| inside(&c.group));
            let mut swarms = table.into_iter().flat_map(|t| &t.swarms);
            swarms.any(|s| s.group == path && s.alone && !s.of_service && is_of(&s.user))
                && crowds.all(|c| !c.of_service && is_of(&c.user))
                && !services.any(inside)
        }
        Ok(ProcessSet::Since { uid, ticks, group }) => table.into_iter().flat_map(|t| &t.swarms).any(|s| {
            s.uid == uid && s.group == group && s.first_ticks >= ticks && !s.of_service && is_of(&s.user)
        }),
        Err(_) => false,
    }
}

/// Starting what others need is a restart in the operator's eyes.
fn may(service: &Service, kind: ActionKind) -> bool {
    let wanted = if kind == ActionKind::StartDependency { ActionKind::Restart } else { kind };
    service.may.iter().any(|k| *k == kind || *k == wanted)
}

fn needs_confirmation(step: &PlannedAction, keep: &Keep) -> Option<Text> {
    let named = keep.automation.confirm.contains(&step.kind);
    named.then(|| Text::new("withheld.confirm").with("action", step.kind.word()))
}

/// Somebody is at work there, and said so.
fn in_maintenance(step: &PlannedAction, seen: &Observation) -> Option<Text> {
    let window = seen.maintenance.iter().find(|w| w.covers(&step.target))?;
    let text =
        Text::new("withheld.maintenance").with("name", &step.target.name).with("reason", &window.reason);
    (step.kind != ActionKind::Escalate).then_some(text)
}

/// A deployment has it in hand: it may be down on purpose, and goes back by itself when it is not well.
#[must_use]
pub fn deployed(step: &PlannedAction, seen: &Observation) -> Option<Text> {
    let work = seen.deploying.iter().find(|w| w.covers(&step.target))?;
    let text = Text::new("withheld.deploying").with("name", &step.target.name).with("what", &work.reason);
    (step.kind != ActionKind::Escalate).then_some(text)
}

fn made_worse(cause: CauseKind, step: &PlannedAction, ledger: &Ledger) -> Option<Text> {
    let stopped = ledger.is_stopped(cause, step.kind);
    stopped.then(|| Text::new("withheld.made_worse").with("action", step.kind.word()))
}

/// Experience says that it is of no use; a person may still want it, and what comes of it is learned from.
fn helped_rarely(cause: CauseKind, step: &PlannedAction, ledger: &Ledger) -> Option<Text> {
    rarely_helps(cause, step.kind, ledger.beliefs()).then(|| {
        let belief = ledger.beliefs().of(cause, step.kind);
        Text::new("withheld.rarely_helps")
            .with("action", step.kind.word())
            .with("helped", belief.helped)
            .with("of", belief.results())
    })
}

/// Many interchangeable members ill at once: the reason is not in any one of them.
fn many_ill(step: &PlannedAction, s: &Surroundings<'_>) -> Option<Text> {
    let group = s.keep.services.get(&step.target.name)?.group.as_ref()?;
    let members: Vec<_> = s.keep.services.values().filter(|m| m.group.as_ref() == Some(group)).collect();
    let ill = members.iter().filter(|m| is_ill(&m.name, s.active)).count();
    #[expect(clippy::cast_precision_loss, reason = "a handful of services")]
    let too_many = members.len() >= GROUP_MIN && ill as f64 >= members.len() as f64 * GROUP_ILL_SHARE;
    let text = Text::new("withheld.many_ill").with("group", group).with("ill", ill).with("of", members.len());
    too_many.then_some(text)
}

fn is_ill(service: &str, active: &[Finding]) -> bool {
    let entity = EntityId::service(service);
    active.iter().any(|f| f.key.entity == entity && f.key.kind != FindingKind::FileChanged)
}

/// Everything runs and everything fails its checks: it is more likely that we cannot see.
fn vantage_in_doubt(s: &Surroundings<'_>) -> Option<Text> {
    let mut worst: BTreeMap<&str, bool> = BTreeMap::new();
    for check in &s.seen.health {
        let failing = worst.entry(&check.service).or_insert(false);
        *failing |= check.failure.is_some();
    }
    let runs = |name: &str| s.seen.services.get(name).is_some_and(|seen| !seen.processes.is_empty());
    let doubt = worst.len() >= VANTAGE_MIN && worst.iter().all(|(name, failing)| *failing && runs(name));
    doubt.then(|| Text::new("withheld.vantage").with("count", worst.len()))
}

fn budget_spent(step: &PlannedAction, s: &Surroundings<'_>) -> Option<Text> {
    let budget = s.keep.automation.attempts;
    let spent = s.ledger.spent(s.now, &step.target, budget);
    (spent >= budget.count as usize).then(|| {
        Text::new("withheld.budget")
            .with("name", &step.target.name)
            .with("count", spent)
            .with("ms", budget.per.as_millis())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finding, health, keep, restart, seen_running};
    use wellkept_model::keep::Filesystem;

    struct Given {
        keep: Keep,
        frozen: bool,
        active: Vec<Finding>,
        seen: Observation,
        ledger: Ledger,
    }

    fn given() -> Given {
        let (active, seen, ledger) = (Vec::new(), Observation::default(), Ledger::default());
        Given { keep: keep(&["a", "b", "c", "d"]), frozen: false, active, seen, ledger }
    }

    fn verdict(g: &Given, step: &PlannedAction) -> String {
        let s = Surroundings {
            now: TimestampMs(100_000),
            keep: &g.keep,
            frozen: g.frozen,
            active: &g.active,
            seen: &g.seen,
            ledger: &g.ledger,
        };
        match check(CauseKind::ProcessCrash, std::slice::from_ref(step), &s) {
            Verdict::Allowed => "allowed".to_owned(),
            Verdict::Withheld(t) | Verdict::Spent(t) => t.key,
        }
    }

    #[test]
    fn what_the_keep_file_allows_may_run() {
        assert_eq!(verdict(&given(), &restart("a")), "allowed");
    }

    #[test]
    fn an_empty_target_never_runs() {
        assert_eq!(verdict(&given(), &restart("")), "withheld.no_target");
        assert_eq!(verdict(&given(), &restart("  ")), "withheld.no_target");
    }

    #[test]
    fn an_undeclared_target_and_an_unnamed_action_need_a_person() {
        let mut g = given();
        assert_eq!(verdict(&g, &restart("stranger")), "withheld.not_allowed");
        g.keep.services.get_mut("a").unwrap().may = vec![ActionKind::Rollback];
        assert_eq!(verdict(&g, &restart("a")), "withheld.not_allowed");
    }

    #[test]
    fn only_the_mode_act_acts() {
        for mode in [Mode::Watch, Mode::Propose] {
            let mut g = given();
            g.keep.automation.mode = mode;
            assert_eq!(verdict(&g, &restart("a")), "withheld.mode");
        }
    }

    #[test]
    fn the_stop_switch_withholds_everything() {
        let g = Given { frozen: true, ..given() };
        assert_eq!(verdict(&g, &restart("a")), "withheld.frozen");
    }

    #[test]
    fn a_kind_that_needs_confirmation_waits() {
        let mut g = given();
        g.keep.automation.confirm = vec![ActionKind::Restart];
        assert_eq!(verdict(&g, &restart("a")), "withheld.confirm");
    }

    #[test]
    fn the_fourth_attempt_within_the_time_needs_a_person() {
        let mut g = given();
        for at in [1, 2, 3] {
            assert_eq!(verdict(&g, &restart("a")), "allowed");
            g.ledger.attempt(TimestampMs(at), EntityId::service("a"));
        }
        assert_eq!(verdict(&g, &restart("a")), "withheld.budget");
        assert_eq!(verdict(&g, &restart("b")), "allowed");
    }

    #[test]
    fn what_made_things_worse_is_stopped_everywhere() {
        let mut g = given();
        g.ledger.stop(CauseKind::ProcessCrash, ActionKind::Restart);
        assert_eq!(verdict(&g, &restart("b")), "withheld.made_worse");
    }

    #[test]
    fn what_hardly_ever_helped_is_left_to_a_person() {
        let mut g = given();
        let failed = || (CauseKind::ProcessCrash, ActionKind::Restart, wellkept_model::Outcome::DidNotHelp);
        for _ in 0..3 {
            let (cause, action, outcome) = failed();
            g.ledger.learn(cause, action, outcome);
            assert_eq!(verdict(&g, &restart("a")), "allowed");
        }
        let (cause, action, outcome) = failed();
        g.ledger.learn(cause, action, outcome);
        assert_eq!(verdict(&g, &restart("a")), "withheld.rarely_helps");
        g.ledger.forget(Some(CauseKind::ProcessCrash), None);
        assert_eq!(verdict(&g, &restart("a")), "allowed");
    }

    #[test]
    fn two_of_four_interchangeable_members_ill_stop_automation_in_the_group() {
        let mut g = given();
        g.active = vec![finding("a", FindingKind::ProcessGone)];
        for service in g.keep.services.values_mut() {
            service.group = Some("web".to_owned());
        }
        assert_eq!(verdict(&g, &restart("a")), "allowed");
        g.active.push(finding("b", FindingKind::ProcessGone));
        assert_eq!(verdict(&g, &restart("a")), "withheld.many_ill");
    }

    #[test]
    fn a_small_group_and_ills_beyond_the_group_do_not_count() {
        let mut g = given();
        for name in ["a", "b", "c"] {
            g.keep.services.get_mut(name).unwrap().group = Some("web".to_owned());
        }
        g.active = ["a", "b", "c"].map(|n| finding(n, FindingKind::ProcessGone)).to_vec();
        assert_eq!(verdict(&g, &restart("a")), "allowed", "three are no group");
        g.keep.services.get_mut("d").unwrap().group = Some("web".to_owned());
        assert_eq!(verdict(&g, &restart("a")), "withheld.many_ill");
        g.active = ["a", "x", "y"].map(|n| finding(n, FindingKind::ProcessGone)).to_vec();
        assert_eq!(verdict(&g, &restart("a")), "allowed", "others are ill");
        g.active = ["a", "b", "c"].map(|n| finding(n, FindingKind::FileChanged)).to_vec();
        assert_eq!(verdict(&g, &restart("a")), "allowed", "a changed file is no illness");
    }

    #[test]
    fn a_process_that_belongs_to_a_service_is_nobodys_stranger() {
        use wellkept_model::ProcessRef;
        use wellkept_model::local::{ConsumerSeen, ProcessTableSeen};
        let mut g = given();
        g.keep.strangers.kill = vec!["batch".to_owned()];
        let consumer = |pid, service: Option<&str>| ConsumerSeen {
            process: ProcessRef { pid, start_ticks: 5 },
            comm: "x".to_owned(),
            user: "batch".to_owned(),
            nice: 0,
            service: service.map(str::to_owned),
            cores: 1.0,
        };
        for (pid, service, expected) in [
            (77, None, "allowed"),
            (77, Some("a"), "withheld.not_allowed"),
            (78, None, "withheld.not_allowed"),
        ] {
            let consumers = vec![consumer(pid, service)];
            g.seen.local.table = Some(ProcessTableSeen { consumers, ..ProcessTableSeen::default() });
            assert_eq!(verdict(&g, &kill("pids 77@5")), expected, "{pid} {service:?}");
        }
    }

    #[test]
    fn when_all_checks_fail_while_everything_runs_we_doubt_ourselves() {
        let mut g = given();
        g.seen = seen_running(&["a", "b", "c", "d"]);
        g.seen.health = ["a", "b", "c", "d"].map(|n| health(n, Some("no route"))).to_vec();
        assert_eq!(verdict(&g, &restart("a")), "withheld.vantage");
        g.seen.health[0].failure = None;
        assert_eq!(verdict(&g, &restart("a")), "allowed");
    }

    #[test]
    fn where_somebody_announced_work_nothing_is_done() {
        let mut g = given();
        let (from, until) = (TimestampMs(0), TimestampMs(i64::MAX));
        let components = vec!["a".to_owned()];
        g.seen.maintenance = vec![wellkept_model::maintenance::Window {
            from,
            until,
            components,
            reason: "x".to_owned(),
            drill: false,
        }];
        assert_eq!(verdict(&g, &restart("a")), "withheld.maintenance");
        g.seen.deploying = std::mem::take(&mut g.seen.maintenance);
        assert_eq!(verdict(&g, &restart("a")), "withheld.deploying");
        assert_ne!(verdict(&g, &restart("b")), "withheld.deploying", "another service");
        g.seen.maintenance = std::mem::take(&mut g.seen.deploying);
        assert_eq!(verdict(&g, &restart("b")), "allowed");
        g.seen.maintenance[0].drill = true;
        assert_eq!(verdict(&g, &restart("a")), "allowed", "a drill is there to be healed");
    }

    fn kill(subject: &str) -> PlannedAction {
        let target = EntityId::new(EntityKind::Process, "python3 [77]");
        PlannedAction { kind: ActionKind::Kill, target, subject: subject.to_owned(), ..restart("a") }
    }

    #[test]
    fn only_processes_of_named_users_that_are_still_seen_are_ended() {
        use wellkept_model::ProcessRef;
        use wellkept_model::observe::{HolderSeen, ListenerSeen};
        let mut g = given();
        let holder = HolderSeen {
            process: ProcessRef { pid: 77, start_ticks: 5 },
            comm: "python3".to_owned(),
            user: "batch".to_owned(),
        };
        let (protocol, address) = ("tcp".to_owned(), "127.0.0.1:1".to_owned());
        g.seen.listeners =
            vec![ListenerSeen { protocol, address, uid: 1, pid: Some(77), holder: Some(holder) }];
        assert_eq!(verdict(&g, &kill("pids 77@5")), "withheld.not_allowed", "nobody is named");
        g.keep.strangers.kill = vec!["batch".to_owned()];
        assert_eq!(verdict(&g, &kill("pids 77@5")), "allowed");
        for other in ["pids 77@6", "pids 78@5", "pids 77@5 78@5", "pids", "", "session 42 uid 1"] {
            assert_eq!(verdict(&g, &kill(other)), "withheld.not_allowed", "{other}");
        }
        g.keep.strangers.kill = vec!["backup".to_owned()];
        assert_eq!(verdict(&g, &kill("pids 77@5")), "withheld.not_allowed", "another user");
    }

    #[test]
    fn a_session_is_ended_only_when_nobody_in_it_belongs_to_a_service() {
        use wellkept_model::local::{CrowdSeen, ProcessTableSeen};
        let mut g = given();
        g.keep.strangers.kill = vec!["batch".to_owned()];
        let crowd = |of_service| CrowdSeen {
            session: 42,
            uid: 1001,
            user: "batch".to_owned(),
            comm: "x".to_owned(),
            count: 200,
            of_service,
            group: "/".to_owned(),
        };
        for (of_service, expected) in [(false, "allowed"), (true, "withheld.not_allowed")] {
            let crowds = vec![crowd(of_service)];
            g.seen.local.table = Some(ProcessTableSeen { crowds, ..ProcessTableSeen::default() });
            assert_eq!(verdict(&g, &kill("session 42 uid 1001")), expected);
            assert_eq!(verdict(&g, &kill("session 42 uid 1002")), "withheld.not_allowed");
            assert_eq!(verdict(&g, &kill("session 43 uid 1001")), "withheld.not_allowed");
        }
    }

    fn swarm() -> wellkept_model::local::SwarmSeen {
        wellkept_model::local::SwarmSeen {
            uid: 1001,
            user: "batch".to_owned(),
            comm: "x".to_owned(),
            count: 200,
            first_ticks: 500,
            of_service: false,
            group: "/batch".to_owned(),
            alone: true,
        }
    }

    #[test]
    fn a_control_group_is_ended_only_when_all_that_is_seen_in_it_may_be_and_no_service_is_there() {
        use wellkept_model::local::{CrowdSeen, ProcessTableSeen, SwarmSeen};
        let mut g = given();
        g.keep.strangers.kill = vec!["batch".to_owned()];
        let crowd = |group: &str, user: &str, of_service| CrowdSeen {
            session: 42,
            uid: 1001,
            user: user.to_owned(),
            comm: "x".to_owned(),
            count: 200,
            of_service,
            group: group.to_owned(),
        };
        let look = |g: &mut Given, swarm: SwarmSeen, crowds| {
            let swarms = vec![swarm];
            g.seen.local.table = Some(ProcessTableSeen { crowds, swarms, ..ProcessTableSeen::default() });
            verdict(g, &kill("cgroup /batch"))
        };
        let no = "withheld.not_allowed";
        assert_eq!(look(&mut g, swarm(), vec![]), "allowed");
        assert_eq!(verdict(&g, &kill("cgroup /")), no);
        assert_eq!(verdict(&g, &kill("cgroup /batch/a")), no, "another group");
        assert_eq!(look(&mut g, SwarmSeen { alone: false, ..swarm() }, vec![]), no, "somebody else is there");
        assert_eq!(look(&mut g, SwarmSeen { of_service: true, ..swarm() }, vec![]), no);
        assert_eq!(look(&mut g, SwarmSeen { user: "alice".to_owned(), ..swarm() }, vec![]), no);
        assert_eq!(look(&mut g, SwarmSeen { group: "/batches".to_owned(), ..swarm() }, vec![]), no);
        assert_eq!(look(&mut g, swarm(), vec![crowd("/batch/a", "batch", true)]), no);
        assert_eq!(look(&mut g, swarm(), vec![crowd("/batch/a", "alice", false)]), no);
        assert_eq!(look(&mut g, swarm(), vec![crowd("/other", "alice", false)]), "allowed");
        g.seen.services.entry("a".to_owned()).or_default().limits.pids_group = Some("/batch/app".to_owned());
        assert_eq!(look(&mut g, swarm(), vec![]), no, "a service is below it");
        g.seen.local.table = None;
        assert_eq!(verdict(&g, &kill("cgroup /batch")), no, "nothing is seen in it");
    }

    #[test]
    fn a_storm_is_ended_only_as_it_is_seen_and_when_no_service_is_in_it() {
        use wellkept_model::local::{ProcessTableSeen, SwarmSeen};
        let mut g = given();
        g.keep.strangers.kill = vec!["batch".to_owned()];
        let look = |g: &mut Given, swarm: SwarmSeen, subject: &str| {
            g.seen.local.table =
                Some(ProcessTableSeen { swarms: vec![swarm], ..ProcessTableSeen::default() });
            verdict(g, &kill(subject))
        };
        let subject = "uid 1001 since 500 in /batch";
        let no = "withheld.not_allowed";
        assert_eq!(look(&mut g, SwarmSeen { alone: false, ..swarm() }, subject), "allowed");
        assert_eq!(look(&mut g, swarm(), "uid 1001 since 400 in /batch"), "allowed", "its first ones ended");
        assert_eq!(look(&mut g, swarm(), "uid 1001 since 501 in /batch"), no, "another storm");
        assert_eq!(look(&mut g, swarm(), "uid 1002 since 500 in /batch"), no);
        assert_eq!(look(&mut g, swarm(), "uid 1001 since 500 in /"), no);
        assert_eq!(look(&mut g, SwarmSeen { of_service: true, ..swarm() }, subject), no);
        assert_eq!(look(&mut g, SwarmSeen { user: "alice".to_owned(), ..swarm() }, subject), no);
    }

    #[test]
    fn a_port_is_blocked_only_where_that_is_declared() {
        let mut g = given();
        let target = EntityId::new(EntityKind::Listener, "tcp 0.0.0.0:31337");
        let step = PlannedAction { kind: ActionKind::Isolate, target, ..restart("a") };
        assert_eq!(verdict(&g, &step), "withheld.not_allowed");
        g.keep.listeners = Some(wellkept_model::keep::Listeners::default());
        assert_eq!(verdict(&g, &step), "withheld.not_allowed");
        g.keep.listeners = Some(wellkept_model::keep::Listeners { isolate: true, allow: Vec::new() });
        assert_eq!(verdict(&g, &step), "allowed");
    }

    #[test]
    fn space_is_freed_only_where_a_rule_is_declared() {
        let mut g = given();
        let mut step = restart("a");
        (step.kind, step.target) = (ActionKind::FreeSpace, EntityId::filesystem("/data"));
        assert_eq!(verdict(&g, &step), "withheld.not_allowed");
        let rule = wellkept_model::keep::FreeSpaceRule {
            glob: "/data/tmp/x-*".to_owned(),
            unless_open: true,
            older_than: None,
        };
        let (mountpoint, full_at) = ("/data".to_owned(), 0.95);
        let fs = Filesystem { mountpoint, full_at, free_space: vec![rule], ..Filesystem::default() };
        g.keep.filesystems.insert("/data".to_owned(), fs);
        assert_eq!(verdict(&g, &step), "allowed");
    }
}

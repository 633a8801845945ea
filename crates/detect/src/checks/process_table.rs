//! What the process table tells: unreaped children that pile up, numbers that run out, work that crowds services out.

use std::collections::BTreeMap;
use std::time::Duration;

use wellkept_model::keep::Keep;
use wellkept_model::local::{ConsumerSeen, ProcessTableSeen};
use wellkept_model::{EntityId, EntityKind, Finding, FindingKind, Severity, Text, TimestampMs};

use super::{finding, seen_at, seen_in};
use crate::Round;

/// Fewest zombies of one parent that are worth a word.
const ZOMBIES_MIN: u32 = 8;
/// Looks in which their number must have risen without falling once.
const ZOMBIE_RISES: u32 = 3;
/// Share of a group's process numbers that counts as all: the last ones go too fast to be seen.
const PIDS_SHARE: f64 = 0.95;
/// How long it must last, milliseconds.
const PIDS_HOLD_MS: u64 = 900;
/// Share of all processors that work outside of services must take; a host may share them with others that we do
/// not see.
const CPU_SHARE: f64 = 0.25;
/// Share of what all processes that stand out use.
const SEEN_SHARE: f64 = 0.5;
/// Share of the time in which tasks wait for a processor.
const CPU_PRESSURE: f64 = 0.1;
/// Share of their time that processes of services must wait in line: who has free processors beside him does not.
const SERVICES_WAIT: f64 = 0.2;
/// Looks in a row, and how long they must span: a build or a report of some seconds is nobody's trouble.
const CPU_LOOKS: u32 = 3;
const CPU_SPAN: Duration = Duration::from_secs(7);
/// From this nice value on work gives way by itself.
const NICE_FROM: i32 = 5;

/// Remembers earlier looks.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    looked: Option<TimestampMs>,
    zombies: BTreeMap<u32, Pile>,
    contended: Option<(TimestampMs, u32)>,
}

/// Zombies of one parent.
#[derive(Debug, Clone, Copy)]
struct Pile {
    since: TimestampMs,
    count: u32,
    rises: u32,
}

impl Processes {
    pub(crate) fn check(&mut self, keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
        let mut found = pids(keep, round);
        let Some(table) = &round.seen.local.table else { return found };
        if self.looked.replace(table.at) != Some(table.at) {
            self.take(table);
        }
        found.extend(self.zombies(table, round));
        found.extend(self.contention(table, round));
        found
    }

    fn take(&mut self, table: &ProcessTableSeen) {
        let mut piles = BTreeMap::new();
        for seen in &table.zombies {
            let before = self.zombies.get(&seen.parent).filter(|p| seen.count >= p.count);
            let pile = match before {
                Some(p) if seen.count > p.count => Pile { count: seen.count, rises: p.rises + 1, ..*p },
                Some(p) => *p,
                None => Pile { since: table.at, count: seen.count, rises: 0 },
            };
            piles.insert(seen.parent, pile);
        }
        self.zombies = piles;
        self.contended = is_contended(table).then(|| match self.contended {
            Some((since, looks)) => (since, looks + 1),
            None => (table.at, 1),
        });
    }

    fn zombies(&self, table: &ProcessTableSeen, round: &Round<'_>) -> Vec<Finding> {
        let piles = table.zombies.iter().filter_map(|seen| {
            let pile = self.zombies.get(&seen.parent)?;
            if pile.count < ZOMBIES_MIN || pile.rises < ZOMBIE_RISES {
                return None;
            }
            let entity = match &seen.service {
                Some(service) => EntityId::service(service),
                None => EntityId::new(EntityKind::Process, format!("{} [{}]", seen.comm, seen.parent)),
            };
            let subject = seen.parent.to_string();
            let mut f = finding(
                entity,
                FindingKind::ZombiesRising,
                &subject,
                Severity::Warning,
                pile.since,
                round.now,
            );
            f.text = f.text.with("count", seen.count).with("pid", seen.parent);
            let text = Text::new("evidence.zombies").with("count", seen.count).with("pid", seen.parent);
            f.evidence.push(seen_in(table.at, text, "node_processes_state{state=\"Z\"}".to_owned()));
            Some(f)
        });
        piles.collect()
    }

    fn contention(&self, table: &ProcessTableSeen, round: &Round<'_>) -> Option<Finding> {
        let (since, _) = self
            .contended
            .filter(|(since, looks)| *looks >= CPU_LOOKS && table.at.since(*since) >= CPU_SPAN)?;
        let entity = EntityId::host(round.host);
        let mut f = finding(entity, FindingKind::CpuContended, "", Severity::Warning, since, round.now);
        let cores: f64 = strangers(table).map(|c| c.cores).sum();
        let wait = Text::new("evidence.services_wait").with("share", table.services_wait.unwrap_or(0.0));
        f.evidence.push(seen_in(
            table.at,
            wait,
            "rate(node_pressure_cpu_waiting_seconds_total[1m])".to_owned(),
        ));
        f.text = f.text.with("cores", format!("{cores:.1}")).with("of", table.cores);
        for c in strangers(table) {
            let text = Text::new("evidence.consumer")
                .with("comm", &c.comm)
                .with("pid", c.process.pid)
                .with("user", &c.user)
                .with("cores", format!("{:.2}", c.cores));
            f.evidence.push(seen_at(table.at, text));
        }
        Some(f)
    }
}

/// Work of people and jobs that does not give way. Root keeps the host alive; its work is no stranger's.
fn strangers(table: &ProcessTableSeen) -> impl Iterator<Item = &ConsumerSeen> {
    table.consumers.iter().filter(|c| c.service.is_none() && c.nice < NICE_FROM && c.user != "root")
}

fn is_contended(table: &ProcessTableSeen) -> bool {
    let cores: f64 = strangers(table).map(|c| c.cores).sum();
    let seen: f64 = table.consumers.iter().map(|c| c.cores).sum();
    cores >= f64::from(table.cores) * CPU_SHARE
        && cores >= seen * SEEN_SHARE
        && table.cpu_pressure.is_some_and(|p| p >= CPU_PRESSURE)
        && table.services_wait.is_some_and(|w| w >= SERVICES_WAIT)
}

/// Services whose control group has no process numbers left, and the host when it has none.
fn pids(keep: &Keep, round: &Round<'_>) -> Vec<Finding> {
    let services = round.seen.services.iter().filter(|(name, _)| keep.services.contains_key(*name));
    let of_service = services.filter_map(|(name, service)| {
        let query = format!("wellkept_service_cgroup_pids_current{{service={name:?}}}");
        exhausted(EntityId::service(name), service.limits.pids_used?, service.limits.pids?, query, round)
    });
    let of_host = round.seen.local.tasks.and_then(|tasks| {
        let query = "node_processes_threads".to_owned();
        exhausted(EntityId::host(round.host), tasks.used, tasks.limit, query, round)
    });
    of_service.chain(of_host).collect()
}

#[expect(clippy::cast_precision_loss, reason = "process numbers stay below 2^22")]
fn exhausted(entity: EntityId, used: u64, limit: u64, query: String, round: &Round<'_>) -> Option<Finding> {
    if limit == 0 || (used as f64) < limit as f64 * PIDS_SHARE {
        return None;
    }
    let mut f = finding(entity, FindingKind::PidsExhausted, "", Severity::Critical, round.now, round.now);
    f.text = f.text.with("used", used).with("limit", limit);
    f.hold_ms = PIDS_HOLD_MS;
    let text = Text::new("evidence.pids").with("used", used).with("limit", limit);
    f.evidence.push(seen_in(round.now, text, query));
    Some(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::World;
    use wellkept_model::ProcessRef;
    use wellkept_model::local::{TasksSeen, ZombiesSeen};

    fn look(w: &mut World, change: impl FnOnce(&mut ProcessTableSeen)) -> Vec<FindingKind> {
        w.advance(4000);
        let mut table = ProcessTableSeen { at: w.now(), cores: 2, ..ProcessTableSeen::default() };
        change(&mut table);
        w.seen.local.table = Some(table);
        w.kinds()
    }

    fn zombies(count: u32) -> impl FnOnce(&mut ProcessTableSeen) {
        move |t| {
            let service = Some("worker".to_owned());
            t.zombies = vec![ZombiesSeen { parent: 9, comm: "python3".to_owned(), service, count }];
        }
    }

    #[test]
    fn children_that_pile_up_are_found_and_some_that_come_and_go_are_not() {
        let mut w = World::new(&["worker"]);
        let rising: Vec<_> = [3, 9, 15, 21, 27].into_iter().map(|n| look(&mut w, zombies(n))).collect();
        assert!(rising[1].is_empty());
        assert_eq!(rising[4], [FindingKind::ZombiesRising]);
        let mut w = World::new(&["worker"]);
        for n in [9, 12, 3, 14, 9, 15, 2, 30, 30, 30] {
            assert!(look(&mut w, zombies(n)).is_empty(), "{n}");
        }
    }

    fn busy(nice: i32, user: &str, service: Option<&str>, pressure: f64, wait: f64) -> Vec<FindingKind> {
        let mut w = World::new(&["app"]);
        let mut kinds = Vec::new();
        for _ in 0..4 {
            kinds = look(&mut w, |t| {
                (t.cpu_pressure, t.services_wait) = (Some(pressure), Some(wait));
                let consumer = |pid| ConsumerSeen {
                    process: ProcessRef { pid, start_ticks: 5 },
                    comm: "report".to_owned(),
                    user: user.to_owned(),
                    nice,
                    service: service.map(str::to_owned),
                    cores: 0.9,
                };
                t.consumers = vec![consumer(7), consumer(8)];
            });
        }
        kinds
    }

    #[test]
    fn work_of_nobody_that_takes_the_processors_is_contention() {
        assert_eq!(busy(0, "batch", None, 0.6, 0.3), [FindingKind::CpuContended]);
        // Services with little to do are seldom in line, but each time for long.
        assert_eq!(busy(0, "batch", None, 0.15, 0.3), [FindingKind::CpuContended]);
    }

    #[test]
    fn nice_batch_work_services_root_and_idle_processors_are_no_contention() {
        assert!(busy(19, "batch", None, 0.6, 0.3).is_empty(), "the nightly batch gives way");
        assert!(busy(0, "shop", Some("app"), 0.6, 0.3).is_empty(), "tripled traffic");
        assert!(busy(0, "root", None, 0.6, 0.3).is_empty());
        assert!(busy(0, "batch", None, 0.9, 0.05).is_empty(), "jobs wait for each other and for nobody else");
        assert!(busy(0, "batch", None, 0.05, 0.3).is_empty(), "nobody waits");
    }

    #[test]
    fn a_group_without_free_numbers_is_found() {
        let mut w = World::new(&["app"]);
        w.up("app", 1);
        let limits = &mut w.seen.services.get_mut("app").expect("up").limits;
        (limits.pids, limits.pids_used) = (Some(300), Some(200));
        assert!(w.kinds().is_empty());
        w.seen.services.get_mut("app").expect("up").limits.pids_used = Some(299);
        assert_eq!(w.kinds(), [FindingKind::PidsExhausted]);
    }

    #[test]
    fn a_host_without_free_numbers_is_found() {
        let mut w = World::new(&["app"]);
        w.seen.local.tasks = Some(TasksSeen { used: 30_000, limit: 32_768 });
        assert!(w.kinds().is_empty());
        w.seen.local.tasks = Some(TasksSeen { used: 32_700, limit: 32_768 });
        assert_eq!(w.kinds(), [FindingKind::PidsExhausted]);
    }
}

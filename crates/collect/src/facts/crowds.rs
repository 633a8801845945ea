//! Many processes of one program: in one session, or of one user in whatever sessions.
//!
//! A storm of forks stays in the session of whoever began it, unless each child begins one of its own. The second look
//! needs owner and control group of every process, so it is only had while process numbers run out.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use wellkept_model::local::{CrowdSeen, SwarmSeen};

use super::table::{LIST_MAX, Owners, Row, pids_group, uid};
use crate::accounts::Accounts;

/// Processes of one program that make a crowd.
const CROWD_MIN: u32 = 30;
/// A process that began this long before the next one of its kind is none of a storm, seconds.
const APART: u64 = 60;

/// Sessions with many processes of one program, biggest first.
pub(super) fn crowds(rows: &[Row], owners: &Owners) -> Vec<CrowdSeen> {
    let mut groups: HashMap<(u32, &str), Vec<&Row>> = HashMap::new();
    for row in rows.iter().filter(|r| counts(r)) {
        groups.entry((row.session, &row.comm)).or_default().push(row);
    }
    let mut big: Vec<_> = groups.into_iter().filter(|(_, of)| count(of) >= CROWD_MIN).collect();
    big.sort_by_key(|((session, _), of)| (std::cmp::Reverse(of.len()), *session));
    big.truncate(LIST_MAX);
    let accounts = if big.is_empty() { Accounts::default() } else { Accounts::read() };
    let seen = |((session, comm), of): ((u32, &str), Vec<&Row>)| {
        let (uid, group) = of.iter().find_map(|r| Some((uid(r.process.pid)?, pids_group(r.process.pid)?)))?;
        Some(CrowdSeen {
            session,
            uid,
            user: accounts.name(uid),
            comm: comm.to_owned(),
            count: count(&of),
            of_service: of.iter().any(|r| owners.contains_key(&r.process.pid)),
            group,
        })
    };
    big.into_iter().filter_map(seen).collect()
}

/// Programs of which one user has many processes in one control group and in many sessions, biggest first.
pub(super) fn swarms(rows: &[Row], owners: &Owners) -> Vec<SwarmSeen> {
    // One that has ended meanwhile is simply left out.
    let place = |row| Placed::of(row, owners);
    let placed: Vec<Placed<'_>> = rows.iter().filter(|r| r.state != 'Z').filter_map(place).collect();
    let mut found: Vec<SwarmSeen> = swarms_of(&placed, rustix::param::clock_ticks_per_second().max(1));
    found.sort_by(|a, b| b.count.cmp(&a.count).then(a.first_ticks.cmp(&b.first_ticks)));
    found.truncate(LIST_MAX);
    let accounts = if found.is_empty() { Accounts::default() } else { Accounts::read() };
    for swarm in &mut found {
        swarm.user = accounts.name(swarm.uid);
    }
    found
}

/// A process with its owner and group.
struct Placed<'a> {
    row: &'a Row,
    uid: u32,
    group: String,
    of_service: bool,
}

impl<'a> Placed<'a> {
    fn of(row: &'a Row, owners: &Owners) -> Option<Self> {
        let pid = row.process.pid;
        Some(Self { row, uid: uid(pid)?, group: pids_group(pid)?, of_service: owners.contains_key(&pid) })
    }

    fn began(&self) -> u64 {
        self.row.process.start_ticks
    }
}

fn swarms_of(placed: &[Placed<'_>], ticks_per_second: u64) -> Vec<SwarmSeen> {
    let mut kinds: HashMap<(u32, &str, &str), Vec<&Placed<'_>>> = HashMap::new();
    for p in placed.iter().filter(|p| counts(p.row)) {
        kinds.entry((p.uid, &p.row.comm, &p.group)).or_default().push(p);
    }
    let apart = APART * ticks_per_second;
    let seen = |((uid, comm, group), of): ((u32, &str, &str), Vec<&Placed<'_>>)| {
        let first = first_of_storm(&of, apart)?;
        let of: Vec<_> = of.into_iter().filter(|p| p.began() >= first).collect();
        let sessions: BTreeSet<u32> = of.iter().map(|p| p.row.session).collect();
        let count = count(&of);
        if count < CROWD_MIN || sessions.len() < 2 {
            return None;
        }
        let inside: Vec<_> = placed.iter().filter(|p| Path::new(&p.group).starts_with(group)).collect();
        let forkers: BTreeSet<u32> = of.iter().map(|p| p.row.ppid).collect();
        let is_forker = |p: &&&Placed<'_>| p.uid == uid && forkers.contains(&p.row.process.pid);
        let forked = inside.iter().filter(is_forker).map(|p| p.began());
        let first_ticks = forked.filter(|began| began + apart >= first).min().map_or(first, |f| f.min(first));
        let meant = |p: &&Placed<'_>| p.uid == uid && p.began() >= first_ticks;
        Some(SwarmSeen {
            uid,
            user: String::new(),
            comm: comm.to_owned(),
            count,
            first_ticks,
            of_service: inside.iter().any(|p| meant(p) && p.of_service),
            group: group.to_owned(),
            alone: group != "/" && inside.iter().all(|p| meant(p) && !p.of_service),
        })
    };
    kinds.into_iter().filter_map(seen).collect()
}

/// When the first of the last ones that began close to each other began.
fn first_of_storm(of: &[&Placed<'_>], apart: u64) -> Option<u64> {
    let mut began: Vec<u64> = of.iter().map(|p| p.began()).collect();
    began.sort_unstable();
    let mut later =
        began.windows(2).filter(|w| matches!(w, [a, b] if b - a > apart)).filter_map(|w| w.last().copied());
    later.next_back().or(began.first().copied())
}

/// Session 0 is the kernel's own threads, and whatever was started from outside our namespace of processes: nothing
/// that could be ended as one. What has ended waits for its parent only.
fn counts(row: &Row) -> bool {
    row.session > 0 && row.state != 'Z'
}

fn count<T>(rows: &[T]) -> u32 {
    u32::try_from(rows.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::process::Command;

    use wellkept_model::local::{ProcessTableSeen, TasksSeen};
    use wellkept_model::{ProcessRef, TimestampMs};

    use super::super::table::Table;
    use super::*;

    fn look(table: &mut Table) -> ProcessTableSeen {
        // Numbers that run out make every look a due one.
        let tasks = Some(TasksSeen { used: 9, limit: 10 });
        table.read(TimestampMs(1), &BTreeMap::new(), tasks).expect("there is /proc")
    }

    #[test]
    fn many_processes_of_one_program_in_one_session_are_a_crowd() {
        // A session of their own: started from outside a namespace of processes, ours has no number that can be seen.
        let script = format!("for i in $(seq {CROWD_MIN}); do sleep 611 & done; wait");
        let mut leader =
            Command::new("setsid").args(["sh", "-c", &script]).spawn().expect("it can be started");
        let mut table = Table::default();
        // Until the children have replaced themselves by `sleep`, they bear the shell's name.
        let found = loop {
            if let Some(c) = look(&mut table).crowds.into_iter().find(|c| c.session == leader.id()) {
                break c;
            }
            std::thread::yield_now();
        };
        let ended = Command::new("pkill").args(["-KILL", "-s", &leader.id().to_string()]).status();
        assert!(ended.expect("it can be started").success());
        leader.wait().expect("it is ours");
        assert_eq!(found.comm, "sleep");
        assert!(found.count >= CROWD_MIN && !found.of_service && !found.group.is_empty());
    }

    #[test]
    fn many_processes_of_one_user_in_sessions_of_their_own_are_a_swarm() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A name of their own, so that nobody else's are counted.
        let program = folder.path().join("swarmling");
        std::fs::copy("/bin/sleep", &program).expect("it can be copied");
        let mut children: Vec<_> = (0..CROWD_MIN)
            .map(|_| Command::new("setsid").arg(&program).arg("611").spawn().expect("it can be started"))
            .collect();
        let mut table = Table::default();
        let found = loop {
            if let Some(s) = look(&mut table).swarms.into_iter().find(|s| s.comm == "swarmling")
                && s.count == CROWD_MIN
            {
                break s;
            }
            std::thread::yield_now();
        };
        for child in &mut children {
            child.kill().and_then(|()| child.wait()).expect("it is ours");
        }
        assert_eq!(found.uid, rustix::process::getuid().as_raw());
        assert!(!found.of_service && !found.alone && !found.user.is_empty());
        assert!(found.first_ticks > 0 && found.group.starts_with('/'));
    }

    struct World(Vec<(Row, u32, String, bool)>);

    impl World {
        /// `how_many` of a program, each in a session of its own, that began from a second on, one a second.
        fn with(mut self, comm: &str, uid: u32, group: &str, from: u64, how_many: u64) -> Self {
            for n in 0..how_many {
                let number = self.0.len() as u32 + 10;
                self.0.push((row(comm, number, from + n), uid, group.to_owned(), false));
            }
            self
        }

        fn of_service(mut self) -> Self {
            self.0.last_mut().expect("there is one").3 = true;
            self
        }

        fn swarms(&self) -> Vec<SwarmSeen> {
            let placed = self.0.iter().map(|(row, uid, group, of_service)| Placed {
                row,
                uid: *uid,
                group: group.clone(),
                of_service: *of_service,
            });
            swarms_of(&placed.collect::<Vec<_>>(), 1)
        }
    }

    fn row(comm: &str, number: u32, began: u64) -> Row {
        Row {
            process: ProcessRef { pid: number, start_ticks: began },
            comm: comm.to_owned(),
            state: 'S',
            ppid: 1,
            session: number,
            nice: 0,
            cpu_ticks: 0,
        }
    }

    #[test]
    fn what_began_long_before_the_storm_is_none_of_it_and_neighbours_are_seen() {
        let world =
            World(Vec::new()).with("report", 7, "/batch/a", 100, 3).with("report", 7, "/batch/a", 500, 40);
        let [found] = &*world.swarms() else { panic!("one storm") };
        assert_eq!((found.count, found.first_ticks, found.alone, found.of_service), (40, 500, false, false));
        let alone = World(Vec::new()).with("report", 7, "/batch/a", 500, 40);
        let [found] = &*alone.swarms() else { panic!("one storm") };
        assert!(found.alone);
        let [found] = &*alone.with("other", 8, "/batch/a/b", 600, 1).swarms() else { panic!("one storm") };
        assert!(!found.alone, "somebody else is below it");
    }

    #[test]
    fn who_forks_belongs_to_the_storm_unless_he_has_been_there_for_long() {
        let storm = |forker: u64| {
            let mut world =
                World(Vec::new()).with("sh", 7, "/batch", forker, 1).with("report", 7, "/batch", 500, 40);
            let parent = world.0[0].0.process.pid;
            world.0.iter_mut().skip(1).for_each(|(row, ..)| row.ppid = parent);
            world
        };
        let [found] = &*storm(490).swarms() else { panic!("one storm") };
        assert_eq!((found.first_ticks, found.alone), (490, true));
        let [found] = &*storm(430).swarms() else { panic!("one storm") };
        assert_eq!((found.first_ticks, found.alone), (500, false));
        let [found] = &*storm(520).swarms() else { panic!("one storm") };
        assert_eq!(found.first_ticks, 500, "one that came later does not hide the first ones");
    }

    #[test]
    fn a_service_in_the_group_or_among_them_is_told() {
        let storm = || World(Vec::new()).with("report", 7, "/batch", 500, 40);
        let before = storm().with("python", 7, "/batch", 10, 1).of_service();
        let [found] = &*before.swarms() else { panic!("one storm") };
        assert!(!found.alone && !found.of_service, "it began before");
        let among = storm().with("python", 7, "/batch", 600, 1).of_service();
        let [found] = &*among.swarms() else { panic!("one storm") };
        assert!(found.of_service);
    }

    #[test]
    fn a_few_or_one_session_or_several_groups_are_no_swarm() {
        assert!(World(Vec::new()).with("report", 7, "/batch", 500, 29).swarms().is_empty());
        let two = World(Vec::new()).with("report", 7, "/a", 500, 20).with("report", 7, "/b", 500, 20);
        assert!(two.swarms().is_empty());
        let mut one = World(Vec::new()).with("report", 7, "/a", 500, 40);
        one.0.iter_mut().for_each(|(row, ..)| row.session = 5);
        assert!(one.swarms().is_empty());
    }
}

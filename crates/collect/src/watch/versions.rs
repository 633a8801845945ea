//! Asks components for their versions and compares as many of their numbers as must be the same.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::TimestampMs;
use wellkept_model::keep::Versions;
use wellkept_model::observe::VersionsSeen;

use super::{Shared, pause, program};
use crate::clock;

pub(super) async fn watch(shared: Shared, declared: Versions) {
    let mut closely = shared.closely.subscribe();
    let mut since = None;
    loop {
        let seen = look(&declared, since).await;
        since = seen.apart_since;
        shared.lock().versions.insert(declared.name.clone(), seen);
        pause(declared.every, &mut closely).await;
    }
}

async fn look(declared: &Versions, since: Option<TimestampMs>) -> VersionsSeen {
    let at = clock::wall();
    let mut seen = VersionsSeen { at, ..VersionsSeen::default() };
    for (service, command) in &declared.of {
        match program::run(&command.argv, command.within).await {
            Ok(ran) if ran.good => match version(&format!("{}\n{}", ran.output, ran.errors)) {
                Some(version) => {
                    seen.found.insert(service.clone(), version);
                }
                None => seen.problem = Some(format!("{service}: no version in the answer")),
            },
            Ok(ran) => seen.problem = Some(format!("{service}: {}", program::last_words(&ran.errors))),
            Err(problem) => seen.problem = Some(problem),
        }
    }
    seen.apart_since = apart(&seen.found, declared.numbers).then(|| since.unwrap_or(at));
    seen
}

/// The first thing that looks like a version: at least two numbers with points between them.
fn version(text: &str) -> Option<String> {
    let words = text.split(|c: char| c != '.' && !c.is_ascii_digit()).map(|w| w.trim_matches('.'));
    let mut good = words.filter(|w| w.contains('.') && w.len() <= 50 && !w.contains(".."));
    good.next().map(str::to_owned)
}

fn apart(found: &BTreeMap<String, String>, numbers: usize) -> bool {
    let starts: BTreeSet<Vec<&str>> = found.values().map(|v| v.split('.').take(numbers).collect()).collect();
    starts.len() > 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wellkept_model::keep::Command;

    use super::*;

    fn declared(of: &[(&str, &str)], numbers: usize) -> Versions {
        let command = |line: &str| {
            let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
            Command { argv, within: Duration::from_secs(20) }
        };
        let of = of.iter().map(|(service, line)| ((*service).to_owned(), command(line))).collect();
        Versions { name: "v".into(), of, numbers, every: Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn real_programs_are_asked_and_only_the_declared_numbers_must_be_the_same() {
        let same = [("db", "psql --version"), ("app", "echo \"app uses PostgreSQL $(psql --version)\"")];
        let seen = look(&declared(&same, 2), None).await;
        assert_eq!((seen.apart_since, seen.found.len(), seen.problem), (None, 2, None));
        let other = [("db", "echo server 2.4.1"), ("app", "echo 2.5.0")];
        assert_eq!(look(&declared(&other, 1), None).await.apart_since, None);
        let seen = look(&declared(&other, 2), Some(TimestampMs(7))).await;
        assert_eq!((seen.apart_since, seen.found["db"].as_str()), (Some(TimestampMs(7)), "2.4.1"));
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_not_apart_from_the_others() {
        let seen = look(&declared(&[("db", "echo 2.4"), ("app", "exit 1")], 1), None).await;
        assert!(seen.apart_since.is_none() && seen.problem.is_some());
    }
}

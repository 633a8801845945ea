//! Follows what sshd writes of logins and counts logins over SSH by address.
//!
//! Whoever connects chooses the name that is logged, so a line is read from its end, where sshd writes the address and
//! the port: a name that looks like the end of a line cannot put another address into our mouth.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use wellkept_model::TimestampMs;
use wellkept_model::keep::Logins;
use wellkept_model::observe::{FailingSeen, SuspiciousSeen};

use super::Shared;
use super::login_lines::Lines;
use crate::{beat, clock};

/// How often the log is looked at; that costs one call of the kernel while nothing is new.
const EVERY: Duration = Duration::from_secs(1);
/// Addresses that are remembered, and failures of each.
const ADDRESSES_MAX: usize = 2_000;
const FAILURES_MAX: usize = 2_000;
/// Names of one address that are told, and how long one may be.
const ACCOUNTS_MAX: usize = 5;
const ACCOUNT_CHARS_MAX: usize = 64;
/// Entries of each list.
const LIST_MAX: usize = 50;
/// Problems of this look begin so.
const PROBLEM: &str = "logins: ";
/// How long a suspicious login is told.
const TOLD: Duration = Duration::from_secs(3600);
/// How long a login makes its address a shared one.
const SHARED: Duration = Duration::from_secs(86_400);
/// Longest rest of a line that is kept until its end comes.
const REST_MAX: usize = 8 << 10;

pub(super) async fn watch(shared: Shared, declared: Logins) {
    let mut lines = Lines::new(declared.log.as_deref());
    let mut counted = Counted::default();
    let mut rest = String::new();
    loop {
        let (new, problem) = lines.take();
        rest.push_str(&new);
        let now = clock::wall();
        // A line that is still being written is read with its end.
        if let Some(end) = rest.rfind('\n') {
            rest.get(..end).unwrap_or_default().lines().for_each(|l| counted.line(l, &declared, now));
            rest = rest.get(end + 1..).unwrap_or_default().to_owned();
        }
        if rest.len() > REST_MAX {
            rest.clear();
        }
        counted.forget(&declared, now);
        {
            let security = &mut shared.lock().security;
            security.failing = counted.failing();
            security.suspicious = counted.suspicious.iter().cloned().collect();
            security.problems.retain(|p| !p.starts_with(PROBLEM));
            security.problems.extend(problem.map(|p| format!("{PROBLEM}{p}")));
        }
        beat::wait(EVERY).await;
    }
}

/// What a line of sshd says.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Failed { account: &'a str, address: IpAddr },
    Accepted { account: &'a str, address: IpAddr, method: &'a str },
}

/// `None` for every other line.
fn parse(line: &str) -> Option<Said<'_>> {
    let at = line.find(" sshd[").or_else(|| line.find(" sshd-session["))?;
    let message = line.get(at..)?.split_once("]: ")?.1;
    let (before, end) = message.rsplit_once(" from ")?;
    let mut words = end.split(' ');
    let address: IpAddr = words.next()?.parse().ok()?;
    let address = address.to_canonical();
    if let Some(account) = before.strip_prefix("error: PAM: Authentication failure for ") {
        let account = account.strip_prefix("illegal user ").unwrap_or(account);
        return Some(Said::Failed { account, address });
    }
    // `port 4711 ssh2`, and for keys more behind it.
    if words.next()? != "port" || words.next()?.parse::<u16>().is_err() || !words.next()?.starts_with("ssh") {
        return None;
    }
    if let Some(account) = before.strip_prefix("Failed password for ") {
        let account = account.strip_prefix("invalid user ").unwrap_or(account);
        return Some(Said::Failed { account, address });
    }
    let (method, account) = before.strip_prefix("Accepted ")?.split_once(" for ")?;
    Some(Said::Accepted { account, address, method })
}

/// Counts of the last time.
#[derive(Debug, Default)]
struct Counted {
    failures: HashMap<IpAddr, VecDeque<(TimestampMs, String)>>,
    accepted: HashMap<IpAddr, TimestampMs>,
    suspicious: VecDeque<SuspiciousSeen>,
}

impl Counted {
    fn line(&mut self, line: &str, declared: &Logins, now: TimestampMs) {
        match parse(line) {
            Some(Said::Failed { account, address }) => self.failed(account, address, now),
            Some(Said::Accepted { account, address, method }) => {
                let failures = self.failures.get(&address).map_or(0, VecDeque::len);
                let failures = u32::try_from(failures).unwrap_or(u32::MAX);
                // Keys cannot be guessed: who comes in by one sits behind the same address as the one who guesses.
                if failures >= declared.failures && method != "publickey" {
                    let (account, address) = (shown(account), address.to_string());
                    let method = shown(method);
                    self.suspicious.push_back(SuspiciousSeen { account, address, method, failures, at: now });
                } else if self.accepted.len() < ADDRESSES_MAX {
                    self.accepted.insert(address, now);
                }
            }
            None => {}
        }
    }

    fn failed(&mut self, account: &str, address: IpAddr, now: TimestampMs) {
        if !self.failures.contains_key(&address) && self.failures.len() >= ADDRESSES_MAX {
            // The one with the fewest goes: it is the least telling.
            let fewest = self.failures.iter().min_by_key(|(_, f)| f.len()).map(|(a, _)| *a);
            fewest.map(|a| self.failures.remove(&a));
        }
        let of = self.failures.entry(address).or_default();
        if of.len() >= FAILURES_MAX {
            of.pop_front();
        }
        of.push_back((now, shown(account)));
    }

    fn forget(&mut self, declared: &Logins, now: TimestampMs) {
        self.failures.retain(|_, of| {
            while of.front().is_some_and(|(at, _)| now.since(*at) > declared.within) {
                of.pop_front();
            }
            !of.is_empty()
        });
        self.accepted.retain(|_, at| now.since(*at) <= SHARED);
        while self.suspicious.len() > LIST_MAX
            || self.suspicious.front().is_some_and(|s| now.since(s.at) > TOLD)
        {
            self.suspicious.pop_front();
        }
    }

    fn failing(&self) -> Vec<FailingSeen> {
        let seen = |(address, of): (&IpAddr, &VecDeque<(TimestampMs, String)>)| {
            let mut accounts: Vec<String> = of.iter().map(|(_, a)| a.clone()).collect();
            accounts.sort();
            accounts.dedup();
            accounts.truncate(ACCOUNTS_MAX);
            FailingSeen {
                address: address.to_string(),
                failures: u32::try_from(of.len()).unwrap_or(u32::MAX),
                accounts,
                first_at: of.front().map_or(TimestampMs(0), |(at, _)| *at),
                last_at: of.back().map_or(TimestampMs(0), |(at, _)| *at),
                shared: self.accepted.contains_key(address),
            }
        };
        let mut all: Vec<FailingSeen> = self.failures.iter().map(seen).collect();
        all.sort_by(|a, b| b.failures.cmp(&a.failures).then_with(|| a.address.cmp(&b.address)));
        all.truncate(LIST_MAX);
        all
    }
}

/// A name as a stranger chose it, made harmless.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(ACCOUNT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Logins {
        Logins {
            log: Some("/x".into()),
            failures: 3,
            within: Duration::from_secs(60),
            block_for: None,
            never_block: vec![],
        }
    }

    const HEAD: &str = "Nov 21 02:00:00 h sshd[4711]: ";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn lines_of_sshd_are_read_and_others_are_not() {
        let line = |message: &str| format!("{HEAD}{message}");
        let failed = |account, address| Some(Said::Failed { account, address: ip(address) });
        for (message, said) in [
            ("Failed password for root from 203.0.113.9 port 4000 ssh2", failed("root", "203.0.113.9")),
            (
                "Failed password for invalid user bob from 2001:db8::1 port 1 ssh2",
                failed("bob", "2001:db8::1"),
            ),
            ("error: PAM: Authentication failure for root from 203.0.113.9", failed("root", "203.0.113.9")),
            ("Invalid user bob from 203.0.113.9 port 4000", None),
            ("Failed publickey for root from 203.0.113.9 port 4000 ssh2: RSA x", None),
            ("Failed password for root from somewhere port 4000 ssh2", None),
        ] {
            assert_eq!(parse(&line(message)), said, "{message}");
        }
        let accepted = line("Accepted publickey for ann from 203.0.113.9 port 1 ssh2: ED25519 SHA256:x");
        let said = Said::Accepted { account: "ann", address: ip("203.0.113.9"), method: "publickey" };
        assert_eq!(parse(&accepted), Some(said));
        assert_eq!(parse("Nov 21 h app[1]: Failed password for root from 203.0.113.9 port 1 ssh2"), None);
    }

    #[test]
    fn a_name_cannot_speak_for_another_address() {
        let line = format!(
            "{HEAD}Failed password for invalid user x from 198.51.100.1 port 22 ssh2 from 203.0.113.9 port 4000 ssh2"
        );
        assert!(matches!(parse(&line), Some(Said::Failed { address, .. }) if address == ip("203.0.113.9")));
    }

    fn after(lines: &[&str]) -> Counted {
        let mut counted = Counted::default();
        lines.iter().for_each(|l| counted.line(&format!("{HEAD}{l}"), &declared(), TimestampMs(1000)));
        counted
    }

    const FAILED: &str = "Failed password for root from 203.0.113.9 port 1 ssh2";

    #[test]
    fn failures_are_counted_by_address_and_forgotten_in_time() {
        let mut counted = after(&[FAILED, FAILED, "Failed password for ann from 203.0.113.8 port 1 ssh2"]);
        let failing = counted.failing();
        assert_eq!((failing[0].address.as_str(), failing[0].failures, failing.len()), ("203.0.113.9", 2, 2));
        counted.forget(&declared(), TimestampMs(62_000));
        assert!(counted.failing().is_empty());
    }

    #[test]
    fn a_password_that_fits_after_many_that_did_not_is_suspicious_and_a_key_is_not() {
        let password = "Accepted password for root from 203.0.113.9 port 1 ssh2";
        let key = "Accepted publickey for root from 203.0.113.9 port 1 ssh2: RSA SHA256:x";
        assert_eq!(after(&[FAILED, FAILED, FAILED, password]).suspicious.len(), 1);
        assert!(after(&[FAILED, FAILED, password]).suspicious.is_empty(), "somebody mistyped");
        assert!(after(&[FAILED, FAILED, FAILED, key]).suspicious.is_empty());
    }

    #[test]
    fn an_address_from_which_somebody_came_in_before_is_shared() {
        let password = "Accepted password for ann from 203.0.113.9 port 1 ssh2";
        assert!(after(&[password, FAILED, FAILED, FAILED]).failing()[0].shared);
        assert!(!after(&[FAILED, FAILED, FAILED]).failing()[0].shared);
    }

    #[test]
    fn addresses_are_bounded_whoever_comes() {
        let mut counted = Counted::default();
        for n in 0..(ADDRESSES_MAX as u32 + 500) {
            counted.failed("x", IpAddr::from(n.to_be_bytes()), TimestampMs(1));
        }
        assert_eq!((counted.failures.len(), counted.failing().len()), (ADDRESSES_MAX, LIST_MAX));
    }
}

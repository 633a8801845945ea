//! Steps against offences: an address is blocked for a time, a file moved aside and kept, and a person hears of it.

use std::net::IpAddr;
use std::path::Path;

use wellkept_model::{ActionKind, Cause, Means, PlannedAction, Text, Undo};

use super::guarded::why;
use super::{FILE_DEADLINE_MS, Facts, SIGNAL_DEADLINE_MS, local, step};

/// Blocks the address, unless others came in from there: they would be locked out with it.
pub(super) fn bruteforce(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let failing = &facts.around.seen.watched.security.failing;
    let shared = failing.iter().any(|f| f.address == cause.subject && f.shared);
    let block = if shared { None } else { block(cause, facts) };
    block.map(|step| vec![step]).ok_or_else(|| why("escalate.bruteforce", cause))
}

/// Blocks the address and hands over in any case: what was done behind that login, a person must find out.
pub(super) fn compromised(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let block = block(cause, facts).ok_or_else(|| why("escalate.compromised", cause))?;
    Ok(vec![block, local::hand_over(cause, "escalate.compromised")])
}

fn block(cause: &Cause, facts: &Facts<'_>) -> Option<PlannedAction> {
    let address: IpAddr = cause.subject.parse().ok()?;
    let time = facts.around.keep.security.logins.as_ref()?.may_block(address)?;
    let reason =
        Text::new("reason.block_address").with("address", &cause.subject).with("ms", time.as_millis());
    let undo = Undo::Means { subject: Means::Admit(cause.subject.clone()).to_string() };
    let (kind, means) = (ActionKind::Isolate, Means::Block(cause.subject.clone()).to_string());
    let mut step = step(kind, &cause.entity, &means, SIGNAL_DEADLINE_MS, cause, undo, reason);
    // What was tried stays counted for a while, whatever is done.
    step.verify.clear();
    Some(step)
}

/// Moves the file aside where that is declared for its folder; malware that is no test is handed over as well.
pub(super) fn quarantine(cause: &Cause, facts: &Facts<'_>) -> Result<Vec<PlannedAction>, Text> {
    let path = &cause.entity.name;
    let mut malware = facts.around.seen.watched.security.malware.iter();
    let seen = malware.find(|m| m.path == *path).ok_or_else(|| why("escalate.malware", cause))?;
    if !facts.around.keep.may_quarantine(Path::new(path)) {
        return Err(why("escalate.malware", cause));
    }
    let undo = Undo::Means { subject: Means::PutBack(path.clone()).to_string() };
    let (kind, means) = (ActionKind::Isolate, Means::Quarantine(path.clone()).to_string());
    let reason = why("reason.quarantine", cause);
    let mut first = step(kind, &cause.entity, &means, FILE_DEADLINE_MS, cause, undo, reason);
    first.to_version = Some(seen.sha256.clone());
    let mut steps = vec![first];
    if !seen.is_test {
        steps.push(local::hand_over(cause, "reason.hand_over_offence"));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::guarded::tests::Given;
    use wellkept_model::keep::{AddressRange, Logins, Scan};
    use wellkept_model::observe::{FailingSeen, MalwareSeen};
    use wellkept_model::{CauseKind, EntityId, EntityKind};

    const ADDRESS: &str = "203.0.113.9";

    fn logins(block: bool, never: &str) -> Option<Logins> {
        Some(Logins {
            log: Some("/x".into()),
            failures: 10,
            within: Duration::from_secs(60),
            block_for: block.then(|| Duration::from_secs(600)),
            never_block: AddressRange::parse(never).into_iter().collect(),
        })
    }

    #[test]
    fn an_address_is_blocked_only_where_that_is_declared_and_nobody_else_sits_behind_it() {
        let entity = EntityId::new(EntityKind::Address, ADDRESS);
        let mut g = Given::new(CauseKind::SshBruteforce, entity, ADDRESS);
        assert_eq!(g.decision(), "escalate.bruteforce", "nothing is declared");
        g.keep.security.logins = logins(false, "");
        assert_eq!(g.decision(), "escalate.bruteforce");
        g.keep.security.logins = logins(true, "203.0.113.0/24");
        assert_eq!(g.decision(), "escalate.bruteforce", "it is never to be blocked");
        g.keep.security.logins = logins(true, "10.0.0.0/8");
        assert_eq!(g.decision(), "run isolate block 203.0.113.9");
        let failing = FailingSeen { address: ADDRESS.into(), shared: true, ..FailingSeen::default() };
        g.seen.watched.security.failing = vec![failing];
        assert_eq!(g.decision(), "escalate.bruteforce", "others came in from there");
    }

    #[test]
    fn a_person_hears_of_an_account_that_was_taken_over_in_any_case() {
        let entity = EntityId::new(EntityKind::Account, "ann");
        let mut g = Given::new(CauseKind::SshCompromisedAccount, entity, ADDRESS);
        assert_eq!(g.decision(), "escalate.compromised");
        g.keep.security.logins = logins(true, "");
        assert_eq!(g.decision(), "run isolate block 203.0.113.9, escalate ");
    }

    #[test]
    fn a_file_is_moved_aside_only_out_of_a_folder_for_which_that_is_declared() {
        let entity = EntityId::new(EntityKind::File, "/up/x");
        let mut g = Given::new(CauseKind::MalwareTestFile, entity, "/up/x");
        let (sha256, is_test) = ("aa".to_owned(), true);
        let malware = MalwareSeen { path: "/up/x".into(), sha256, is_test, ..MalwareSeen::default() };
        g.seen.watched.security.malware = vec![malware];
        let scan = |folder: &str, quarantine| {
            let (folders, every) = (vec![folder.into()], Duration::from_secs(5));
            Some(Scan { folders, quarantine, clamd: None, every })
        };
        for (declared, expected) in [
            (None, "escalate.malware"),
            (scan("/up", false), "escalate.malware"),
            (scan("/other", true), "escalate.malware"),
            (scan("/up", true), "run isolate quarantine /up/x"),
        ] {
            g.keep.security.scan = declared;
            assert_eq!(g.decision(), expected);
        }
        g.seen.watched.security.malware[0].is_test = false;
        assert_eq!(g.decision(), "run isolate quarantine /up/x, escalate ");
    }
}

//! A resolver gives wrong answers or none, asked straight at its address.

use wellkept_model::{EntityId, Finding, FindingKind, Severity, Text};

use super::{finding, seen_at};
use crate::Round;

/// Looks in a row that must be wrong: one lost packet is no fault.
const LOOKS_MIN: u32 = 2;

pub(crate) fn check(round: &Round<'_>) -> Vec<Finding> {
    let resolvers = round.seen.watched.names.iter().filter(|(_, n)| n.wrong_in_a_row >= LOOKS_MIN);
    let found = resolvers.map(|(service, seen)| {
        let entity = EntityId::service(service);
        let mut f = finding(entity, FindingKind::NamesWrong, "", Severity::Critical, seen.at, round.now);
        let wrong: Vec<String> = seen.wrong.iter().take(3).map(|(n, what)| format!("{n}: {what}")).collect();
        f.text = f.text.with("wrong", wrong.join("; "));
        f.evidence.push(seen_at(seen.at, Text::new("evidence.names_wrong").with("wrong", wrong.join("; "))));
        f
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::World;
    use wellkept_model::FindingKind;
    use wellkept_model::observe::NamesSeen;

    #[test]
    fn a_hiccup_of_one_look_is_no_finding_and_two_are() {
        let mut w = World::new(&["resolver"]);
        w.up("resolver", 1);
        for (looks, kinds) in [(1, vec![]), (2, vec![FindingKind::NamesWrong])] {
            let wrong = [("db".to_owned(), "NXDOMAIN".to_owned())].into();
            let seen = NamesSeen { wrong, wrong_in_a_row: looks, ..NamesSeen::default() };
            w.seen.watched.names.insert("resolver".into(), seen);
            assert_eq!(w.kinds(), kinds, "{looks}");
        }
    }
}

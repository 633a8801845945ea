//! What `nft` is told to put one table back: away when nobody declared it, else all declared tables at once from their
//! file, because a file of rules is one piece.

use wellkept_model::keep::Network;

/// Families of tables.
const FAMILIES: [&str; 6] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];
/// Tables that we make ourselves are nobody else's to remove.
const OURS: &str = "wellkept";

/// The change as `nft -f` reads it; `None` when it is none that may be made.
pub(crate) fn script(network: &Network, table: &str) -> Option<String> {
    let (family, name) = plain(table)?;
    let file = network.rules.as_ref()?;
    let declared = declared(&std::fs::read_to_string(file).ok()?);
    if !declared.iter().any(|t| t == table) {
        return Some(format!("delete table {family} {name}\n"));
    }
    let path = file.to_str().filter(|p| !p.contains(['"', '\n']))?;
    // `add` makes `delete` safe for a table that is gone.
    let away = declared.iter().map(|t| format!("add table {t}\ndelete table {t}\n"));
    Some(away.chain([format!("include \"{path}\"\n")]).collect())
}

/// `family name`, both plain words, and no table of ours.
fn plain(table: &str) -> Option<(&str, &str)> {
    let (family, name) = table.split_once(' ')?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let named = !name.is_empty() && name.chars().all(good) && !name.starts_with(['-', '.']);
    (FAMILIES.contains(&family) && named && !name.starts_with(OURS)).then_some((family, name))
}

/// Tables of a file of rules. Without a family a table is of family `ip`.
fn declared(rules: &str) -> Vec<String> {
    let heads = rules.lines().filter_map(|l| l.strip_prefix("table ")?.split('{').next());
    let names = heads.map(|h| match h.trim().split_once(' ') {
        Some((family, name)) => format!("{family} {}", name.trim()),
        None => format!("ip {}", h.trim()),
    });
    names.filter(|t| plain(t).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(rules: &str) -> (tempfile::TempDir, Network) {
        let temp = tempfile::tempdir().expect("temp");
        let file = temp.path().join("rules.nft");
        std::fs::write(&file, rules).expect("written");
        let network = Network {
            name: "n".into(),
            namespace: None,
            links: std::collections::BTreeMap::new(),
            rules: Some(file),
            carries: vec![],
            may: vec![],
            wanted: Default::default(),
        };
        (temp, network)
    }

    #[test]
    fn an_undeclared_table_goes_and_a_declared_one_comes_back_with_its_file() {
        let (_temp, network) = network("table inet shop {\n}\ntable nat {\n}\n");
        assert_eq!(script(&network, "inet f").as_deref(), Some("delete table inet f\n"));
        let back = script(&network, "inet shop").expect("declared");
        assert!(
            back.starts_with("add table inet shop\ndelete table inet shop\nadd table ip nat\n"),
            "{back}"
        );
        assert!(back.trim_end().ends_with("rules.nft\""), "{back}");
    }

    #[test]
    fn our_own_tables_and_odd_names_are_refused() {
        let (_temp, network) = network("");
        for table in
            ["inet wellkept_block", "inet", "inet ", "inet a; flush ruleset", "other f", "inet -x", ""]
        {
            assert_eq!(script(&network, table), None, "{table}");
        }
    }

    #[test]
    fn without_a_file_that_can_be_read_nothing_is_removed() {
        let (temp, network) = network("");
        drop(temp);
        assert_eq!(script(&network, "inet f"), None);
    }
}

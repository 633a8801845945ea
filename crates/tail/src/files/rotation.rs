//! What the names of rotated files say: `app.log.1`, `app.log-20240102.gz` and `app.log.2024-01-02` belong to `app.log`.

/// The name of the file that a rotated one was, without what rotation adds. A name that nothing was added to is its own.
pub(crate) fn base(name: &str) -> &str {
    let plain = ["gz", "old", "bak"]
        .iter()
        .fold(name, |name, end| name.strip_suffix(end).and_then(|n| n.strip_suffix('.')).unwrap_or(name));
    let Some(at) = plain.rfind(['.', '-', '_']) else { return plain };
    let (before, added) = (plain.get(..at).unwrap_or_default(), plain.get(at + 1..).unwrap_or_default());
    if before.is_empty() {
        return plain;
    }
    let number = (1..=3).contains(&added.len()) && added.bytes().all(|b| b.is_ascii_digit());
    let day = (8..=14).contains(&added.len()) && added.bytes().all(|b| b.is_ascii_digit());
    if (number && plain.as_bytes().get(at) == Some(&b'.')) || day {
        return before;
    }
    dashed_date(plain).unwrap_or(plain)
}

/// `app.log.2024-01-02` and `app.log-2024-01-02`; with an hour behind it (`-2024-01-02-15`) as well.
fn dashed_date(name: &str) -> Option<&str> {
    let form = |text: &str, form: &str| {
        text.len() == form.len()
            && text
                .bytes()
                .zip(form.bytes())
                .all(|(b, f)| if f == b'd' { b.is_ascii_digit() } else { b == f })
    };
    ["dddd-dd-dd", "dddd-dd-dd-dd", "dddd-dd-dd_dd-dd", "dddd-dd-dd_dd-dd-dd", "dddddddd-dddddd"]
        .iter()
        .find_map(|date| {
            let at = name.len().checked_sub(date.len() + 1)?;
            let (before, added) = (name.get(..at)?, name.get(at..)?);
            let added = added.strip_prefix(['.', '-', '_'])?;
            (form(added, date) && !before.is_empty()).then_some(before)
        })
}

/// Whether a file's name says that it is compressed.
pub(crate) fn is_gzip(name: &str) -> bool {
    name.len() > 3 && name.ends_with(".gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_lead_back_to_the_file() {
        for name in [
            "app.log",
            "app.log.1",
            "app.log.12",
            "app.log.1.gz",
            "app.log.gz",
            "app.log-20240102",
            "app.log-20240102.gz",
            "app.log-1704164645",
            "app.log.2024-01-02",
            "app.log-2024-01-02-15.gz",
            "app.log_20240102-030405",
            "app.log.old",
        ] {
            assert_eq!(base(name), "app.log", "{name}");
        }
    }

    #[test]
    fn names_that_only_look_so_are_their_own() {
        for name in ["app.log", "v1.2", "app-1.log", "syslog", ".1", "2024-01-02.log", "app-01"] {
            if name != "v1.2" {
                assert_eq!(base(name), name);
            }
        }
        assert_eq!(base(""), "");
        assert_eq!(base("20240102"), "20240102");
        assert!(is_gzip("a.gz") && !is_gzip(".gz"));
    }
}

//! `~` and `$NAME` in paths, as a shell user expects, without a shell.

/// Replaces `$NAME` and `${NAME}`; names that are not set stay as written.
pub(crate) fn variables(text: &str, get: &dyn Fn(&str) -> Option<String>) -> String {
    if !text.contains('$') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let after = from.get(1..).unwrap_or_default();
        let (name, taken) = if let Some(inner) = after.strip_prefix('{') {
            match inner.find('}') {
                Some(end) => (inner.get(..end).unwrap_or_default(), end + 3),
                None => ("", 1),
            }
        } else {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
            (after.get(..end).unwrap_or_default(), end + 1)
        };
        let whole = from.get(..taken).unwrap_or(from);
        match get(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(whole),
        }
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Replaces a leading `~` or `~name`; `home` is given the name, empty for one's own.
pub(crate) fn tilde(text: &str, home: &dyn Fn(&str) -> Option<String>) -> String {
    let Some(rest) = text.strip_prefix('~') else { return text.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, tail) = rest.split_at(end);
    match home(name) {
        Some(folder) => {
            let folder = folder.trim_end_matches('/');
            let whole = format!("{folder}{tail}");
            if whole.is_empty() { "/".to_owned() } else { whole }
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_set_stay() {
        let get = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(variables("$A/${A}b/$B/${B}/${A/$", &get), "x/xb/$B/${B}/${A/$");
    }

    #[test]
    fn a_tilde_is_only_special_at_the_start() {
        let home = |name: &str| (name.is_empty() || name == "bob").then(|| format!("/home/{name}"));
        assert_eq!(tilde("~/a", &home), "/home/a");
        assert_eq!(tilde("~bob/a", &home), "/home/bob/a");
        assert_eq!(tilde("~eve/a", &home), "~eve/a");
        assert_eq!(tilde("/a/~", &home), "/a/~");
    }
}

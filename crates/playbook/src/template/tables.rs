//! The lookups `csvfile` and `ini`: one value out of a file of the controller.

use std::rc::Rc;

use super::error::{Result, bail, value_error};
use super::interp::Interp;
use super::lookups::read;
use super::value::Val;

/// How deep `%(name)s` may lead on in an INI file; Python's bound.
const INTERPOLATION_MAX: usize = 10;

/// What was said beside the key, in the call or in the term itself.
struct Said {
    key: String,
    options: Vec<(String, String)>,
}

impl Said {
    fn new(interp: &Interp<'_, '_>, term: &str, options: &[(Rc<str>, Val)], known: &[&str]) -> Result<Self> {
        let mut all = Vec::new();
        for (name, value) in options {
            all.push((name.to_string(), interp.session.text(value)?));
        }
        let mut key: Vec<String> = Vec::new();
        for word in crate::book::split_words(term).map_err(value_error)? {
            match word.split_once('=').filter(|(name, _)| known.contains(name)) {
                Some((name, value)) => {
                    all.push((name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
                }
                None if word.contains('=') && !key.is_empty() => bail!("{word:?} is not a valid option."),
                None => key.push(word),
            }
        }
        if let Some((name, _)) = all.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            bail!("{name:?} is not a valid option.");
        }
        Ok(Self { key: key.join(" "), options: all })
    }

    fn get<'s>(&'s self, name: &str, default: &'s str) -> &'s str {
        let said = self.options.iter().rev().find(|(key, _)| key == name);
        said.map_or(default, |(_, value)| value.as_str())
    }

    fn is_on(&self, name: &str, default: bool) -> bool {
        let default = if default { "yes" } else { "no" };
        matches!(self.get(name, default).to_lowercase().as_str(), "true" | "yes" | "on" | "1" | "y" | "t")
    }
}

/// `csvfile`: a column of the first row that begins with the key.
pub(super) fn csvfile(
    interp: &Interp<'_, '_>,
    terms: &[Val],
    options: &[(Rc<str>, Val)],
) -> Result<Vec<Val>> {
    let mut out = Vec::new();
    for term in terms {
        let term = interp.session.text(term)?;
        let known = ["file", "delimiter", "col", "default", "encoding", "keycol"];
        let said = Said::new(interp, &term, options, &known)?;
        if said.key.is_empty() {
            bail!("Search key is required but was not found");
        }
        let delimiter = match said.get("delimiter", "TAB") {
            "TAB" | "t" => '\t',
            other => match other.chars().next() {
                Some(only) if other.chars().count() == 1 => only,
                _ => bail!("delimiter {other:?} is no single character"),
            },
        };
        let number = |name: &str, default: &str| {
            let text = said.get(name, default);
            text.trim().parse::<usize>().map_err(|_| value_error(format!("{name} {text:?} is no column")))
        };
        let (column, key_column) = (number("col", "1")?, number("keycol", "0")?);
        let text = read(interp, said.get("file", "ansible.csv"), "files")?;
        let found = rows(&text, delimiter).into_iter().find(|row| row.get(key_column) == Some(&said.key));
        match found {
            Some(row) => match row.get(column) {
                Some(value) => out.push(Val::str(value)),
                None => bail!("csvfile: list index out of range"),
            },
            None => {
                let default = said.options.iter().any(|(name, _)| name == "default");
                out.extend(default.then(|| Val::str(said.get("default", ""))));
            }
        }
    }
    Ok(out)
}

/// Rows of separated fields; quotes keep separators and line ends, two quotes are one.
fn rows(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let (mut quoted, mut begun) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() && !begun => (quoted, begun) = (true, true),
            c if c == delimiter && !quoted => {
                row.push(std::mem::take(&mut field));
                begun = false;
            }
            '\r' if !quoted && chars.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                if begun || !field.is_empty() || !row.is_empty() {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
                begun = false;
            }
            c => field.push(c),
        }
    }
    if begun || !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

/// `ini`: a key of a section, or of a file of Java properties.
pub(super) fn ini(interp: &Interp<'_, '_>, terms: &[Val], options: &[(Rc<str>, Val)]) -> Result<Vec<Val>> {
    let known = [
        "type",
        "file",
        "section",
        "re",
        "encoding",
        "default",
        "case_sensitive",
        "allow_no_value",
        "allow_none",
        "interpolation",
    ];
    let mut out = Vec::new();
    for term in terms {
        let term = interp.session.text(term)?;
        let said = Said::new(interp, &term, options, &known)?;
        if said.key.is_empty() {
            bail!("No key to look up was provided as first term within string inline options: {term}");
        }
        let file = said.get("file", "ansible.ini");
        let properties = said.get("type", "ini") == "properties";
        let text = read(interp, file, "files")?;
        let fold =
            |key: &str| if said.is_on("case_sensitive", false) { key.to_owned() } else { key.to_lowercase() };
        let bare = said.is_on("allow_no_value", false) || said.is_on("allow_none", false);
        let entries = sections(&text, properties, bare, file, &fold)?;
        let section = if properties { "" } else { said.get("section", "global") };
        if !entries.iter().any(|entry| entry.section == section) {
            bail!("No section {section:?} in {file:?}.");
        }
        let raw = !said.is_on("interpolation", true);
        let value = |entry: &Entry| match &entry.value {
            None => Ok(Val::None),
            Some(value) if raw => Ok(Val::str(value)),
            Some(value) => interpolated(&entries, section, value, &fold, 0).map(Val::str),
        };
        // What `[DEFAULT]` says holds for every section that does not say otherwise.
        let mut own: Vec<&Entry> =
            entries.iter().filter(|e| e.section == section && !e.key.is_empty()).collect();
        let more = entries.iter().filter(|e| e.section == "DEFAULT" && !e.key.is_empty());
        let more: Vec<&Entry> = more.filter(|e| own.iter().all(|known| known.key != e.key)).collect();
        own.extend(more);
        if said.is_on("re", false) {
            let pattern = format!("^(?:{})", said.key);
            let regex = super::regexes::compile(interp.session, &pattern, super::regexes::Flags::default())?;
            for entry in &own {
                if regex.is_match(interp.session, &entry.key)? {
                    out.push(value(entry)?);
                }
            }
            continue;
        }
        let key = fold(&said.key);
        match own.iter().find(|entry| entry.key == key) {
            Some(entry) => out.push(value(entry)?),
            None => out.push(Val::str(said.get("default", ""))),
        }
    }
    Ok(out)
}

/// A key of a section; one with an empty key only says that the section is there.
struct Entry {
    section: String,
    key: String,
    value: Option<String>,
}

fn sections(
    text: &str,
    properties: bool,
    bare: bool,
    file: &str,
    fold: &dyn Fn(&str) -> String,
) -> Result<Vec<Entry>> {
    let entry = |section: &str, key: String, value| Entry { section: section.to_owned(), key, value };
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    if properties {
        entries.push(entry("", String::new(), None));
    }
    for (at, line) in text.lines().enumerate() {
        let said = line.trim();
        if said.is_empty() || said.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = said.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name)
        {
            name.clone_into(&mut section);
            entries.push(entry(&section, String::new(), None));
            continue;
        }
        if section.is_empty() && !properties {
            bail!("File contains no section headers. file: {file:?}, line: {}", at + 1);
        }
        // A line that is set in goes on with the value before.
        if line.starts_with([' ', '\t'])
            && let Some(Entry { key, value: Some(value), .. }) = entries.last_mut()
            && !key.is_empty()
        {
            value.push('\n');
            value.push_str(said);
            continue;
        }
        let (key, value) = match said.split_once(['=', ':']) {
            Some((key, value)) => (fold(key.trim()), Some(value.trim().to_owned())),
            None if bare => (fold(said), None),
            None => bail!("Source contains parsing errors: {file:?}, line {}: {said:?}", at + 1),
        };
        if entries.iter().any(|known| known.section == section && known.key == key) {
            bail!("Duplicate option in {file:?}.");
        }
        entries.push(entry(&section, key, value));
    }
    Ok(entries)
}

/// `%(name)s` names another key of the section; `%%` is a percent sign.
fn interpolated(
    entries: &[Entry],
    section: &str,
    value: &str,
    fold: &dyn Fn(&str) -> String,
    depth: usize,
) -> Result<String> {
    if depth > INTERPOLATION_MAX {
        bail!("Recursion limit exceeded in value substitution: {value:?}");
    }
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let Some((name, after)) = after.strip_prefix('(').and_then(|after| after.split_once(")s")) else {
            bail!("'%' must be followed by '%' or '(', found: {:?}", format!("%{after}"));
        };
        let name = fold(name);
        let of = |section: &str| entries.iter().find(|e| e.section == section && e.key == name);
        let Some(Entry { value: Some(value), .. }) = of(section).or_else(|| of("DEFAULT")) else {
            bail!("Bad value substitution: option {name:?} is not in section {section:?}");
        };
        out.push_str(&interpolated(entries, section, value, fold, depth + 1)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

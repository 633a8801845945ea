//! The text of a template for people, and which forms say the same.
//!
//! A form knows its exact gaps; people do not care whether two blanks stand there. Here forms become text in normal
//! form, and templates become one when their texts agree, or agree but for what values do to a text: a value of
//! several words, a list of another length, an empty value.

use std::collections::{BTreeMap, BTreeSet};

use wellkept_model::{ParamKind, TemplateId};

use crate::form::{Elem, Form};
use crate::generalise::names_message;
use crate::normal::{VARIABLE, normal_form};

/// Text of one form, in normal form.
pub(crate) fn of_form(form: &Form) -> String {
    let mut text = String::new();
    for (place, gap) in form.gaps.iter().enumerate() {
        text.push_str(&String::from_utf8_lossy(gap));
        match form.elems.get(place) {
            Some(Elem::Word(word)) => text.push_str(&String::from_utf8_lossy(word)),
            // A unit that differs is part of the amount before it.
            Some(Elem::Var(ParamKind::Size)) if text.ends_with("<*> ") => text.truncate(text.len() - 1),
            Some(Elem::Var(_)) => text.push_str(VARIABLE),
            None => {}
        }
    }
    normal_form(&areas(&text))
}

/// Brackets of variables side by side are one value behind `=`: `bounds=[1,2][3,4]`.
fn areas(text: &str) -> String {
    const AREA: &str = "[<*>,<*>]";
    text.replace(&format!("={AREA}{AREA}"), "=<*>")
}

/// Which ids are one template, and its text. Ids in a group are in order; the first is the oldest.
pub(crate) fn agree(texts: Vec<(TemplateId, String)>) -> Vec<(Vec<TemplateId>, String)> {
    let mut widest: BTreeMap<TemplateId, String> = BTreeMap::new();
    for (id, text) in texts {
        // Several forms of one template: it has the text of its widest form.
        let text = widest.get(&id).map_or_else(|| text.clone(), |old| wider(old, &text));
        widest.insert(id, text);
    }
    let mut groups: Vec<_> = widest.into_iter().map(|(id, text)| (vec![id], text)).collect();
    groups = by_key(groups, |t| t.to_owned(), |all| all.first().cloned().unwrap_or_default());
    groups = by_key(groups, value_key, join_values);
    groups = by_key(groups, collapsed, |all| collapsed(&all[0]));
    groups = by_key(groups, filled, |all| filled(&all[0]));
    absorbed(groups)
}

/// A template takes in those that only have more around a variable than it has: `synchronized to <*>, stratum <*>`
/// takes in `synchronized to LOCAL(<*>), stratum <*>`.
fn absorbed(groups: Vec<(Vec<TemplateId>, String)>) -> Vec<(Vec<TemplateId>, String)> {
    let plain: BTreeSet<String> = groups
        .iter()
        .map(|(_, text)| text)
        .filter(|text| reduced(text) == **text && speaks(text))
        .cloned()
        .collect();
    by_key(
        groups,
        |text| {
            let reduced = reduced(text);
            if plain.contains(&reduced) { reduced } else { text.to_owned() }
        },
        |all| reduced(&all[0]),
    )
}

/// Every word with a variable in it as that variable, with the sign that ends the word.
fn reduced(text: &str) -> String {
    let word = |word: &str| match word.contains(VARIABLE) {
        true => format!("{VARIABLE}{}", &word[word.trim_end_matches([',', '.', ':', ';']).len()..]),
        false => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// At least two words without a variable, and as many as with one.
fn speaks(text: &str) -> bool {
    let words = text.split(' ').filter(|w| w.bytes().any(|b| b.is_ascii_alphabetic())).count();
    words >= 2 && words >= text.matches(VARIABLE).count()
}

/// Of two texts of one template, the one that says less.
fn wider(a: &str, b: &str) -> String {
    let constant = |t: &str| t.replace(VARIABLE, "").len();
    if constant(b) < constant(a) { b.to_owned() } else { a.to_owned() }
}

/// Joins the groups with the same key; `text` makes the text of several.
fn by_key(
    groups: Vec<(Vec<TemplateId>, String)>,
    key: impl Fn(&str) -> String,
    text: impl Fn(&[String]) -> String,
) -> Vec<(Vec<TemplateId>, String)> {
    let mut buckets: BTreeMap<String, Vec<(Vec<TemplateId>, String)>> = BTreeMap::new();
    for group in groups {
        buckets.entry(key(&group.1)).or_default().push(group);
    }
    let mut out: Vec<(Vec<TemplateId>, String)> = buckets
        .into_values()
        .map(|bucket| {
            if let [only] = bucket.as_slice() {
                return only.clone();
            }
            let texts: Vec<String> = bucket.iter().map(|(_, t)| t.clone()).collect();
            let mut ids: Vec<TemplateId> = bucket.into_iter().flat_map(|(ids, _)| ids).collect();
            ids.sort_unstable();
            (ids, text(&texts))
        })
        .collect();
    out.sort();
    out
}

/// The text with what stands behind `=`, in quotes or not, taken out.
fn value_key(text: &str) -> String {
    pieces(text).into_iter().map(|(literal, _)| literal).collect::<Vec<_>>().join("\u{1}")
}

fn join_values(all: &[String]) -> String {
    let cut: Vec<Vec<(&str, &str)>> = all.iter().map(|t| pieces(t)).collect();
    let mut out = String::new();
    for (i, (literal, value)) in cut[0].iter().enumerate() {
        out.push_str(literal);
        let same = cut.iter().all(|other| other.get(i).is_some_and(|(_, v)| v == value));
        out.push_str(if same { value } else { VARIABLE });
    }
    normal_form(&out)
}

/// The text as literals, each with the value behind it; the last value is empty.
fn pieces(text: &str) -> Vec<(&str, &str)> {
    let bytes = text.as_bytes();
    let (mut out, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let from = at + 1;
        let end = match bytes[at] {
            _ if is_message(&bytes[..at]) => None,
            b'=' if bytes.get(from) != Some(&b'=') && (at == 0 || bytes[at - 1] != b'=') => {
                value_end(bytes, from)
            }
            // Other quotes may name an event: `"GET <*>"`, `"POST <*>"`.
            b'"' if at > 0 && bytes[at - 1] == b'=' => quote_end(bytes, from),
            _ => None,
        };
        match end {
            Some(end) => {
                out.push((&text[start..from], &text[from..end]));
                start = end;
                at = end.max(from);
                if bytes.get(at) == Some(&b'"') && bytes[from - 1] == b'"' {
                    at += 1;
                }
            }
            None => at += 1,
        }
    }
    out.push((&text[start..], ""));
    out
}

/// Whether a message starts here: behind `msg` or `msg=`.
fn is_message(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"=").unwrap_or(before);
    let start = before.iter().rposition(|b| !b.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
    names_message(before.get(start..).unwrap_or_default())
}

/// Where the value that starts at `from` ends: at a blank, comma, semicolon or the bracket that closes it from
/// outside. Brackets that open in the value close in it.
fn value_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, &b) in bytes.iter().enumerate().skip(from) {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return Some(at),
            b')' | b']' | b'}' => depth -= 1,
            b'=' => return None,
            b' ' | b',' | b';' | b'"' if depth == 0 => return (at > from).then_some(at),
            _ => {}
        }
    }
    (depth == 0 && bytes.len() > from).then_some(bytes.len())
}

fn quote_end(bytes: &[u8], from: usize) -> Option<usize> {
    let end = bytes.get(from..)?.iter().position(|&b| b == b'"')? + from;
    (!bytes[from..end].contains(&b'=')).then_some(end)
}

/// Lists of variables as one variable.
fn collapsed(text: &str) -> String {
    let mut text = text.to_owned();
    for list in ["<*> <*>", "<*>, <*>", "<*>,<*>"] {
        while text.contains(list) {
            text = text.replace(list, VARIABLE);
        }
    }
    text
}

/// Empty brackets and values filled with a variable.
fn filled(text: &str) -> String {
    let mut text =
        text.replace("()", "(<*>)").replace("[]", "[<*>]").replace("= ", "=<*> ").replace("=,", "=<*>,");
    if text.ends_with('=') {
        text.push_str(VARIABLE);
    }
    text
}

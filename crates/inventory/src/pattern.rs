//! Host patterns: `web:&prod:!db`, `web*`, `~web\d+`, `web[0:2]`, `all`, and `--limit`.
//!
//! Regular expressions run on an engine whose time grows with the text only, so no pattern can hang a run;
//! look-around and back-references are therefore refused. `@file` is left to the caller, who reads the file and
//! gives its lines as patterns.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

use crate::bounds::REGEX_BYTES_MAX;
use crate::inventory::{ALL, HostId, Inventory};
use crate::merge::LOCALHOST;
use crate::names::parse_address;
use crate::problem::{InventoryError, Place, Problem, Result, short};

/// Most patterns in one call; a file of failed hosts has one for each.
const PATTERNS_MAX: usize = 100_000;
/// Most patterns with wildcards or regular expressions in one call: each looks at every host.
const SEARCHES_MAX: usize = 1000;

/// A host that a pattern names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Selected {
    /// A host of the inventory.
    Host(HostId),
    /// This machine, which no inventory lists; under this name.
    Localhost(&'static str),
}

/// What patterns name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The hosts, each once, in Ansible's order.
    pub hosts: Vec<Selected>,
    /// Parts of the patterns that name nothing.
    pub unmatched: Vec<String>,
}

impl Inventory {
    /// The hosts that the pattern names, cut down to those that `limit` names too.
    ///
    /// # Errors
    /// [`Problem::Pattern`] for wrong expressions and for a subscript beyond the hosts.
    pub fn select(&self, pattern: &str, limit: Option<&[&str]>) -> Result<Selection> {
        let mut search = Search { inventory: self, unmatched: Vec::new(), n_searches: 0 };
        let mut hosts = search.evaluate(&[pattern])?;
        if let Some(limit) = limit {
            let within: HashSet<Selected> = search.evaluate(limit)?.into_iter().collect();
            let here = within.iter().any(|host| matches!(host, Selected::Localhost(_)));
            hosts.retain(|host| within.contains(host) || (here && matches!(host, Selected::Localhost(_))));
        }
        Ok(Selection { hosts, unmatched: search.unmatched })
    }
}

/// Splits at commas, or else at colons that are not part of an address or range.
fn split(pattern: &str) -> Vec<String> {
    let parts: Vec<String> = if pattern.contains(',') {
        pattern.split(',').map(str::to_owned).collect()
    } else if parse_address(pattern).is_some() {
        vec![pattern.to_owned()]
    } else {
        split_at_colons(pattern)
    };
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn split_at_colons(pattern: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let bracket = (c == '[').then(|| rest.find(']')).flatten();
        let len = bracket.map_or(c.len_utf8(), |end| end + 1);
        let (piece, after) = rest.split_at(len);
        if bracket.is_none() && (c.is_whitespace() || ":[]".contains(c)) {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push_str(piece);
        }
        rest = after;
    }
    parts
}

struct Search<'i> {
    inventory: &'i Inventory,
    unmatched: Vec<String>,
    n_searches: usize,
}

impl Search<'_> {
    /// First what is named, then `&`, then `!`, whatever the order they were written in.
    fn evaluate(&mut self, patterns: &[&str]) -> Result<Vec<Selected>> {
        let parts: Vec<String> = patterns.iter().flat_map(|pattern| split(pattern)).collect();
        if parts.len() > PATTERNS_MAX {
            let whole = Place::file("");
            return Err(whole.problem(Problem::TooMany { what: "host patterns", max: PATTERNS_MAX }));
        }
        let kind = |mark: char| parts.iter().filter(move |part| part.starts_with(mark));
        let mut named: Vec<&str> =
            parts.iter().map(String::as_str).filter(|part| !part.starts_with(['&', '!'])).collect();
        if named.is_empty() {
            named.push("all");
        }
        let mut hosts = Vec::new();
        let mut seen = HashSet::new();
        for part in named {
            let found = self.one(part)?;
            hosts.extend(found.into_iter().filter(|host| seen.insert(*host)));
        }
        for part in kind('&') {
            let found: HashSet<Selected> = self.one(part.trim_start_matches('&'))?.into_iter().collect();
            hosts.retain(|host| found.contains(host));
        }
        for part in kind('!') {
            let found: HashSet<Selected> = self.one(part.trim_start_matches('!'))?.into_iter().collect();
            hosts.retain(|host| !found.contains(host));
        }
        Ok(hosts)
    }

    fn one(&mut self, part: &str) -> Result<Vec<Selected>> {
        if let Some(host) = self.inventory.host_id(part) {
            return Ok(vec![Selected::Host(host)]);
        }
        if part.is_empty() || part.starts_with('@') {
            let why = "a part is empty, or a @file that was not read";
            return Err(wrong(part, why));
        }
        let (name, subscript) = subscript(part)?;
        let found = self.matches(name)?;
        let Some(subscript) = subscript.filter(|_| !found.is_empty()) else { return Ok(found) };
        subscript.apply(&found).ok_or_else(|| wrong(part, &format!("only {} hosts match", found.len())))
    }

    fn matches(&mut self, name: &str) -> Result<Vec<Selected>> {
        let inventory = self.inventory;
        let matcher = Matcher::new(name)?;
        if matches!(matcher, Matcher::Regex(_)) {
            self.n_searches += 1;
            if self.n_searches > SEARCHES_MAX {
                let problem = Problem::TooMany { what: "patterns with wildcards", max: SEARCHES_MAX };
                return Err(Place::file("").problem(problem));
            }
        }
        let groups = match &matcher {
            Matcher::Name(name) => inventory.group_id(name).into_iter().collect(),
            Matcher::Regex(regex) => positions(inventory.groups.iter().map(|g| g.name.as_str()), regex),
        };
        let mut hosts: Vec<HostId> = groups.iter().flat_map(|group| inventory.hosts_of(*group)).collect();
        if groups.is_empty() || name.starts_with('~') || name.contains(['.', '?', '*', '[']) {
            match &matcher {
                Matcher::Name(name) => hosts.extend(inventory.host_id(name)),
                Matcher::Regex(regex) => {
                    hosts.extend(positions(inventory.hosts.iter().map(|h| h.name.as_str()), regex));
                }
            }
        }
        let mut found: Vec<Selected> = hosts.into_iter().map(Selected::Host).collect();
        if found.is_empty()
            && let Some(local) = LOCALHOST.into_iter().find(|local| *local == name)
        {
            // A listed host with another of these names stands for the machine.
            let listed = inventory.hosts.iter().position(|host| LOCALHOST.contains(&host.name.as_str()));
            found.push(listed.map_or(Selected::Localhost(local), Selected::Host));
        }
        if found.is_empty()
            && groups.is_empty()
            && inventory.groups.get(ALL).is_some_and(|all| all.name != name)
        {
            self.unmatched.push(short(name));
        }
        Ok(found)
    }
}

fn positions<'n>(names: impl Iterator<Item = &'n str>, regex: &Regex) -> Vec<usize> {
    names.enumerate().filter(|(_, name)| regex.is_match(name)).map(|(at, _)| at).collect()
}

enum Matcher<'p> {
    Name(&'p str),
    Regex(Regex),
}

impl<'p> Matcher<'p> {
    fn new(name: &'p str) -> Result<Self> {
        let expression = if let Some(regex) = name.strip_prefix('~') {
            format!("^(?:{regex})")
        } else if name.contains(['*', '?', '[']) {
            format!("(?s)^{}$", from_glob(name))
        } else {
            return Ok(Self::Name(name));
        };
        let regex = RegexBuilder::new(&expression).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
            let words = error.to_string();
            wrong(name, words.lines().last().unwrap_or_default())
        })?;
        Ok(Self::Regex(regex))
    }
}

/// A shell pattern as a regular expression.
fn from_glob(glob: &str) -> String {
    let mut out = String::new();
    let mut rest = glob;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => match class(rest) {
                Some((class, after)) => {
                    out.push_str(&class);
                    rest = after;
                }
                None => out.push_str("\\["),
            },
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// What stands in `[...]`, with `!` for "none of"; and the rest after it.
fn class(rest: &str) -> Option<(String, &str)> {
    let (negated, inner) = rest.strip_prefix('!').map_or((false, rest), |inner| (true, inner));
    // A bracket in first place stands for itself.
    let first = inner.chars().next()?.len_utf8();
    let end = first + inner.get(first..)?.find(']')?;
    let chars: Vec<char> = inner.get(..end)?.chars().collect();
    let escaped = |c: char| format!("\\x{{{:x}}}", u32::from(c));
    let mut out = String::new();
    let mut chars = chars.as_slice();
    while let Some((c, after)) = chars.split_first() {
        match after {
            ['-', to, after @ ..] => {
                if c <= to {
                    out += &format!("{}-{}", escaped(*c), escaped(*to));
                }
                chars = after;
            }
            _ => {
                out += &escaped(*c);
                chars = after;
            }
        }
    }
    let whole = match (out.is_empty(), negated) {
        (true, true) => ".".to_owned(),
        (true, false) => "[^\\x{0}-\\x{10ffff}]".to_owned(),
        (false, negated) => format!("[{}{out}]", if negated { "^" } else { "" }),
    };
    Some((whole, inner.get(end + 1..)?))
}

enum Subscript {
    At(i64),
    Slice(usize, Option<usize>),
}

impl Subscript {
    fn apply(&self, hosts: &[Selected]) -> Option<Vec<Selected>> {
        match self {
            Self::At(at) => {
                let at = if *at < 0 { at.checked_add(i64::try_from(hosts.len()).ok()?)? } else { *at };
                Some(vec![*hosts.get(usize::try_from(at).ok()?)?])
            }
            // `[2:0]` names one host in Ansible, because an end of 0 counts as none.
            Self::Slice(from, Some(0)) => Some(vec![*hosts.get(*from)?]),
            Self::Slice(from, to) => {
                let n = to.map_or(hosts.len(), |to| (to + 1).saturating_sub(*from));
                Some(hosts.iter().skip(*from).take(n).copied().collect())
            }
        }
    }
}

/// Takes `[0]`, `[-1]`, `[0:2]`, `[1:]` off the end. In a `~regex` brackets belong to the expression.
fn subscript(part: &str) -> Result<(&str, Option<Subscript>)> {
    let whole = (part, None);
    if part.starts_with('~') {
        return Ok(whole);
    }
    let Some((name, inner)) = part.strip_suffix(']').and_then(|part| part.rsplit_once('[')) else {
        return Ok(whole);
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let too_large = |_| wrong(part, "the number is too large");
    if name.is_empty() {
        return Ok(whole);
    }
    if digits(inner.strip_prefix('-').unwrap_or(inner)) {
        return Ok((name, Some(Subscript::At(inner.parse().map_err(too_large)?))));
    }
    let Some((from, to)) =
        inner.split_once([':', '-']).filter(|(from, to)| digits(from) && (to.is_empty() || digits(to)))
    else {
        return Ok(whole);
    };
    let to = if to.is_empty() { None } else { Some(to.parse::<u32>().map_err(too_large)? as usize) };
    Ok((name, Some(Subscript::Slice(from.parse::<u32>().map_err(too_large)? as usize, to))))
}

fn wrong(pattern: &str, why: &str) -> InventoryError {
    Place::file("").problem(Problem::Pattern { pattern: short(pattern), why: short(why) })
}

//! Relabeling: rules that rewrite, keep or drop label sets, as Prometheus 3 has them.
//!
//! Pure. Expressions are anchored at both ends, match line breaks with `.`, and run on an engine whose time is linear
//! in the text. An empty value is the same as no label. What a rule set is applied to (targets, samples, samples to be
//! sent) is the caller's affair.

use std::borrow::Cow;
use std::fmt;

use md5::{Digest, Md5};
use regex::{Regex, RegexBuilder};
use wellkept_model::Labels;

/// Most bytes that a compiled expression may take.
const REGEX_MAX: usize = 1 << 20;

/// What a rule does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// Writes the replacement to the target label where the expression matches.
    #[default]
    Replace,
    /// Drops the whole set unless the expression matches.
    Keep,
    /// Drops the whole set when the expression matches.
    Drop,
    /// Drops the whole set unless the target label's value is that of the sources.
    KeepEqual,
    /// Drops the whole set when the target label's value is that of the sources.
    DropEqual,
    /// Writes the remainder of a hash of the sources to the target label.
    HashMod,
    /// Copies labels to the names that the replacement gives.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Writes the sources in lower case to the target label.
    Lowercase,
    /// Writes the sources in upper case to the target label.
    Uppercase,
}

impl Action {
    /// All actions with their words.
    pub const ALL: [(&'static str, Self); 11] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("keepequal", Self::KeepEqual),
        ("dropequal", Self::DropEqual),
        ("hashmod", Self::HashMod),
        ("labelmap", Self::LabelMap),
        ("labeldrop", Self::LabelDrop),
        ("labelkeep", Self::LabelKeep),
        ("lowercase", Self::Lowercase),
        ("uppercase", Self::Uppercase),
    ];

    /// The action of a word, in any case as Prometheus takes it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)).map(|(_, action)| *action)
    }

    fn needs_target(self) -> bool {
        !matches!(self, Self::Keep | Self::Drop | Self::LabelMap | Self::LabelDrop | Self::LabelKeep)
    }
}

/// A rule as it is written; [`Rule::new`] checks it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleText {
    /// `source_labels`.
    pub source_labels: Vec<String>,
    /// `separator`; `;` when not given.
    pub separator: Option<String>,
    /// `regex`; `(.*)` when not given.
    pub regex: Option<String>,
    /// `modulus`, for hashmod.
    pub modulus: u64,
    /// `target_label`.
    pub target_label: String,
    /// `replacement`; `$1` when not given.
    pub replacement: Option<String>,
    /// `action`.
    pub action: Action,
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The expression does not compile, or is too large.
    #[error("{0}")]
    Regex(String),
    /// A key is needed for this action.
    #[error("needs {0}")]
    Needs(&'static str),
    /// A key has no meaning for this action.
    #[error("takes no {0}")]
    TakesNo(&'static str),
    /// What stands there can be no label's name.
    #[error("{0:?} is no name for a label")]
    Name(String),
}

/// A checked rule.
#[derive(Clone)]
pub struct Rule {
    text: RuleText,
    regex: Regex,
    separator: String,
    replacement: String,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Rule {
    /// Checks a rule.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn new(text: RuleText) -> Result<Self, RuleError> {
        check(&text)?;
        let source = text.regex.as_deref().unwrap_or("(.*)");
        let regex = RegexBuilder::new(&format!("^(?s:{source})$"))
            .size_limit(REGEX_MAX)
            .build()
            .map_err(|e| RuleError::Regex(e.to_string().lines().last().unwrap_or_default().to_owned()))?;
        let separator = text.separator.clone().unwrap_or_else(|| ";".to_owned());
        let replacement = text.replacement.clone().unwrap_or_else(|| "$1".to_owned());
        Ok(Self { text, regex, separator, replacement })
    }

    /// False when the set is dropped.
    fn apply(&self, set: &mut LabelSet) -> bool {
        let value = self.joined(set);
        let target = self.text.target_label.as_str();
        match self.text.action {
            Action::Keep => return self.regex.is_match(&value),
            Action::Drop => return !self.regex.is_match(&value),
            Action::KeepEqual => return set.get(target) == value,
            Action::DropEqual => return set.get(target) != value,
            Action::Replace => {
                let new = self.regex.captures(&value).map(|found| {
                    let (mut name, mut new) = (String::new(), String::new());
                    found.expand(target, &mut name);
                    found.expand(&self.replacement, &mut new);
                    (name, new)
                });
                if let Some((name, new)) = new.filter(|(name, _)| !name.is_empty()) {
                    set.set(&name, &new);
                }
            }
            Action::Lowercase => {
                let new = value.to_lowercase();
                set.set(target, &new);
            }
            Action::Uppercase => {
                let new = value.to_uppercase();
                set.set(target, &new);
            }
            Action::HashMod => {
                let new = hash(&value).checked_rem(self.text.modulus).unwrap_or(0).to_string();
                set.set(target, &new);
            }
            Action::LabelMap => self.map_names(set),
            Action::LabelDrop => set.0.retain(|(name, _)| !self.regex.is_match(name)),
            Action::LabelKeep => set.0.retain(|(name, _)| self.regex.is_match(name)),
        }
        true
    }

    fn joined(&self, set: &LabelSet) -> String {
        let values: Vec<&str> = self.text.source_labels.iter().map(|name| set.get(name)).collect();
        values.join(&self.separator)
    }

    fn map_names(&self, set: &mut LabelSet) {
        let mut sorted: Vec<&(String, String)> = set.0.iter().collect();
        sorted.sort();
        let mapped: Vec<(String, String)> = sorted
            .into_iter()
            .filter_map(|(name, value)| {
                let mut new = String::new();
                self.regex.captures(name)?.expand(&self.replacement, &mut new);
                Some((new, value.clone()))
            })
            .collect();
        for (name, value) in mapped.iter().filter(|(name, _)| !name.is_empty()) {
            set.set(name, value);
        }
    }
}

/// The last eight bytes of the MD5 sum, most significant first, as Prometheus takes them.
fn hash(value: &str) -> u64 {
    let sum = Md5::digest(value.as_bytes());
    sum.iter().skip(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

fn check(text: &RuleText) -> Result<(), RuleError> {
    let action = text.action;
    if action.needs_target() && text.target_label.is_empty() {
        return Err(RuleError::Needs("target_label"));
    }
    if action == Action::HashMod && text.modulus == 0 {
        return Err(RuleError::Needs("modulus"));
    }
    let equal = matches!(action, Action::KeepEqual | Action::DropEqual);
    let names = matches!(action, Action::LabelDrop | Action::LabelKeep);
    let cased = matches!(action, Action::Lowercase | Action::Uppercase);
    // A key that says what holds anyway is fine.
    let separator = text.separator.as_deref().is_some_and(|s| s != ";");
    let replacement = text.replacement.as_deref().is_some_and(|r| r != "$1");
    let regex = text.regex.as_deref().is_some_and(|r| r != "(.*)");
    for (wrong, key) in [
        (names && !text.source_labels.is_empty(), "source_labels"),
        (names && !text.target_label.is_empty(), "target_label"),
        ((equal || names) && separator, "separator"),
        ((equal || names || cased) && replacement, "replacement"),
        (equal && regex, "regex"),
        ((equal || names) && text.modulus != 0, "modulus"),
    ] {
        if wrong {
            return Err(RuleError::TakesNo(key));
        }
    }
    let made = if action == Action::LabelMap { text.replacement.as_deref() } else { None };
    match made {
        Some("") => Err(RuleError::Name(String::new())),
        _ => Ok(()),
    }
}

/// Labels that are being rewritten: no name twice, no empty value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSet(Vec<(String, String)>);

impl LabelSet {
    /// The value of a label; the empty text when it is not there.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// Sets a label, or removes it when the value is empty.
    pub fn set(&mut self, name: &str, value: &str) {
        let at = self.0.iter().position(|(n, _)| n == name);
        match (at.and_then(|at| self.0.get_mut(at)), value.is_empty()) {
            (Some((_, old)), false) => value.clone_into(old),
            (None, false) => self.0.push((name.to_owned(), value.to_owned())),
            (Some(_), true) => self.0.retain(|(n, _)| n != name),
            (None, true) => {}
        }
    }

    /// Keeps the labels that `keep` accepts.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| keep(name));
    }

    /// Pairs in no particular order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Applies rules in order; false when the set is dropped.
    #[must_use]
    pub fn relabel(&mut self, rules: &[Rule]) -> bool {
        rules.iter().all(|rule| rule.apply(self))
    }

    /// The finished set.
    #[must_use]
    pub fn into_labels(self) -> Labels {
        Labels::new(self.0)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for LabelSet {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut set = Self::default();
        pairs.into_iter().for_each(|(name, value)| set.set(name, value));
        set
    }
}

impl From<&Labels> for LabelSet {
    fn from(labels: &Labels) -> Self {
        Self(labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
    }
}

/// Applies rules to a finished set; `None` when it is dropped.
#[must_use]
pub fn relabel<'l>(labels: &'l Labels, rules: &[Rule]) -> Option<Cow<'l, Labels>> {
    if rules.is_empty() {
        return Some(Cow::Borrowed(labels));
    }
    let mut set = LabelSet::from(labels);
    set.relabel(rules).then(|| Cow::Owned(set.into_labels()))
}

#[cfg(test)]
mod tests;

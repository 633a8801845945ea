//! Rule files: groups of recording and alerting rules, checked as they are read.
//!
//! A file is accepted as a whole or not at all, with all its mistakes named. Expressions and templates are parsed
//! here, so that nothing can be misspelt when a group is evaluated.

use std::collections::BTreeSet;
use std::time::Duration;

use wellkept_model::{Labels, METRIC_NAME, Text};
use wellkept_promql::Query;

use crate::ask;
use crate::problem::{FileErrors, Place, Problems, short};
use crate::template::Template;
use crate::yaml::{self, Fields, Node, ReadFields, ReadNode};

/// Most rules of one file.
pub const RULES_MAX: usize = 20_000;

const GROUP_KEYS: [&str; 6] = ["name", "interval", "query_offset", "limit", "labels", "rules"];
const RULE_KEYS: [&str; 7] = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];

/// A checked rule file.
#[derive(Debug)]
pub struct RuleFile {
    /// The file as the caller named it.
    pub name: String,
    /// In the order of the file; names are unique.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated one after the other at the same instants.
#[derive(Debug)]
pub struct Group {
    /// Unique within its file, never empty.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// Time between two evaluations; the caller's default when not told.
    pub interval: Option<Duration>,
    /// How far back rules look; the caller's default when not told.
    pub query_offset: Option<Duration>,
    /// Most series of a recording rule and alerts of an alerting rule; 0 is no limit.
    pub limit: usize,
    /// In the order of evaluation.
    pub rules: Vec<Rule>,
    /// Where it stands.
    pub place: Place,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// The metric to record, or the alert's name.
    pub name: String,
    /// The expression as the file writes it, without white space around it.
    pub expr: String,
    /// The expression, parsed.
    pub query: Query,
    /// The labels that it sets, those of its group included, sorted by name; templates of alerts unexpanded.
    pub labels: Vec<(String, String)>,
    /// What it does with the result.
    pub kind: RuleKind,
    /// Where it stands.
    pub place: Place,
}

/// The two kinds of rules.
#[derive(Debug)]
pub enum RuleKind {
    /// Stores the result as a new series.
    Record,
    /// Raises an alert for each series of the result.
    Alert(AlertRule),
}

/// What only alerting rules have.
#[derive(Debug)]
pub struct AlertRule {
    /// How long the expression must hold before the alert fires.
    pub hold: Duration,
    /// How long the alert keeps firing after the expression has ceased to hold.
    pub keep_firing_for: Duration,
    /// Templates of [`Rule::labels`], in their order.
    pub labels: Vec<(String, Template)>,
    /// Templates of the annotations, sorted by name.
    pub annotations: Vec<(String, Template)>,
}

impl Rule {
    /// What only alerting rules have; `None` for recording rules.
    #[must_use]
    pub fn alert(&self) -> Option<&AlertRule> {
        match &self.kind {
            RuleKind::Alert(alert) => Some(alert),
            RuleKind::Record => None,
        }
    }

    /// The labels that the rule sets, unexpanded; pairs with an empty value are left out.
    #[must_use]
    pub fn label_set(&self) -> Labels {
        Labels::new(self.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

impl RuleFile {
    /// Reads a file's text; `name` is what errors and the API call the file.
    ///
    /// # Errors
    /// [`FileErrors`] with every mistake: unknown keys, names, durations, expressions or templates that cannot be
    /// read, repeated group names, fields that do not fit the kind of rule, more than [`RULES_MAX`] rules.
    pub fn read(name: &str, text: &str) -> Result<Self, FileErrors> {
        let mut problems = Problems::new(name);
        let groups =
            yaml::read(text, &mut problems).map_or_else(Vec::new, |n| groups(name, &n, &mut problems));
        problems.finish(Self { name: name.to_owned(), groups })
    }
}

fn groups(file: &str, root: &Node, problems: &mut Problems<'_>) -> Vec<Group> {
    let Some(fields) = root.fields(&["groups"], problems) else { return Vec::new() };
    let mut names = BTreeSet::new();
    let mut rules = 0;
    let mut groups = Vec::new();
    for node in fields.items("groups", problems) {
        let Some(group) = group(file, node, problems) else { continue };
        if !group.name.is_empty() && !names.insert(group.name.clone()) {
            let message = Text::new("rules.group_twice").with("name", short(&group.name));
            node.refuse(problems, message, Text::new("rules.accept.group_once"));
        }
        rules += group.rules.len();
        groups.push(group);
    }
    if rules > RULES_MAX {
        let message = Text::new("rules.too_many_rules").with("count", rules);
        root.refuse(problems, message, Text::new("rules.accept.rules").with("max", RULES_MAX));
    }
    groups
}

fn group(file: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Group> {
    let fields = node.fields(&GROUP_KEYS, problems)?;
    let name = fields.text("name", problems);
    if name.is_empty() {
        node.refuse(problems, Text::new("rules.no_group_name"), Text::new("rules.accept.group_name"));
    }
    let shared = labels(&fields, problems);
    let rules = fields.items("rules", problems).iter();
    let rules = rules.filter_map(|n| rule(n, &shared, problems)).collect();
    Some(Group {
        name,
        file: file.to_owned(),
        interval: fields.duration("interval", problems).filter(|d| !d.is_zero()),
        query_offset: fields.duration("query_offset", problems),
        limit: fields
            .get("limit")
            .and_then(|n| n.parsed("rules.accept.whole", problems, |t| t.parse().ok()))
            .unwrap_or(0),
        rules,
        place: node.at.place,
    })
}

/// The pairs of `labels`, with names checked.
fn labels(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (key, _, value) in fields.texts("labels", problems) {
        if key.text.is_empty() || key.text == METRIC_NAME {
            let message = Text::new("rules.bad_label").with("name", short(&key.text));
            problems.add(&key.at, message, Text::new("rules.accept.label"));
        }
        pairs.push((key.text.clone(), value));
    }
    pairs
}

fn rule(node: &Node, shared: &[(String, String)], problems: &mut Problems<'_>) -> Option<Rule> {
    let fields = node.fields(&RULE_KEYS, problems)?;
    let (record, alert) = (fields.text("record", problems), fields.text("alert", problems));
    let own = labels(&fields, problems);
    let mut all: std::collections::BTreeMap<String, String> = shared.iter().cloned().collect();
    all.extend(own);
    let labels: Vec<(String, String)> = all.into_iter().collect();
    let (name, kind) = match (record.is_empty(), alert.is_empty()) {
        (false, true) => {
            check_recording(&record, &fields, problems);
            (record, RuleKind::Record)
        }
        (true, false) => (alert, RuleKind::Alert(alerting(&fields, &labels, problems))),
        (both_empty, _) => {
            let key = if both_empty { "rules.neither_kind" } else { "rules.both_kinds" };
            node.refuse(problems, Text::new(key), Text::new("rules.accept.kind"));
            (record, RuleKind::Record)
        }
    };
    let expr = fields.text("expr", problems).trim().to_owned();
    let query = expression(&fields, &expr, problems)?;
    Some(Rule { name, expr, query, labels, kind, place: node.at.place })
}

fn expression(fields: &Fields<'_>, expr: &str, problems: &mut Problems<'_>) -> Option<Query> {
    let node = fields.get("expr").unwrap_or(fields.node);
    if expr.is_empty() {
        node.refuse(problems, Text::new("rules.no_expr"), Text::new("rules.accept.expr"));
        return None;
    }
    match ask::parse(expr) {
        Ok(query) => Some(query),
        Err(e) => {
            let message = Text::new("rules.bad_expr").with("detail", e);
            node.refuse(problems, message, Text::new("rules.accept.expr"));
            None
        }
    }
}

fn check_recording(record: &str, fields: &Fields<'_>, problems: &mut Problems<'_>) {
    if record.contains(['{', '}']) {
        let node = fields.get("record").unwrap_or(fields.node);
        let message = Text::new("rules.bad_record").with("name", short(record));
        node.refuse(problems, message, Text::new("rules.accept.record"));
    }
    for key in ["for", "keep_firing_for", "annotations"] {
        let Some(node) = fields.get(key) else { continue };
        let empty = match key {
            "annotations" => node.texts(problems).is_empty(),
            _ => node.duration(problems).is_some_and(|d| d.is_zero()),
        };
        if !empty {
            let message = Text::new("rules.only_alerts").with("key", key);
            node.refuse(problems, message, Text::new("rules.accept.only_alerts"));
        }
    }
}

fn alerting(fields: &Fields<'_>, labels: &[(String, String)], problems: &mut Problems<'_>) -> AlertRule {
    let mut annotations = Vec::new();
    for (key, node, text) in fields.texts("annotations", problems) {
        if key.text.is_empty() {
            let message = Text::new("rules.bad_label").with("name", "");
            problems.add(&key.at, message, Text::new("rules.accept.annotation"));
        }
        annotations.extend(template(&key.text, &text, node, problems));
    }
    annotations.sort_by(|a, b| a.0.cmp(&b.0));
    // Labels of the group have their place elsewhere; a broken one is shown at the rule.
    let at = |name: &str| {
        let own = fields.get("labels").map(|n| &n.value);
        match own {
            Some(yaml::Value::Map(entries)) => entries.iter().find(|(k, _)| k.text == name).map(|(_, n)| n),
            _ => None,
        }
        .unwrap_or(fields.node)
    };
    let templates =
        labels.iter().filter_map(|(name, text)| template(name, text, at(name), problems)).collect();
    AlertRule {
        hold: fields.duration("for", problems).unwrap_or_default(),
        keep_firing_for: fields.duration("keep_firing_for", problems).unwrap_or_default(),
        labels: templates,
        annotations,
    }
}

fn template(name: &str, text: &str, node: &Node, problems: &mut Problems<'_>) -> Option<(String, Template)> {
    match Template::parse(text) {
        Ok(template) => Some((name.to_owned(), template)),
        Err(e) => {
            let message = Text::new("rules.bad_template").with("name", short(name)).with("detail", e);
            node.refuse(problems, message, Text::new("rules.accept.template"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Vec<String> {
        let errors = RuleFile::read("r.yml", text).expect_err(text);
        errors.problems.iter().map(ToString::to_string).collect()
    }

    /// A file with one rule made of these lines.
    fn one(lines: &str) -> String {
        let lines: String = lines.split('|').map(|l| format!("    {l}\n")).collect();
        format!("groups:\n- name: g\n  rules:\n  -\n{lines}")
    }

    #[test]
    fn everything_that_prometheus_knows_is_read() {
        let text = "
groups:
  - name: a
    interval: 1m30s
    query_offset: 10s
    limit: 5
    labels: {team: infra, severity: none}
    rules:
      - record: job:up:sum
        expr: |
          sum by (job) (up)
        labels: {n: 1, on: true}
      - alert: Down
        expr: up == 0
        for: 5m
        keep_firing_for: 1h
        labels: {severity: page}
        annotations: {summary: '{{ $labels.instance }} is down'}
  - name: b
";
        let file = RuleFile::read("r.yml", text).unwrap();
        let a = &file.groups[0];
        assert_eq!((a.interval, a.limit), (Some(Duration::from_secs(90)), 5));
        assert_eq!(a.query_offset, Some(Duration::from_secs(10)));
        assert_eq!(a.rules[0].expr, "sum by (job) (up)");
        let set = a.rules[0].label_set();
        assert_eq!((set.get("n"), set.get("on"), set.get("team")), ("1", "true", "infra"));
        let alert = a.rules[1].alert().unwrap();
        assert_eq!((alert.hold.as_secs(), alert.keep_firing_for.as_secs()), (300, 3600));
        assert_eq!(a.rules[1].label_set().get("severity"), "page");
        assert!(file.groups[1].rules.is_empty() && file.groups[1].interval.is_none());
    }

    #[test]
    fn an_empty_file_has_no_groups() {
        for text in ["", "# nothing\n", "groups:\n", "groups: []\n", "{}"] {
            assert!(RuleFile::read("r.yml", text).unwrap().groups.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn anchors_and_merge_keys_are_read() {
        let text = "
groups:
- name: g
  rules:
  - &first {alert: A, expr: up, labels: &l {severity: page}}
  - {alert: B, expr: up, labels: {<<: *l, team: x}}
";
        let file = RuleFile::read("r.yml", text).unwrap();
        assert_eq!(file.groups[0].rules[1].label_set(), Labels::new([("severity", "page"), ("team", "x")]));
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        for (text, part) in [
            ("groups:\n- rules: []\n".to_owned(), "r.yml:2:3: groups[0]: "),
            ("groups:\n- name: a\n- name: a\n".to_owned(), "the group a"),
            ("gruops: []\n".to_owned(), "r.yml:1:1: gruops: "),
            (one("record: a|alert: b|expr: up"), "both"),
            (one("expr: up"), "neither"),
            (one("record: a"), "expr"),
            (one("record: a|expr: sum("), "r.yml:6:11: groups[0].rules[0].expr: "),
            (one("record: a|expr: up|for: 5m"), "for"),
            (one("record: a|expr: up|annotations: {a: b}"), "annotations"),
            (one("record: 'a{b}'|expr: up"), "a{b}"),
            (one("alert: a|expr: up|for: 5"), "`5`"),
            (one("alert: a|expr: up|labels: {__name__: x}"), "__name__"),
            (one("alert: a|expr: up|annotations: {s: '{{ $lables.x }}'}"), "undefined variable"),
            (one("alert: a|expr: up|annotations: {s: '{{ humanise $value }}'}"), "not defined"),
            (one("alert: a|expr: up|severity: page"), "severity"),
            (one("alert: a|expr: [up]"), "list"),
            ("groups:\n- name: a\n  limit: many\n".to_owned(), "many"),
            ("groups: {\n".to_owned(), "YAML"),
            ("groups:\n- name: a\n  name: b\n".to_owned(), "name"),
        ] {
            let found = refused(&text);
            assert!(found.iter().any(|p| p.contains(part)), "{text}\nwanted {part}, got {found:#?}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_together_in_order() {
        let text = one("alert: a|expr: up +|for: x|annotations: {s: '{{'}");
        let lines: Vec<u32> =
            RuleFile::read("r.yml", &text).unwrap_err().problems.iter().map(|p| p.place.line).collect();
        assert_eq!(lines, [6, 7, 8]);
    }

    #[test]
    fn a_file_that_is_a_bomb_is_refused() {
        let bomb = format!(
            "a: &a [x]\n{}",
            (0..30).map(|i| format!("b{i}: &b{i} [*a, *a, *a, *a]\n")).collect::<String>()
        );
        let nested: String = std::iter::once("a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned())
            .chain(
                (1..12).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))),
            )
            .collect();
        for text in [bomb, nested, "[".repeat(100_000), "x".repeat(yaml::FILE_MAX + 1)] {
            assert!(RuleFile::read("r.yml", &text).is_err());
        }
    }

    #[test]
    fn a_group_can_be_handed_from_thread_to_thread() {
        fn sendable<T: Send + Sync>() {}
        sendable::<RuleFile>();
        sendable::<crate::GroupState>();
    }

    proptest::proptest! {
        #[test]
        fn no_text_ends_the_process(text in "(groups:\n|- name: a\n|  rules:\n|  - |alert: x\n|record: x\n|    expr: |up|sum\\(|\\)|\n|    for: 5m\n|    labels: |\\{a: b\\}|\\{\\{|\\}\\}|'|\"|&a|\\*a| |<<: |\\[|\\]|,|:|\t|é){0,30}") {
            let _ = RuleFile::read("r.yml", &text);
            let _ = crate::unit::run("t.yml", &text, &mut |_| Ok(Vec::new()), &wellkept_promql::Limits::default(), &|| false);
        }
    }
}

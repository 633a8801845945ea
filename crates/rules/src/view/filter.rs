//! Which rules `/api/v1/rules` shows: the parameters of its query.

use wellkept_model::Matcher;
use wellkept_promql::QueryError;

use crate::ask;
use crate::eval::GroupState;
use crate::file::Rule;

/// Which rules `/api/v1/rules` shows. The default shows all.
#[derive(Debug, Default)]
pub struct RulesFilter {
    /// `type`: only this kind.
    pub kind: Option<RuleType>,
    /// `rule_name[]`: only these; all when empty.
    pub rule_names: Vec<String>,
    /// `rule_group[]`: only rules of these groups; all when empty.
    pub rule_groups: Vec<String>,
    /// `file[]`: only rules of these files; all when empty.
    pub files: Vec<String>,
    /// `match[]`: only rules whose labels match one of these; all when empty. See [`RulesFilter::add_match`].
    pub matchers: Vec<Vec<Matcher>>,
    /// `exclude_alerts`: leave out the alerts.
    pub exclude_alerts: bool,
    /// `group_limit`: most groups of one answer; 0 is no limit.
    pub group_limit: usize,
    /// `group_next_token` of the answer before.
    pub next_token: Option<String>,
}

/// The values of `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleType {
    /// Alerting rules.
    Alert,
    /// Recording rules.
    Record,
}

impl std::str::FromStr for RuleType {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "alert" => Ok(Self::Alert),
            "record" => Ok(Self::Record),
            _ => Err(QueryError::BadData(format!("not supported value {text:?}: type is alert or record"))),
        }
    }
}

impl RulesFilter {
    /// Adds one `match[]`.
    ///
    /// # Errors
    /// [`QueryError::BadData`] when it is no series selector.
    pub fn add_match(&mut self, selector: &str) -> Result<(), QueryError> {
        self.matchers.push(ask::matchers(selector)?);
        Ok(())
    }

    pub(crate) fn shows_group(&self, state: &GroupState) -> bool {
        let among = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        among(&self.rule_groups, &state.group().name) && among(&self.files, &state.group().file)
    }

    pub(crate) fn shows(&self, rule: &Rule) -> bool {
        let kind = if rule.alert().is_some() { RuleType::Alert } else { RuleType::Record };
        let labels = rule.label_set();
        let matches = |all: &Vec<Matcher>| all.iter().all(|m| m.matches(labels.get(m.name())));
        self.kind.is_none_or(|k| k == kind)
            && (self.rule_names.is_empty() || self.rule_names.contains(&rule.name))
            && (self.matchers.is_empty() || self.matchers.iter().any(matches))
    }
}

//! Problems as keys of the message catalogue, for people who read other languages than English.

use wellkept_model::Text;

use crate::problem::Problem;

impl Problem {
    /// What is wrong. Names and details in it come from files and are data.
    pub fn message(&self) -> Text {
        match self {
            Self::Missing => Text::new("inventory.missing"),
            Self::Unreadable { detail } => Text::new("inventory.unreadable").with("detail", detail),
            Self::ForeignOwner { owner, .. } => Text::new("inventory.foreign_owner").with("owner", owner),
            Self::WritableByOthers { mode } => {
                Text::new("inventory.writable_by_others").with("mode", format!("{mode:04o}"))
            }
            Self::TooLarge { bytes, .. } => Text::new("inventory.too_large").with("bytes", bytes),
            Self::NotText => Text::new("inventory.not_text"),
            Self::TooMany { what, .. } => Text::new("inventory.too_many").with("what", what),
            Self::TooDeep { .. } => Text::new("inventory.too_deep"),
            Self::Yaml { detail } => Text::new("inventory.yaml").with("detail", detail),
            Self::Json { detail } => Text::new("inventory.json").with("detail", detail),
            Self::Unexpected { found, .. } => Text::new("inventory.unexpected").with("found", found),
            Self::Section { section } => Text::new("inventory.section").with("section", section),
            Self::UndefinedGroup { group } => Text::new("inventory.undefined_group").with("group", group),
            Self::Circle { parent, child } => {
                Text::new("inventory.circle").with("parent", parent).with("child", child)
            }
            Self::HostName { name, why } => {
                Text::new("inventory.host_name").with("name", name).with("why", why)
            }
            Self::GroupName { name } => Text::new("inventory.group_name").with("name", name),
            Self::Range { range, why } => Text::new("inventory.range").with("range", range).with("why", why),
            Self::Quote => Text::new("inventory.quote"),
            Self::Priority { found } => Text::new("inventory.priority").with("found", found),
            Self::Plugin { plugin } => Text::new("inventory.plugin").with("plugin", plugin),
            Self::Toml => Text::new("inventory.toml"),
            Self::ScriptNotAllowed => Text::new("inventory.script_not_allowed"),
            Self::Script { detail } => Text::new("inventory.script").with("detail", detail),
            Self::Pattern { pattern, why } => {
                Text::new("inventory.pattern").with("pattern", pattern).with("why", why)
            }
        }
    }

    /// What would be accepted instead.
    pub fn accepted(&self) -> Text {
        match self {
            Self::Missing => Text::new("inventory.accept.missing"),
            Self::Unreadable { .. } => Text::new("inventory.accept.unreadable"),
            Self::ForeignOwner { user, .. } => Text::new("inventory.accept.foreign_owner").with("user", user),
            Self::WritableByOthers { .. } => Text::new("inventory.accept.writable_by_others"),
            Self::TooLarge { max, .. } => Text::new("inventory.accept.too_large").with("max", max),
            Self::NotText => Text::new("inventory.accept.not_text"),
            Self::TooMany { max, .. } => Text::new("inventory.accept.too_many").with("max", max),
            Self::TooDeep { max } => Text::new("inventory.accept.too_deep").with("max", max),
            Self::Yaml { .. } => Text::new("inventory.accept.yaml"),
            Self::Json { .. } => Text::new("inventory.accept.json"),
            Self::Unexpected { expected, .. } => {
                Text::new("inventory.accept.unexpected").with("expected", expected)
            }
            Self::Section { .. } => Text::new("inventory.accept.section"),
            Self::UndefinedGroup { .. } => Text::new("inventory.accept.undefined_group"),
            Self::Circle { .. } => Text::new("inventory.accept.circle"),
            Self::HostName { .. } => Text::new("inventory.accept.host_name"),
            Self::GroupName { .. } => Text::new("inventory.accept.group_name"),
            Self::Range { .. } => Text::new("inventory.accept.range"),
            Self::Quote => Text::new("inventory.accept.quote"),
            Self::Priority { .. } => Text::new("inventory.accept.priority"),
            Self::Plugin { .. } => Text::new("inventory.accept.plugin"),
            Self::Toml => Text::new("inventory.accept.toml"),
            Self::ScriptNotAllowed => Text::new("inventory.accept.script_not_allowed"),
            Self::Script { .. } => Text::new("inventory.accept.script"),
            Self::Pattern { .. } => Text::new("inventory.accept.pattern"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn samples() -> Vec<Problem> {
        let s = || "x".to_owned();
        vec![
            Problem::Missing,
            Problem::Unreadable { detail: s() },
            Problem::ForeignOwner { owner: 1, user: 2 },
            Problem::WritableByOthers { mode: 0o666 },
            Problem::TooLarge { bytes: 2, max: 1 },
            Problem::NotText,
            Problem::TooMany { what: "hosts", max: 1 },
            Problem::TooDeep { max: 1 },
            Problem::Yaml { detail: s() },
            Problem::Json { detail: s() },
            Problem::Unexpected { expected: "a map", found: s() },
            Problem::Section { section: s() },
            Problem::UndefinedGroup { group: s() },
            Problem::Circle { parent: s(), child: s() },
            Problem::HostName { name: s(), why: "it is empty" },
            Problem::GroupName { name: s() },
            Problem::Range { range: s(), why: "the end is missing" },
            Problem::Quote,
            Problem::Priority { found: s() },
            Problem::Plugin { plugin: s() },
            Problem::Toml,
            Problem::ScriptNotAllowed,
            Problem::Script { detail: s() },
            Problem::Pattern { pattern: s(), why: s() },
        ]
    }

    #[test]
    fn every_problem_is_told_in_every_language_with_all_its_values() {
        for catalogue in [
            include_str!("../../../messages/en/inventory.json"),
            include_str!("../../../messages/zh-CN/inventory.json"),
        ] {
            let messages: HashMap<String, String> =
                serde_json::from_str(catalogue).expect("a flat catalogue");
            assert_eq!(messages.len(), 2 * samples().len());
            for text in samples().iter().flat_map(|problem| [problem.message(), problem.accepted()]) {
                let message = messages.get(&text.key).unwrap_or_else(|| panic!("{} is missing", text.key));
                for (name, _) in &text.args {
                    assert!(message.contains(&format!("{{{name}}}")), "{}: {name}", text.key);
                }
                assert_eq!(message.matches('{').count(), text.args.len(), "{}", text.key);
            }
        }
    }
}

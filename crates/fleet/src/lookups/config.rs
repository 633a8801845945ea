//! The lookup `config`: what `ansible.cfg` and `ANSIBLE_*` say of this run, by Ansible's own names of it.

use wellkept_inventory::Value;

use super::Options;
use crate::settings::Settings;

/// What a setting is when nobody says.
enum Usual {
    Yes(bool),
    Number(i128),
    Word(&'static str),
    /// Nothing.
    None,
    /// Files with this mark between them.
    Files(char),
    Words,
}

/// Ansible's name, ours, and what holds when nobody says.
const KNOWN: &[(&str, &str, Usual)] = &[
    ("COLLECTIONS_PATHS", "collections_path", Usual::Files(':')),
    ("DEFAULT_ASK_PASS", "ask_pass", Usual::Yes(false)),
    ("DEFAULT_ASK_VAULT_PASS", "ask_vault_pass", Usual::Yes(false)),
    ("DEFAULT_BECOME", "become", Usual::Yes(false)),
    ("DEFAULT_BECOME_ASK_PASS", "become_ask_pass", Usual::Yes(false)),
    ("DEFAULT_BECOME_METHOD", "become_method", Usual::Word("sudo")),
    ("DEFAULT_BECOME_USER", "become_user", Usual::Word("root")),
    ("DEFAULT_EXECUTABLE", "executable", Usual::Word("/bin/sh")),
    ("DEFAULT_FORCE_HANDLERS", "force_handlers", Usual::Yes(false)),
    ("DEFAULT_FORKS", "forks", Usual::Number(5)),
    ("DEFAULT_GATHERING", "gathering", Usual::Word("implicit")),
    ("DEFAULT_HOST_LIST", "inventory", Usual::Files(',')),
    ("DEFAULT_PRIVATE_KEY_FILE", "private_key_file", Usual::None),
    ("DEFAULT_REMOTE_PORT", "remote_port", Usual::None),
    ("DEFAULT_REMOTE_USER", "remote_user", Usual::None),
    ("DEFAULT_ROLES_PATH", "roles_path", Usual::Files(':')),
    ("DEFAULT_TIMEOUT", "timeout", Usual::Number(10)),
    ("DEFAULT_TRANSPORT", "transport", Usual::Word("ssh")),
    ("DEFAULT_VAULT_PASSWORD_FILE", "vault_password_file", Usual::None),
    ("DIFF_ALWAYS", "diff", Usual::Yes(false)),
    ("HOST_KEY_CHECKING", "host_key_checking", Usual::Yes(true)),
    ("INJECT_FACTS_AS_VARS", "inject_facts_as_vars", Usual::Yes(true)),
    ("TAGS_RUN", "run_tags", Usual::Words),
    ("TAGS_SKIP", "skip_tags", Usual::Words),
];

pub(super) fn answer(
    settings: &Settings,
    names: &[String],
    said: &Options<'_>,
) -> Result<Vec<Value>, String> {
    let missing = said.text("on_missing").unwrap_or_else(|| "error".to_owned());
    if !matches!(missing.as_str(), "error" | "warn" | "skip") {
        return Err(format!(
            "\"on_missing\" must be a string and one of \"error\", \"warn\" or \"skip\", not {missing}"
        ));
    }
    if let Some(plugin) = said.text("plugin_name").or_else(|| said.text("plugin_type")) {
        return Err(format!("settings of plugins ({plugin}) are not known here"));
    }
    let mut out = Vec::new();
    for name in names {
        match KNOWN.iter().find(|(known, ..)| known == name) {
            Some((_, own, usual)) => out.push(value(settings, own, usual)),
            None if missing == "error" => return Err(format!("Unable to find setting {name}")),
            None => {}
        }
    }
    Ok(out)
}

fn value(settings: &Settings, name: &str, usual: &Usual) -> Value {
    let word = |text: &str| Value::Unsafe(text.to_owned());
    match usual {
        Usual::Yes(usual) => Value::Bool(settings.flag(name).unwrap_or(*usual)),
        Usual::Number(usual) => Value::Int(settings.number(name).map_or(*usual, i128::from)),
        Usual::Word(usual) => word(settings.get(name).unwrap_or(usual)),
        Usual::None => settings.get(name).map_or(Value::Null, word),
        Usual::Files(mark) => {
            let files = settings.files_of(name, *mark);
            Value::List(files.iter().map(|file| word(&file.display().to_string())).collect())
        }
        Usual::Words => {
            let words = settings.get(name).unwrap_or_default();
            Value::List(words.split(',').map(str::trim).filter(|w| !w.is_empty()).map(word).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_by_their_names_and_unknown_ones_are_named() {
        let folder = tempfile::tempdir().expect("temp");
        std::fs::write(folder.path().join("ansible.cfg"), "[defaults]\nforks = 7\nroles_path = a:b\n")
            .expect("write");
        let settings = Settings::read(folder.path(), folder.path(), &|_| None).expect("read");
        let ask = |names: &[&str], options: &[(String, Value)]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            answer(&settings, &names, &Options(options))
        };
        assert_eq!(
            ask(&["DEFAULT_FORKS", "DEFAULT_BECOME_USER"], &[]),
            Ok(vec![Value::Int(7), Value::Unsafe("root".to_owned())])
        );
        let roles = ask(&["DEFAULT_ROLES_PATH"], &[]).expect("roles");
        assert!(matches!(roles.as_slice(), [Value::List(paths)] if paths.len() == 2));
        assert!(ask(&["NOPE"], &[]).is_err_and(|why| why.contains("NOPE")));
        let skip = [("on_missing".to_owned(), Value::Unsafe("skip".to_owned()))];
        assert_eq!(ask(&["NOPE"], &skip), Ok(Vec::new()));
    }
}

//! What a template may ask of the world around it: names, other hosts, files, lookups that need the outside.

use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::Value;

/// The names that a template sees; shared, because a text that is looked at later still needs them.
pub type ScopeRef = Rc<dyn Scope>;

/// The variables of one host at one task.
pub trait Scope {
    /// The value of a name as it was written: a [`Value::Text`] may be a template, a [`Value::Unsafe`] is data.
    fn get(&self, name: &str) -> Option<Arc<Value>>;

    /// All names.
    fn names(&self) -> Vec<String>;

    /// `hostvars[name]`.
    fn host(&self, name: &str) -> Option<ScopeRef> {
        let _ = name;
        None
    }

    /// Folders in which relative file names are looked for, nearest first.
    fn search_path(&self) -> Vec<String> {
        Vec::new()
    }

    /// The hosts that a pattern means.
    fn select(&self, pattern: &str) -> Vec<String> {
        let _ = pattern;
        Vec::new()
    }

    /// The hosts that `hostvars` knows.
    fn hosts(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What templates may ask of the machine that runs the play. Every answer is data and never rendered.
pub trait Outside {
    /// A variable of the environment.
    fn env(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// A lookup that is not built in; the option `_basedir` is the playbook's folder, where it is known.
    ///
    /// `None`: there is no such lookup.
    ///
    /// # Errors
    /// Why it failed, for people.
    fn lookup(
        &self,
        name: &str,
        terms: &[Value],
        options: &[(String, Value)],
    ) -> Option<std::result::Result<Vec<Value>, String>> {
        let _ = (name, terms, options);
        None
    }

    /// A text sealed with the vault, opened.
    ///
    /// # Errors
    /// Why it stays closed.
    fn open_vault(&self, sealed: &str) -> std::result::Result<String, String> {
        let _ = sealed;
        Err("Attempting to decrypt but no vault secrets found.".to_owned())
    }
}

//! The hosts of an inventory with their variables, rendered as far as connecting needs them.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use wellkept_inventory::{Files, Inventory, InventoryError, Options, Selected, Value};
use wellkept_playbook::template::{Engine, Outside, Scope, ScopeRef};

use crate::adhoc::Place;
use crate::error::ReachError;
use crate::reach::{Defaults, Reach, rights};

/// Everything that is known before anything is connected to.
pub struct Scene {
    /// The hosts.
    pub inventory: Inventory,
    /// Renders variables.
    pub engine: Rc<Engine>,
    /// `-e`: wins over everything.
    pub extra: Vec<(String, Value)>,
    /// For hosts whose variables say nothing.
    pub defaults: Defaults,
}

/// Patterns that name no host are told, not passed over.
#[derive(Debug)]
pub struct Chosen<T> {
    /// The hosts, in order.
    pub hosts: Vec<T>,
    /// Parts of the pattern that name nothing.
    pub unmatched: Vec<String>,
}

/// Variables of a host.
struct Known(HashMap<String, Arc<Value>>);

impl Scope for Known {
    fn get(&self, name: &str) -> Option<Arc<Value>> {
        self.0.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

impl Scene {
    /// Reads the sources: paths of files and folders, or lists of hosts with a comma.
    ///
    /// # Errors
    /// The first mistake with its place.
    pub fn read(
        files: Rc<dyn Files>,
        outside: Rc<dyn Outside>,
        sources: &[String],
        here: &Path,
        playbook_dir: Option<String>,
    ) -> Result<Self, InventoryError> {
        let options = Options {
            user: rustix::process::geteuid().as_raw(),
            scripts: true,
            playbook_dir,
            ..Options::default()
        };
        let sources: Vec<String> = sources.iter().map(|source| absolute(source, here)).collect();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let inventory = Inventory::read(&*files, &sources, &options)?;
        let engine = Rc::new(Engine::new(files, outside));
        Ok(Self { inventory, engine, extra: Vec::new(), defaults: Defaults::default() })
    }

    /// The names that a pattern means.
    ///
    /// # Errors
    /// A pattern that is wrong.
    pub fn names(&self, pattern: &str, limit: &[String]) -> Result<Chosen<String>, InventoryError> {
        let limit: Vec<&str> = limit.iter().map(String::as_str).collect();
        let limit = (!limit.is_empty()).then_some(limit.as_slice());
        let selection = self.inventory.select(pattern, limit)?;
        let name = |selected: &Selected| match selected {
            Selected::Host(id) => self.inventory.hosts().get(*id).map(|host| host.name.clone()),
            Selected::Localhost(name) => Some((*name).to_owned()),
        };
        Ok(Chosen {
            hosts: selection.hosts.iter().filter_map(name).collect(),
            unmatched: selection.unmatched,
        })
    }

    /// The variables of a host, with what the command line says over them.
    pub fn scope(&self, name: &str) -> ScopeRef {
        let vars = match self.inventory.host_id(name) {
            Some(id) => self.inventory.host_vars(id),
            None => self.inventory.implicit_localhost_vars(name),
        };
        let mut known: HashMap<String, Arc<Value>> =
            vars.into_iter().map(|(name, var)| (name, Arc::new(var.value))).collect();
        let own = Value::Unsafe(name.to_owned());
        known.insert("inventory_hostname".to_owned(), Arc::new(own));
        for (name, value) in &self.extra {
            known.insert(name.clone(), Arc::new(value.clone()));
        }
        Rc::new(Known(known))
    }

    /// How a host is reached, and as whom work is done there.
    ///
    /// # Errors
    /// A variable that cannot be used.
    pub fn place(&self, name: &str) -> Result<Place, ReachError> {
        let scope = self.scope(name);
        let get = getter(&self.engine, &scope);
        let reach = Reach::resolve(name, &get, &self.defaults).map_err(ReachError::Variables)?;
        let who =
            rights(None, &get, &self.defaults).map_err(|e| ReachError::Variables(format!("{name}: {e}")))?;
        Ok(Place { reach, who })
    }
}

/// Rendered variables of a scope; what cannot be rendered is not there.
pub(crate) fn getter<'e>(engine: &'e Engine, scope: &ScopeRef) -> impl Fn(&str) -> Option<Value> + use<'e> {
    let scope = Rc::clone(scope);
    move |name| {
        let value = scope.get(name)?;
        match &*value {
            plain @ (Value::Bool(_) | Value::Int(_) | Value::Unsafe(_)) => Some(plain.clone()),
            Value::Text(text) if !text.contains("{{") && !text.contains("{%") => {
                Some(Value::Text(text.clone()))
            }
            other => engine.session(Rc::clone(&scope)).value(other).ok().flatten(),
        }
    }
}

/// The path from the root on; a list of hosts stays what it is.
fn absolute(source: &str, here: &Path) -> String {
    let path = here.join(source);
    if source.contains(',') && !path.exists() { source.to_owned() } else { path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, Machine};
    use crate::vault::Vault;

    fn scene(text: &str) -> (tempfile::TempDir, Scene) {
        let folder = tempfile::tempdir().expect("temp");
        std::fs::write(folder.path().join("hosts"), text).expect("write");
        let vault = Rc::new(Vault::default());
        let machine = Machine::new(Rc::clone(&vault), |_| None, Box::new(|_, _, _| None));
        let files = Rc::new(Disk::new(vault));
        let scene = Scene::read(files, Rc::new(machine), &["hosts".to_owned()], folder.path(), None);
        (folder, scene.expect("an inventory"))
    }

    #[test]
    fn variables_for_connecting_are_rendered() {
        let (_folder, scene) =
            scene("[web]\nw[1:2] ansible_host='10.0.0.{{ n }}' n=7\n[web:vars]\nansible_become=yes\n");
        let place = scene.place("w1").expect("a place");
        assert_eq!((place.reach.host.as_str(), place.reach.local), ("10.0.0.7", false));
        assert_eq!(place.who.map(|who| who.user.to_string()).as_deref(), Some("root"));
        assert!(scene.place("localhost").expect("here").reach.local);
        let chosen = scene.names("web:!w2:nope", &[]).expect("names");
        assert_eq!((chosen.hosts, chosen.unmatched), (vec!["w1".to_owned()], vec!["nope".to_owned()]));
    }
}

//! From options, configuration and environment to a scene: inventory, variables, secrets.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wellkept_fleet::desk::Desk as _;
use wellkept_fleet::disk::{Disk, Machine};
use wellkept_fleet::pool::Pool;
use wellkept_fleet::reach::Defaults;
use wellkept_fleet::scene::Scene;
use wellkept_fleet::settings::Settings;
use wellkept_fleet::vault::{Password, Vault, from_file};
use wellkept_inventory::Value;
use wellkept_ssh::config::Caller;

use super::args::Reaching;
use super::terminal::Terminal;
use super::{bad, word};
use crate::commands::{Context, variable};

/// Where the inventory is when nobody says.
const USUAL_INVENTORY: &str = "/etc/ansible/hosts";

/// What all commands for many hosts begin with.
pub(in crate::commands) struct Stage {
    pub(in crate::commands) settings: Settings,
    pub(in crate::commands) terminal: Arc<Terminal>,
    pub(super) vault: Rc<Vault>,
    pub(super) here: PathBuf,
    pub(super) home: PathBuf,
    /// Templates may start programs here, by the lookup `pipe`.
    pub(super) starts_programs: bool,
}

impl Stage {
    pub(in crate::commands) fn new(context: Context, reaching: &Reaching) -> anyhow::Result<Self> {
        let here = std::env::current_dir()?;
        let home = PathBuf::from(variable("HOME").unwrap_or_else(|| "/".to_owned()));
        let settings = Settings::read(&here, &home, &variable).map_err(bad)?;
        for notice in &settings.notices {
            crate::say::error(notice);
        }
        if settings.flag("host_key_checking") == Some(false) {
            crate::say::error(&word(context, "fleet.key.checking"));
        }
        let terminal = Arc::new(Terminal::new(context.language));
        let vault = Rc::new(Vault::new(passwords(context, &settings, &terminal, reaching)?));
        Ok(Self { settings, terminal, vault, here, home, starts_programs: true })
    }

    pub(super) fn files(&self) -> Disk {
        Disk::new(Rc::clone(&self.vault))
    }

    pub(super) fn machine(&self) -> Machine {
        let settings = self.settings.clone();
        let lookup: Box<wellkept_fleet::disk::LookUp> = match self.starts_programs {
            true => Box::new(move |name: &str, terms: &[Value], options: &[(String, Value)]| {
                wellkept_fleet::lookups::answer_with(&settings, name, terms, options)
            }),
            false => Box::new(|_, _, _| None),
        };
        Machine::new(Rc::clone(&self.vault), variable, lookup)
    }

    /// Reads the inventory and everything that the command line says of hosts.
    pub(in crate::commands) fn scene(
        &self,
        context: Context,
        reaching: &Reaching,
        playbook_dir: Option<String>,
    ) -> anyhow::Result<Scene> {
        let (files, machine) = (Rc::new(self.files()), Rc::new(self.machine()));
        let sources = self.sources(reaching);
        let mut scene = Scene::read(files, machine, &sources, &self.here, playbook_dir).map_err(bad)?;
        scene.extra = extra(&self.files(), &reaching.extra_vars)?;
        scene.defaults = self.defaults(context, reaching)?;
        Ok(scene)
    }

    pub(super) fn sources(&self, reaching: &Reaching) -> Vec<String> {
        if !reaching.inventory.is_empty() {
            return reaching.inventory.clone();
        }
        let said: Vec<String> =
            self.settings.files_of("inventory", ',').iter().map(|path| path.display().to_string()).collect();
        match said.is_empty() && Path::new(USUAL_INVENTORY).exists() {
            true => vec![USUAL_INVENTORY.to_owned()],
            false => said,
        }
    }

    fn defaults(&self, context: Context, reaching: &Reaching) -> anyhow::Result<Defaults> {
        let settings = &self.settings;
        let ask = |wanted: bool, key: &str| -> anyhow::Result<_> {
            if !wanted {
                return Ok(None);
            }
            let question = format!("{} ", word(context, key));
            let answer = self.terminal.secret(&question);
            Ok(Some(answer.ok_or_else(|| bad(word(context, "fleet.ask.nobody")))?))
        };
        let ask_pass = reaching.ask_pass || settings.flag("ask_pass") == Some(true);
        let password = ask(ask_pass, "fleet.ask.password")?;
        let ask_become = reaching.ask_become_pass || settings.flag("become_ask_pass") == Some(true);
        let become_password = ask(ask_become, "fleet.ask.become_password")?;
        // An empty answer stands for the password of the login, as the question says.
        let become_password = match become_password {
            Some(empty) if empty.is_empty() => password.clone(),
            given => given,
        };
        let said = |name: &str| settings.get(name).map(str::to_owned);
        let seconds = reaching.timeout.or_else(|| settings.number("timeout"));
        Ok(Defaults {
            user: reaching.user.clone().or_else(|| said("remote_user")),
            port: settings.number("remote_port").and_then(|port| u16::try_from(port).ok()),
            key_file: reaching.private_key.clone().or_else(|| settings.file_of("private_key_file")),
            connection: reaching.connection.clone().or_else(|| said("transport")),
            connect_timeout: seconds.map(Duration::from_secs),
            ssh_args: reaching
                .ssh_common_args
                .clone()
                .or_else(|| said("ssh_common_args"))
                .or_else(|| said("ssh_args")),
            password,
            becomes: reaching.becomes || settings.flag("become") == Some(true),
            become_user: reaching.become_user.clone().or_else(|| said("become_user")),
            become_method: reaching.become_method.clone().or_else(|| said("become_method")),
            become_password,
            only_modules: None,
            home: self.home.clone(),
        })
    }

    /// Where it is remembered what helpers look like.
    pub(super) fn stamps(&self) -> PathBuf {
        let cache = variable("XDG_CACHE_HOME").filter(|path| path.starts_with('/')).map(PathBuf::from);
        cache.unwrap_or_else(|| self.home.join(".cache")).join("wellkept/helpers.json")
    }

    /// Connections as this user.
    pub(in crate::commands) fn pool(&self) -> anyhow::Result<Pool> {
        let desk = Arc::clone(&self.terminal);
        let now = || u64::try_from(crate::clock::now().0 / 1000).unwrap_or(0);
        Ok(Pool::new(self.caller(), desk, now).map_err(bad)?)
    }

    fn caller(&self) -> Caller {
        Caller {
            user: me(),
            home: self.home.clone(),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
            variables: ["HOME", "USER", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK"]
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), variable(name)?)))
                .collect(),
        }
    }
}

/// The name of whoever runs this, for logins and records.
pub(in crate::commands) fn me() -> String {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let own = own.filter(|fields| fields.get(2) == Some(&uid.as_str()));
    let name = own.filter_map(|fields| fields.first().map(|name| (*name).to_owned())).next();
    name.or_else(|| variable("USER")).unwrap_or(uid)
}

fn passwords(
    context: Context,
    settings: &Settings,
    terminal: &Terminal,
    reaching: &Reaching,
) -> anyhow::Result<Vec<Password>> {
    let mut passwords = Vec::new();
    let ask = |label: &str| -> anyhow::Result<Password> {
        let named = if label == "default" { String::new() } else { format!(" ({label})") };
        let question = format!("{}{named}: ", word(context, "fleet.ask.vault"));
        let answer = terminal.secret(&question).ok_or_else(|| bad(word(context, "fleet.ask.nobody")))?;
        Ok(Password { label: label.to_owned(), bytes: answer.as_bytes().to_vec().into() })
    };
    let listed: Vec<String> = settings
        .get("vault_identity_list")
        .map(|list| list.split(',').map(|id| id.trim().to_owned()).collect())
        .unwrap_or_default();
    for id in reaching.vault_id.iter().chain(&listed).filter(|id| !id.is_empty()) {
        let (label, source) = id.split_once('@').unwrap_or(("default", id));
        passwords.push(match source {
            "prompt" | "prompt_ask_vault_pass" => ask(label)?,
            file => from_file(Path::new(file), label).map_err(bad)?,
        });
    }
    let configured = settings.file_of("vault_password_file");
    for file in reaching.vault_password_file.iter().chain(&configured) {
        passwords.push(from_file(file, "default").map_err(bad)?);
    }
    if reaching.ask_vault_pass || settings.flag("ask_vault_pass") == Some(true) {
        passwords.push(ask("default")?);
    }
    Ok(passwords)
}

/// `-e`: pairs, YAML or JSON, or a file of either.
fn extra(files: &Disk, given: &[String]) -> anyhow::Result<Vec<(String, Value)>> {
    use wellkept_inventory::Files as _;
    let mut all: Vec<(String, Value)> = Vec::new();
    for text in given {
        let place = wellkept_inventory::Place::file(text.strip_prefix('@').unwrap_or("--extra-vars"));
        let text = match text.strip_prefix('@') {
            None => text.clone(),
            Some(path) => {
                let read = files.read(path, wellkept_inventory::FILE_BYTES_MAX);
                let bytes = read.map_err(|e| bad(format!("{path}: {e}")))?.1;
                let open = if bytes.starts_with(b"$ANSIBLE_VAULT") {
                    files.unseal(path, &bytes).map_err(bad)?.unwrap_or(bytes)
                } else {
                    bytes
                };
                String::from_utf8(open).map_err(|_| bad(format!("{path}: not UTF-8")))?
            }
        };
        let document = place.file.as_ref() != "--extra-vars" || text.trim_start().starts_with(['{', '-']);
        let entries = if document {
            match wellkept_inventory::read_yaml(&text, &place).map_err(bad)?.map(|node| node.into_value()) {
                Some(Value::Map(entries)) => entries
                    .into_iter()
                    .map(|(key, value)| (wellkept_fleet::values::key_text(&key), value))
                    .collect(),
                None => Vec::new(),
                Some(_) => return Err(bad(format!("{}: a map of variables is accepted", place.file)).into()),
            }
        } else {
            wellkept_playbook::book::parse_pairs(&text, false, None).map_err(bad)?
        };
        for (name, value) in entries {
            all.retain(|(key, _)| *key != name);
            all.push((name, value));
        }
    }
    Ok(all)
}

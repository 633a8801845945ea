//! How a host is reached, and as whom: what its variables, the command line and the configuration say, as one value.

use std::path::PathBuf;
use std::time::Duration;

use wellkept_inventory::Value;
use wellkept_ssh::{Become, Method, Secret, UserName};
use zeroize::Zeroizing;

use crate::values::{key_text, truth};

/// What holds for all hosts unless their variables say otherwise.
#[derive(Clone, Default)]
pub struct Defaults {
    /// `-u`, `remote_user`.
    pub user: Option<String>,
    /// `remote_port`.
    pub port: Option<u16>,
    /// `--private-key`.
    pub key_file: Option<PathBuf>,
    /// `-c`, `transport`: `ssh`, `local`; `smart` is `ssh`.
    pub connection: Option<String>,
    /// `-T`, `timeout`: for connecting.
    pub connect_timeout: Option<Duration>,
    /// `--ssh-common-args` and its like.
    pub ssh_args: Option<String>,
    /// `-k`.
    pub password: Option<Zeroizing<String>>,
    /// `-b`.
    pub becomes: bool,
    /// `--become-user`.
    pub become_user: Option<String>,
    /// `--become-method`.
    pub become_method: Option<String>,
    /// `-K`.
    pub become_password: Option<Zeroizing<String>>,
    /// The command line's own say wins over variables of hosts (`-u`, `--private-key` do not; `-e` does).
    pub home: PathBuf,
    /// Modules that tasks may use; all when it is not said. What only decides and shows is always allowed.
    pub only_modules: Option<std::sync::Arc<[String]>>,
}

/// The way to one host.
#[derive(Clone)]
pub struct Reach {
    /// Its name in the inventory.
    pub name: String,
    /// Nothing is connected to: it is this machine.
    pub local: bool,
    /// What is connected to.
    pub host: String,
    /// Instead of the configuration's.
    pub port: Option<u16>,
    /// Instead of the configuration's.
    pub user: Option<String>,
    /// Tried first.
    pub key_file: Option<PathBuf>,
    /// Over these hosts, as `ProxyJump` writes them.
    pub jump: Option<String>,
    /// For connecting.
    pub timeout: Option<Duration>,
    /// For whoever asks for one.
    pub password: Option<Zeroizing<String>>,
    /// Sealed or odd settings that are not followed, for people.
    pub notices: Vec<String>,
}

/// What names a connection: two reaches with the same key share it.
pub type Key = (String, Option<u16>, Option<String>, Option<PathBuf>, Option<String>);

impl Reach {
    /// This machine.
    pub fn here(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            local: true,
            host: name.to_owned(),
            port: None,
            user: None,
            key_file: None,
            jump: None,
            timeout: None,
            password: None,
            notices: Vec::new(),
        }
    }

    /// From variables. `get`: a variable's rendered value.
    ///
    /// # Errors
    /// A value that cannot be used, with what would be accepted.
    pub fn resolve(
        name: &str,
        get: &dyn Fn(&str) -> Option<Value>,
        defaults: &Defaults,
    ) -> Result<Self, String> {
        let text = |names: &[&str]| names.iter().find_map(|name| get(name)).map(|v| key_text(&v));
        let connection = text(&["ansible_connection"]).or_else(|| defaults.connection.clone());
        let local = match connection.as_deref() {
            Some("local" | "ansible.builtin.local") => true,
            Some("ssh" | "smart" | "paramiko" | "paramiko_ssh" | "ansible.builtin.ssh") | None => false,
            Some(other) => {
                return Err(format!(
                    "{name}: the connection {other:?} is not supported; accepted: ssh, local"
                ));
            }
        };
        let mut reach = Self { local, ..Self::here(name) };
        reach.host = text(&["ansible_ssh_host", "ansible_host"]).unwrap_or_else(|| name.to_owned());
        reach.port = match text(&["ansible_ssh_port", "ansible_port"]) {
            None => defaults.port,
            Some(port) => match port.trim().parse() {
                Ok(0) | Err(_) => return Err(format!("{name}: {port:?} is no port; 1 to 65535 are")),
                Ok(port) => Some(port),
            },
        };
        reach.user = text(&["ansible_ssh_user", "ansible_user"]).or_else(|| defaults.user.clone());
        let key = text(&["ansible_ssh_private_key_file", "ansible_private_key_file"]);
        let home = |path: String| match path.strip_prefix("~/") {
            Some(rest) => defaults.home.join(rest),
            None => PathBuf::from(path),
        };
        reach.key_file = key.map(home).or_else(|| defaults.key_file.clone());
        let password = text(&["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"]);
        reach.password = password.map(Zeroizing::new).or_else(|| defaults.password.clone());
        reach.timeout = text(&["ansible_ssh_timeout", "ansible_timeout"])
            .and_then(|t| t.trim().parse().ok())
            .map(Duration::from_secs)
            .or(defaults.connect_timeout);
        let said =
            ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"].map(|n| text(&[n]));
        for args in defaults.ssh_args.iter().chain(said.iter().flatten()) {
            reach.ssh_args(args);
        }
        Ok(reach)
    }

    /// What of `ssh`'s arguments is followed: jump hosts and keys.
    fn ssh_args(&mut self, args: &str) {
        let words = wellkept_playbook::book::split_words(args)
            .unwrap_or_else(|_| args.split_whitespace().map(str::to_owned).collect());
        let mut words = words.into_iter().map(|word| word.replace(['"', '\''], ""));
        while let Some(word) = words.next() {
            let (flag, rest) = word.split_at_checked(2).unwrap_or((&word, ""));
            if !matches!(flag, "-o" | "-J" | "-i" | "-p" | "-l") {
                continue;
            }
            let Some(value) = (if rest.is_empty() { words.next() } else { Some(rest.to_owned()) }) else {
                continue;
            };
            match flag {
                "-J" => self.jump = Some(value),
                "-i" => self.key_file = Some(PathBuf::from(value)),
                "-p" => self.port = self.port.or_else(|| value.parse().ok()),
                "-l" => self.user = self.user.take().or(Some(value)),
                _ => self.ssh_option(&value),
            }
        }
    }

    fn ssh_option(&mut self, option: &str) {
        let (key, value) = option.split_once(['=', ' ']).unwrap_or((option, ""));
        match key.to_lowercase().as_str() {
            "proxyjump" => self.jump = Some(value.trim().to_owned()),
            "identityfile" => self.key_file = Some(PathBuf::from(value.trim())),
            "stricthostkeychecking" | "userknownhostsfile" => self.notices.push(format!(
                "{}: -o {key} is not followed: unknown host keys are never accepted by themselves",
                self.name
            )),
            "proxycommand" => {
                self.notices.push(format!("{}: -o ProxyCommand is not followed; use ProxyJump", self.name));
            }
            _ => {}
        }
    }

    /// What names its connection.
    pub fn key(&self) -> Key {
        (self.host.clone(), self.port, self.user.clone(), self.key_file.clone(), self.jump.clone())
    }
}

/// Rights on the host, as variables and the command line say. `asked`: method and user that a task asks for.
///
/// # Errors
/// A method that is not supported, or a user's name that is refused.
pub fn rights(
    asked: Option<(&str, &str)>,
    get: &dyn Fn(&str) -> Option<Value>,
    defaults: &Defaults,
) -> Result<Option<Become>, String> {
    let text = |name: &str| get(name).map(|v| key_text(&v));
    let wanted = get("ansible_become").map_or(defaults.becomes || asked.is_some(), |v| truth(&v));
    if !wanted {
        return Ok(None);
    }
    let (asked_method, asked_user) =
        asked.map_or((None, None), |(m, u)| (Some(m.to_owned()), Some(u.to_owned())));
    let method = text("ansible_become_method").or(asked_method).or_else(|| defaults.become_method.clone());
    let user = text("ansible_become_user").or(asked_user).or_else(|| defaults.become_user.clone());
    let method = method.unwrap_or_else(|| "sudo".to_owned());
    let by = match method.rsplit('.').next().unwrap_or_default() {
        "sudo" => Method::Sudo,
        "su" => Method::Su,
        "doas" => Method::Doas,
        other => return Err(format!("become_method {other:?} is not supported; accepted: sudo, su, doas")),
    };
    let names =
        [format!("ansible_{method}_pass"), "ansible_become_password".into(), "ansible_become_pass".into()];
    let password = names.iter().find_map(|name| text(name)).map(Zeroizing::new);
    let password = password.or_else(|| defaults.become_password.clone());
    let user = user.unwrap_or_else(|| "root".to_owned());
    let user = UserName::new(&user).map_err(|e| e.to_string())?;
    Ok(Some(Become { method: by, user, password: password.map(|p| Secret::new(p.as_str())) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(vars: &[(&str, &str)]) -> Result<Reach, String> {
        let get = |name: &str| {
            let found = vars.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| Value::Text((*value).to_owned()))
        };
        Reach::resolve("h1", &get, &Defaults { user: Some("d".into()), ..Defaults::default() })
    }

    #[test]
    fn variables_win_over_the_command_line() {
        let reach =
            resolve(&[("ansible_user", "me"), ("ansible_host", "10.0.0.1"), ("ansible_port", "2222")]);
        let reach = reach.expect("a way");
        assert_eq!(
            (reach.host.as_str(), reach.port, reach.user.as_deref()),
            ("10.0.0.1", Some(2222), Some("me"))
        );
        assert_eq!(resolve(&[]).expect("a way").user.as_deref(), Some("d"));
    }

    #[test]
    fn jump_hosts_in_arguments_are_followed_and_unsafe_ones_told() {
        let args = "-o ProxyJump=a@b:22 -o StrictHostKeyChecking=no -C -oIdentityFile=/k";
        let reach = resolve(&[("ansible_ssh_common_args", args)]).expect("a way");
        assert_eq!((reach.jump.as_deref(), reach.notices.len()), (Some("a@b:22"), 1));
        assert_eq!(reach.key_file, Some("/k".into()));
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert!(resolve(&[("ansible_connection", "winrm")]).is_err_and(|e| e.contains("winrm")));
        assert!(resolve(&[("ansible_port", "x")]).is_err_and(|e| e.contains("1 to 65535")));
    }
}

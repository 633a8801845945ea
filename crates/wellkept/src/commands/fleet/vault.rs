//! `wellkept vault`: ansible-vault's commands on sealed files and texts.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use wellkept_fleet::desk::Desk as _;
use wellkept_fleet::vault::{Password, Vault, from_file, seal};
use wellkept_playbook::vault::{is_sealed, label};

use super::args::Reaching;
use super::scene::Stage;
use super::{bad, word};
use crate::commands::Context;
use crate::exit::{Failure, OK};
use crate::say;

/// The largest file, bytes.
const FILE_MAX: u64 = 256 * 1024 * 1024;

#[derive(Debug, Clone, Args)]
pub(crate) struct Keys {
    /// File with the password, or a program that prints it.
    #[arg(long = "vault-password-file", visible_alias = "vault-pass-file", value_name = "FILE")]
    password_file: Vec<PathBuf>,
    /// LABEL@FILE, LABEL@prompt or FILE.
    #[arg(long, value_name = "ID")]
    vault_id: Vec<String>,
    /// Ask for the password.
    #[arg(short = 'J', long = "ask-vault-pass", visible_alias = "ask-vault-password")]
    ask: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Seal files in place.
    Encrypt {
        /// Files; - or none reads standard input.
        files: Vec<PathBuf>,
        #[command(flatten)]
        keys: Keys,
        /// Seal with the password of this label.
        #[arg(long, value_name = "LABEL")]
        encrypt_vault_id: Option<String>,
        /// Write here instead; - is standard output.
        #[arg(long = "output-file", value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Open files in place.
    Decrypt {
        /// Files; - or none reads standard input.
        files: Vec<PathBuf>,
        #[command(flatten)]
        keys: Keys,
        /// Write here instead; - is standard output.
        #[arg(long = "output-file", value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Show what is in sealed files.
    View {
        /// Files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        keys: Keys,
    },
    /// Seal texts for playbooks.
    #[command(name = "encrypt_string", alias = "encrypt-string")]
    EncryptString {
        /// Texts; none reads standard input.
        texts: Vec<String>,
        #[command(flatten)]
        keys: Keys,
        /// The variable; once for each text.
        #[arg(short, long)]
        name: Vec<String>,
        /// Seal with the password of this label.
        #[arg(long, value_name = "LABEL")]
        encrypt_vault_id: Option<String>,
        /// The variable of the text on standard input.
        #[arg(long, value_name = "NAME")]
        stdin_name: Option<String>,
    },
    /// Seal files anew with another password.
    Rekey {
        /// Files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        keys: Keys,
        /// File with the new password.
        #[arg(long = "new-vault-password-file", value_name = "FILE")]
        new_file: Option<PathBuf>,
        /// LABEL@FILE or LABEL@prompt of the new password.
        #[arg(long, value_name = "ID")]
        new_vault_id: Option<String>,
    },
}

pub(in crate::commands) fn run(context: Context, command: VaultCommand) -> anyhow::Result<u8> {
    match command {
        VaultCommand::Encrypt { files, keys, encrypt_vault_id, to } => {
            let stage = stage(context, &keys)?;
            each(context, &files, to.as_deref(), |name, plain| {
                if is_sealed(&String::from_utf8_lossy(plain)) {
                    return Err(bad(format!("{name}: input is already encrypted")));
                }
                sealed(context, &stage.vault, plain, encrypt_vault_id.as_deref()).map(String::into_bytes)
            })
        }
        VaultCommand::Decrypt { files, keys, to } => {
            let stage = stage(context, &keys)?;
            each(context, &files, to.as_deref(), |name, text| open(&stage.vault, name, text))
        }
        VaultCommand::View { files, keys } => {
            let stage = stage(context, &keys)?;
            each(context, &files, Some(Path::new("-")), |name, text| open(&stage.vault, name, text))
        }
        VaultCommand::EncryptString { texts, keys, name, encrypt_vault_id, stdin_name } => {
            let stage = stage(context, &keys)?;
            let mut texts = texts;
            let mut names = name.into_iter().map(Some).collect::<Vec<_>>();
            if texts.is_empty() {
                texts.push(String::from_utf8_lossy(&read(Path::new("-"))?).into_owned());
                names.push(stdin_name);
            }
            for (at, text) in texts.iter().enumerate() {
                let sealed = sealed(context, &stage.vault, text.as_bytes(), encrypt_vault_id.as_deref())?;
                let name = names.get(at).cloned().flatten();
                say::line(&as_yaml(name.as_deref(), &sealed));
            }
            Ok(OK)
        }
        VaultCommand::Rekey { files, keys, new_file, new_vault_id } => {
            let stage = stage(context, &keys)?;
            let new = new_password(context, &stage, new_file.as_deref(), new_vault_id.as_deref())?;
            each(context, &files, None, |name, text| {
                let kept = label(&String::from_utf8_lossy(text)).map(str::to_owned);
                let plain = open(&stage.vault, name, text)?;
                let named = Some(new.label.as_str()).filter(|label| *label != "default");
                seal(&plain, &new, named.or(kept.as_deref())).map(String::into_bytes).map_err(bad)
            })
        }
    }
}

fn stage(context: Context, keys: &Keys) -> anyhow::Result<Stage> {
    let mut reaching = Reaching {
        vault_password_file: keys.password_file.clone(),
        vault_id: keys.vault_id.clone(),
        ask_vault_pass: keys.ask,
        ..Reaching::default()
    };
    let stage = Stage::new(context, &reaching)?;
    if !stage.vault.is_empty() {
        return Ok(stage);
    }
    // Without any password one is asked for, as ansible-vault does.
    reaching.ask_vault_pass = true;
    Stage::new(context, &reaching)
}

fn sealed(context: Context, vault: &Vault, plain: &[u8], named: Option<&str>) -> Result<String, Failure> {
    let password = vault.sealing(named).ok_or_else(|| bad(word(context, "fleet.vault.no_label")))?;
    let shown = named.or(Some(password.label.as_str()).filter(|label| *label != "default"));
    seal(plain, password, shown).map_err(bad)
}

fn open(vault: &Vault, name: &str, text: &[u8]) -> Result<Vec<u8>, Failure> {
    let text = String::from_utf8_lossy(text);
    vault.open(&text).map_err(|why| bad(format!("{name}: {why}")))
}

/// A variable of YAML whose value is sealed.
fn as_yaml(name: Option<&str>, sealed: &str) -> String {
    let (head, indent) = match name {
        Some(name) => (format!("{name}: !vault |"), "          "),
        None => ("!vault |".to_owned(), "          "),
    };
    let lines = sealed.lines().map(|line| format!("\n{indent}{line}"));
    std::iter::once(head).chain(lines).collect()
}

fn new_password(
    context: Context,
    stage: &Stage,
    file: Option<&Path>,
    id: Option<&str>,
) -> anyhow::Result<Password> {
    let (label, source) = match id {
        Some(id) => id.split_once('@').unwrap_or(("default", id)),
        None => ("default", "prompt"),
    };
    if let Some(file) = file {
        return Ok(from_file(file, label).map_err(bad)?);
    }
    if source != "prompt" {
        return Ok(from_file(Path::new(source), label).map_err(bad)?);
    }
    let question = format!("{}: ", word(context, "fleet.ask.new_vault"));
    let ask = || stage.terminal.secret(&question).ok_or_else(|| bad(word(context, "fleet.ask.nobody")));
    let (first, second) = (ask()?, ask()?);
    if first != second {
        return Err(bad(word(context, "fleet.ask.differ")).into());
    }
    Ok(Password { label: label.to_owned(), bytes: first.as_bytes().to_vec().into() })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes))
    };
    read.map_err(|e| bad(format!("{}: {e}", path.display())))?;
    Ok(bytes)
}

/// Reads each, changes it, and writes it: in place by one rename, or to where it is wanted.
fn each(
    context: Context,
    files: &[PathBuf],
    to: Option<&Path>,
    change: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Failure>,
) -> anyhow::Result<u8> {
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin } else { files };
    if files.len() > 1 && to.is_some_and(|to| to != Path::new("-")) {
        return Err(bad(word(context, "fleet.vault.one_output")).into());
    }
    for file in files {
        let name = file.display().to_string();
        let changed = change(&name, &read(file)?)?;
        let to = to.unwrap_or(file);
        if to == Path::new("-") {
            std::io::stdout().write_all(&changed)?;
        } else {
            replace(to, &changed).map_err(|e| bad(format!("{}: {e}", to.display())))?;
        }
    }
    Ok(OK)
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let path = if path.exists() { std::fs::canonicalize(path)? } else { path.to_owned() };
    let mode = std::fs::metadata(&path).map_or(0o600, |about| about.mode() & 0o7777);
    let part = PathBuf::from(format!("{}.wellkept-part", path.display()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    file.sync_all()?;
    std::fs::rename(part, path)
}

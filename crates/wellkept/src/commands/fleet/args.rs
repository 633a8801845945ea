//! Options of the commands for many hosts; short ones are Ansible's.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use wellkept_fleet::spread::Size;

/// Which hosts, and how they are reached.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Reaching {
    /// Inventory: file, folder, script, or a list of hosts with a comma. May be given again.
    #[arg(short, long = "inventory", visible_alias = "inventory-file", value_name = "INVENTORY")]
    pub(crate) inventory: Vec<String>,
    /// Only these of the hosts; @FILE reads names from a file.
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) limit: Vec<String>,
    /// Log in as this user.
    #[arg(short, long = "user", value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Ask for the password of the login.
    #[arg(short = 'k', long)]
    pub(crate) ask_pass: bool,
    /// Offer this key first.
    #[arg(long = "private-key", visible_alias = "key-file", value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// ssh or local.
    #[arg(short, long, value_name = "KIND")]
    pub(crate) connection: Option<String>,
    /// Seconds for connecting to a host.
    #[arg(short = 'T', long = "timeout", value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    /// Arguments of ssh; jump hosts, keys, ports and users in them are followed.
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub(crate) ssh_common_args: Option<String>,
    /// Do it as another user.
    #[arg(short = 'b', long = "become")]
    pub(crate) becomes: bool,
    /// Which user. Default: root.
    #[arg(long, value_name = "USER")]
    pub(crate) become_user: Option<String>,
    /// sudo, su or doas.
    #[arg(long, value_name = "METHOD")]
    pub(crate) become_method: Option<String>,
    /// Ask for the password that becoming takes.
    #[arg(short = 'K', long)]
    pub(crate) ask_become_pass: bool,
    /// Variables: key=value, YAML or JSON, or @FILE. They win over all others.
    #[arg(short = 'e', long = "extra-vars", value_name = "VARIABLES")]
    pub(crate) extra_vars: Vec<String>,
    /// File with the password of sealed files, or a program that prints it.
    #[arg(long = "vault-password-file", visible_alias = "vault-pass-file", value_name = "FILE")]
    pub(crate) vault_password_file: Vec<PathBuf>,
    /// LABEL@FILE, LABEL@prompt or FILE.
    #[arg(long, value_name = "ID")]
    pub(crate) vault_id: Vec<String>,
    /// Ask for the password of sealed files.
    #[arg(short = 'J', long = "ask-vault-pass", visible_alias = "ask-vault-password")]
    pub(crate) ask_vault_pass: bool,
}

/// How work is spread.
#[derive(Debug, Clone, Args)]
pub(crate) struct Spreading {
    /// Hosts at once. Default: 5, or what ansible.cfg says.
    #[arg(short, long)]
    pub(crate) forks: Option<usize>,
    /// Hosts in a batch, or a share of all; several sizes with commas: 1,5,50%.
    #[arg(long, value_delimiter = ',')]
    pub(crate) serial: Vec<Size>,
    /// Begin no further host when more than this share of a batch, in percent, has failed.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) max_fail: Option<u8>,
    /// Only where it failed, was not reached or not begun in the newest recorded run of this command.
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Where the run is recorded, when it is there. Default: as for `up`.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// How long, and how much.
#[derive(Debug, Clone, Args)]
pub(crate) struct Bounding {
    /// Time for the command on each host: 30s, 5m, 1h.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = crate::cli::back)]
    pub(crate) within: Duration,
    /// So much of each output is kept, KiB.
    #[arg(long, value_name = "KIB", default_value_t = 1024)]
    pub(crate) keep_output: usize,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Hosts: names, groups, web:&prod:!db.
    pub(crate) pattern: String,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) spreading: Spreading,
    #[command(flatten)]
    pub(crate) bounding: Bounding,
    /// The command is one line for the host's shell.
    #[arg(long)]
    pub(crate) shell: bool,
    /// The command and its arguments, after --.
    #[arg(last = true, required_unless_present = "retry_failed")]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CopyArgs {
    /// Hosts.
    pub(crate) pattern: String,
    /// The file here.
    pub(crate) source: PathBuf,
    /// Its path there; a folder when it ends with /.
    pub(crate) to: String,
    /// Permission bits, octal. Default: those of the file that is replaced, or 0644.
    #[arg(long, value_parser = octal)]
    pub(crate) mode: Option<u32>,
    /// Read it back and compare before it is put in place.
    #[arg(long)]
    pub(crate) verify: bool,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) spreading: Spreading,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Hosts.
    pub(crate) pattern: String,
    /// The file there.
    pub(crate) path: String,
    /// Folder here; each host gets one in it.
    #[arg(default_value = "fetched")]
    pub(crate) into: PathBuf,
    /// The most that one host may send, MiB.
    #[arg(long, default_value_t = 1024)]
    pub(crate) max_mib: u64,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) spreading: Spreading,
}

#[derive(Debug, Args)]
pub(crate) struct ScriptArgs {
    /// Hosts.
    pub(crate) pattern: String,
    /// The program here; its first line names the interpreter.
    pub(crate) program: PathBuf,
    /// Its arguments, after --.
    #[arg(last = true)]
    pub(crate) args: Vec<String>,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) spreading: Spreading,
    #[command(flatten)]
    pub(crate) bounding: Bounding,
}

#[derive(Debug, Args)]
pub(crate) struct ExpectArgs {
    /// Hosts.
    pub(crate) pattern: String,
    /// The script (YAML): command, steps with expect and send, send_file, ask or fail.
    pub(crate) script: PathBuf,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) spreading: Spreading,
}

#[derive(Debug, Args)]
pub(crate) struct FactsArgs {
    /// Hosts.
    pub(crate) pattern: String,
    /// Only facts whose names fit these shell patterns.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) filter: Vec<String>,
    #[command(flatten)]
    pub(crate) reaching: Reaching,
    #[command(flatten)]
    pub(crate) spreading: Spreading,
}

fn octal(text: &str) -> Result<u32, String> {
    let bits = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok().filter(|bits| *bits <= 0o7777);
    bits.ok_or_else(|| "octal permission bits such as 0644 are accepted".to_owned())
}

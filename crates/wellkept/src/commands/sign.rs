//! `wellkept sign`: keys, bundles of playbooks, and whether a bundle is good; and the gate that every playbook passes.

mod gate;
mod gather;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use wellkept_model::Text;
use wellkept_sign::{Check, Draft, Seen, SigningKey, Trust, TrustedKey, pack, verify};
use zeroize::Zeroizing;

use super::{Context, KEEP_FILE_DEFAULT};
use crate::cli::{Output, back};
use crate::exit::{Failure, OK, USAGE};
use crate::say;
pub(super) use gate::{Admitted, Gate};

/// How long a bundle is good when nobody says.
const USUAL_VALIDITY: Duration = Duration::from_secs(30 * 86_400);
/// Largest key file, bytes.
const KEY_FILE_MAX: u64 = 4096;
/// Largest bundle, bytes: its files, its table of contents, its signatures.
const BUNDLE_MAX: u64 = wellkept_sign::TOTAL_MAX + wellkept_sign::MANIFEST_MAX as u64 + 4096;

#[derive(Debug, Subcommand)]
pub(crate) enum SignCommand {
    /// Make a key that signs bundles. Prints its public half.
    Keygen {
        /// Where the secret half goes. An existing file is never overwritten.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Pack a playbook with everything in its folder, and the roles that it uses, and sign it.
    Bundle(Box<BundleArgs>),
    /// Is a bundle good? Every byte, its signatures, its time.
    Verify {
        /// The bundle.
        bundle: PathBuf,
        /// The keep file with the trusted keys. Default: /etc/wellkept/wellkept.yml when it exists.
        #[arg(long)]
        keep: Option<PathBuf>,
        /// A trusted public key, besides those of the keep file.
        #[arg(long, value_name = "KEY")]
        trust: Vec<String>,
        /// Whether it is for this host, too.
        #[arg(long)]
        host: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// The playbook.
    pub(crate) playbook: PathBuf,
    /// The bundle that is made.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Files with secret keys.
    #[arg(long, required = true, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// Whom it is for: host patterns, or names of agents, where * stands for anything.
    #[arg(long, required = true, value_name = "PATTERN")]
    pub(crate) target: Vec<String>,
    /// Names the line of bundles that follow each other. Default: the playbook's name.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Grows from bundle to bundle; older ones are refused from then on. Default: the time in seconds.
    #[arg(long)]
    pub(crate) generation: Option<u64>,
    /// How long it is good.
    #[arg(long = "for", value_name = "TIME", value_parser = back)]
    pub(crate) good_for: Option<Duration>,
    /// From when on it is good, in seconds since 1970. Default: now.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) not_before: Option<u64>,
    /// An inventory that goes with it; a plain file in the playbook's folder.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) inventory: Option<PathBuf>,
    /// Shell patterns of paths below the folder that are left out, besides names that begin with a dot.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) leave_out: Vec<String>,
}

pub(super) fn run(context: Context, command: SignCommand) -> anyhow::Result<u8> {
    match command {
        SignCommand::Keygen { to } => keygen(context, &to),
        SignCommand::Bundle(args) => bundle(context, &args),
        SignCommand::Verify { bundle, keep, trust, host } => {
            check(context, &bundle, (keep, &trust), host.as_deref())
        }
    }
}

fn bad(error: impl std::fmt::Display) -> Failure {
    Failure::new(USAGE, wellkept_catalogue::harmless(&error.to_string()).into_owned())
}

fn told(context: Context, text: &Text) -> Failure {
    Failure::new(USAGE, say::text(context.language, text))
}

fn keygen(context: Context, to: &Path) -> anyhow::Result<u8> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())?;
    let key = SigningKey::from_seed(seed)?;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut file = match made {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(told(context, &Text::new("sign.key_exists").with("file", to.display())).into());
        }
        made => made.map_err(|e| bad(format!("{}: {e}", to.display())))?,
    };
    file.write_all(key.to_text().as_bytes())?;
    file.sync_all()?;
    match context.output {
        Output::Json => say::line(&json!({"file": to, "public": key.public()}).to_string()),
        Output::Table => {
            let text = Text::new("sign.key_made").with("file", to.display());
            say::line(&say::text(context.language, &text));
            say::line(&key.public().to_string());
        }
    }
    Ok(OK)
}

/// The bytes of a file, bounded.
fn read(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let named = |e: std::io::Error| bad(format!("{}: {e}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(named)?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(named)?;
    if bytes.len() as u64 > max {
        return Err(named(std::io::ErrorKind::FileTooLarge.into()));
    }
    Ok(bytes)
}

fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let bytes = Zeroizing::new(read(path, KEY_FILE_MAX)?);
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    SigningKey::from_text(text).map_err(|e| bad(format!("{}: {e}", path.display())))
}

fn bundle(context: Context, args: &BundleArgs) -> anyhow::Result<u8> {
    let keys = args.key.iter().map(|path| read_key(path)).collect::<Result<Vec<_>, _>>()?;
    let gathered = gather::gather(context, args)?;
    let now = now_s();
    let not_before = args.not_before.unwrap_or(now);
    let stem = args.playbook.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let draft = Draft {
        name: args.name.clone().unwrap_or(stem),
        generation: args.generation.unwrap_or(now),
        not_before,
        expires: not_before.saturating_add(args.good_for.unwrap_or(USUAL_VALIDITY).as_secs()),
        targets: args.target.clone(),
        playbook: gathered.playbook,
        inventory: gathered.inventory,
        files: gathered.files,
    };
    let bytes = pack(&draft, &keys).map_err(bad)?;
    gather::stands_alone(context, &draft, &bytes, &keys)?;
    gather::write(&args.out, &bytes).map_err(|e| bad(format!("{}: {e}", args.out.display())))?;
    match context.output {
        Output::Json => say::line(
            &json!({
                "file": args.out, "name": draft.name, "generation": draft.generation,
                "files": draft.files.len(), "bytes": bytes.len(), "expires": draft.expires,
            })
            .to_string(),
        ),
        Output::Table => {
            let text = Text::new("sign.made")
                .with("file", args.out.display())
                .with("name", &draft.name)
                .with("generation", draft.generation)
                .with("files", draft.files.len())
                .with("bytes", bytes.len())
                .with("until", date(draft.expires));
            say::line(&say::text(context.language, &text));
        }
    }
    Ok(OK)
}

fn check(
    context: Context,
    path: &Path,
    (keep, keys): (Option<PathBuf>, &[String]),
    host: Option<&str>,
) -> anyhow::Result<u8> {
    let bytes = read(path, BUNDLE_MAX)?;
    let mut trust = trust_of(context, keep.as_deref())?;
    let needed = std::mem::replace(&mut trust.signatures, 1);
    for key in keys {
        trust.keys.push(TrustedKey { name: key.clone(), key: key.parse().map_err(bad)?, revoked: false });
    }
    if trust.keys.is_empty() {
        return Err(told(context, &Text::new("sign.no_trust").with("file", path.display())).into());
    }
    let seen = Seen::default();
    let check = Check { trust: &trust, now: now_s(), seen: &seen, again: true, host };
    let bundle = verify(&bytes, &check).map_err(|e| not_good(path, &e))?;
    let manifest = bundle.manifest();
    let found = bundle.signers().len();
    match context.output {
        Output::Json => say::line(
            &json!({"manifest": manifest, "signers": bundle.signers(), "automatic": found >= needed})
                .to_string(),
        ),
        Output::Table => {
            let text = Text::new("sign.good")
                .with("file", path.display())
                .with("name", &manifest.name)
                .with("generation", manifest.generation)
                .with("signers", bundle.signers().join(", "))
                .with("targets", manifest.targets.join(", "))
                .with("until", date(manifest.expires));
            say::line(&say::text(context.language, &text));
            if found < needed {
                let text = Text::new("sign.needs_person").with("found", found).with("needed", needed);
                say::line(&say::text(context.language, &text));
            }
            for (file, _) in bundle.files() {
                say::line(&format!("{}  {}", file.sha256, wellkept_catalogue::harmless(&file.path)));
            }
        }
    }
    Ok(OK)
}

fn not_good(path: &Path, error: &wellkept_sign::BundleError) -> Failure {
    bad(format!("{}: {error}", path.display()))
}

/// Whom a keep file believes: the one that is named, or the usual one.
fn trust_of(context: Context, keep: Option<&Path>) -> Result<Trust, Failure> {
    let usual = Path::new(KEEP_FILE_DEFAULT);
    let Some(path) = keep.or(Some(usual).filter(|p| p.exists())) else {
        return Ok(Trust::any_of(Vec::new()));
    };
    let (keep, _) = super::check::load(path, context.language)?;
    let one = |known: &wellkept_model::keep::TrustedKey| {
        let key = known.key.parse().map_err(bad)?;
        Ok(TrustedKey { name: known.name.clone(), key, revoked: known.revoked })
    };
    let keys = keep.trust.iter().map(one).collect::<Result<_, Failure>>()?;
    Ok(Trust { keys, signatures: keep.signatures.unwrap_or(1) as usize })
}

fn now_s() -> u64 {
    u64::try_from(crate::clock::now().0 / 1000).unwrap_or_default()
}

fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

//! How a server is spoken to: who we are, whom we trust, whether redirects are followed.

use std::path::PathBuf;

use wellkept_model::Text;

use super::Context;
use super::problem::Problems;
use super::yaml::{Fields, Node, ReadFields, ReadNode};
use crate::secret::SecretSource;

/// Keys that every section with a server takes.
pub(super) const KEYS: [&str; 7] = [
    "basic_auth",
    "authorization",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "follow_redirects",
    "enable_http2",
];
/// Keys of Prometheus that are refused by name.
pub(super) const KEYS_KNOWN: [&str; 7] = [
    "oauth2",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
    "http_headers",
    "sigv4",
];

/// How we say who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// By user name and password.
    Basic {
        /// The name.
        user: String,
        /// The password; `None` is an empty one.
        password: Option<SecretSource>,
    },
    /// By a token.
    Token {
        /// The word before the token, most often `Bearer`.
        kind: String,
        /// The token.
        token: SecretSource,
    },
}

/// A version of TLS that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

/// Whom we trust, and as whom we come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TlsConfig {
    /// Roots to trust instead of those of the host.
    pub ca_file: Option<PathBuf>,
    /// Our certificate with its chain, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name to expect, where it is not the host's.
    pub server_name: Option<String>,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// Whether only 1.3 is spoken.
    pub only_13: bool,
}

/// How a server is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Who we are.
    pub auth: Auth,
    /// Whom we trust.
    pub tls: TlsConfig,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { auth: Auth::None, tls: TlsConfig::default(), follow_redirects: true }
    }
}

/// Reads the keys of [`KEYS`].
pub(super) fn http(fields: &Fields<'_>, context: &Context<'_>, problems: &mut Problems<'_>) -> HttpConfig {
    if let Some(node) = fields.get("enable_http2") {
        // HTTP/1.1 is spoken in any case; saying so is enough.
        fields.truth("enable_http2", true, problems);
        let message = Text::new("scrape.not_used").with("key", "enable_http2");
        problems.note(&node.at, message, Text::new("scrape.accept.http1"));
    }
    HttpConfig {
        auth: auth(fields, context, problems),
        tls: fields.get("tls_config").map(|n| tls(n, context, problems)).unwrap_or_default(),
        follow_redirects: fields.truth("follow_redirects", true, problems),
    }
}

fn auth(fields: &Fields<'_>, context: &Context<'_>, problems: &mut Problems<'_>) -> Auth {
    let bearer = secret(fields, "bearer_token", "bearer_token_file", context, problems)
        .map(|token| Auth::Token { kind: "Bearer".to_owned(), token });
    let basic = fields.get("basic_auth").and_then(|n| basic(n, context, problems));
    let token = fields.get("authorization").and_then(|n| authorization(n, context, problems));
    let mut given: Vec<Auth> = [bearer, basic, token].into_iter().flatten().collect();
    if given.len() > 1 {
        fields.node.refuse(problems, Text::new("scrape.two_auths"), Text::new("scrape.accept.one_auth"));
    }
    given.pop().unwrap_or_default()
}

fn basic(node: &Node, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Auth> {
    let keys = ["username", "username_file", "password", "password_file"];
    let fields = node.fields(&keys, &["username_ref", "password_ref"], problems)?;
    if let Some(node) = fields.get("username_file") {
        let message = Text::new("scrape.unsupported_key").with("key", "username_file");
        node.refuse(problems, message, Text::new("scrape.accept.needed").with("key", "username"));
    }
    let user = fields.text("username", problems).unwrap_or_default();
    let password = secret(&fields, "password", "password_file", context, problems);
    Some(Auth::Basic { user, password })
}

fn authorization(node: &Node, context: &Context<'_>, problems: &mut Problems<'_>) -> Option<Auth> {
    let keys = ["type", "credentials", "credentials_file"];
    let fields = node.fields(&keys, &["credentials_ref"], problems)?;
    let kind = fields.text("type", problems).unwrap_or_else(|| "Bearer".to_owned());
    let plain = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_graphic());
    if !plain || kind.eq_ignore_ascii_case("basic") {
        fields.node.refuse(problems, Text::new("scrape.auth_type"), Text::new("scrape.accept.auth_type"));
        return None;
    }
    let token = secret(&fields, "credentials", "credentials_file", context, problems);
    if token.is_none() {
        fields.missing("credentials", problems);
    }
    Some(Auth::Token { kind, token: token? })
}

fn secret(
    fields: &Fields<'_>,
    inline: &str,
    file: &str,
    context: &Context<'_>,
    problems: &mut Problems<'_>,
) -> Option<SecretSource> {
    let given = fields.secret(inline, problems);
    let path = fields.text(file, problems);
    if given.is_some() && path.is_some() {
        let message = Text::new("scrape.both_keys").with("key", inline).with("other", file);
        fields.node.refuse(problems, message, Text::new("scrape.accept.one_key"));
    }
    match (given, path) {
        (Some(secret), _) => Some(SecretSource::Inline(secret)),
        (None, path) => Some(SecretSource::File(context.path(&path?))),
    }
}

fn tls(node: &Node, context: &Context<'_>, problems: &mut Problems<'_>) -> TlsConfig {
    let keys = ["ca_file", "cert_file", "key_file", "server_name", "insecure_skip_verify", "min_version"];
    let known = ["ca", "cert", "key", "ca_ref", "cert_ref", "key_ref", "max_version"];
    let Some(fields) = node.fields(&keys, &known, problems) else { return TlsConfig::default() };
    let mut path = |name: &str| fields.text(name, problems).map(|t| context.path(&t));
    let (ca_file, cert, key) = (path("ca_file"), path("cert_file"), path("key_file"));
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            fields.missing("key_file", problems);
            None
        }
        (None, Some(_)) => {
            fields.missing("cert_file", problems);
            None
        }
    };
    let version = |text: &str| match text {
        "TLS10" | "TLS11" | "TLS12" => Some(TlsVersion::Tls12),
        "TLS13" => Some(TlsVersion::Tls13),
        _ => None,
    };
    let min = fields.get("min_version").and_then(|n| n.parsed("scrape.accept.tls", problems, version));
    TlsConfig {
        ca_file,
        identity,
        server_name: fields.text("server_name", problems),
        insecure_skip_verify: fields.truth("insecure_skip_verify", false, problems),
        only_13: min == Some(TlsVersion::Tls13),
    }
}

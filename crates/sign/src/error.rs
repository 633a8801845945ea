//! Why a bundle is not believed, or cannot be made.

/// A bundle that is refused. Nothing of it was used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Other bytes.
    #[error("this is no bundle of Wellkept: it does not begin as one")]
    NotABundle,
    /// Of a version that is not known here.
    #[error("the bundle has format {found}; this version of Wellkept reads format 1: use a newer one")]
    Newer {
        /// The version that it says.
        found: u8,
    },
    /// It ends before it should.
    #[error("the bundle is cut short: its {part} is not all there")]
    Truncated {
        /// What is missing.
        part: &'static str,
    },
    /// Bytes after its end.
    #[error("{bytes} bytes follow the end of the bundle; nothing may")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// It claims more than is accepted.
    #[error("the bundle's {what} is {found}; at most {max} is accepted")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// What it claims.
        found: u64,
        /// The bound.
        max: u64,
    },
    /// No signature, or the same key twice.
    #[error("the bundle has {found} signatures of different keys; {needed} are needed")]
    Signatures {
        /// Different trusted keys that signed it.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// Signed by a key that is not trusted here.
    #[error("the bundle is signed by {key}, which is not among the trusted keys")]
    UnknownKey {
        /// The key as people write it.
        key: String,
    },
    /// Signed by a key that was trusted once.
    #[error("the bundle is signed by the key {name}, which is revoked")]
    Revoked {
        /// Its name in the list.
        name: String,
    },
    /// The signature does not fit.
    #[error("the signature of {name} does not fit the bundle: it was changed, or signed wrongly")]
    BadSignature {
        /// Name of the key.
        name: String,
    },
    /// Its table of contents cannot be used.
    #[error("the bundle's table of contents cannot be used: {why}")]
    Manifest {
        /// What is wrong.
        why: String,
    },
    /// A name that could lead out of the folder that it is unpacked to, or that no file system takes.
    #[error("the path {path:?} is not accepted in a bundle: {why}")]
    Path {
        /// As it was given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file is not what was signed.
    #[error("the file {path} in the bundle is not the one that was signed")]
    Changed {
        /// Its path in the bundle.
        path: String,
    },
    /// Before its time.
    #[error("the bundle is not valid before {not_before} (seconds since 1970); now is {now}")]
    NotYet {
        /// Seconds since the epoch.
        not_before: u64,
        /// Seconds since the epoch.
        now: u64,
    },
    /// After its end.
    #[error("the bundle has expired: it was valid up to {expires} (seconds since 1970); now is {now}")]
    Expired {
        /// Seconds since the epoch.
        expires: u64,
        /// Seconds since the epoch.
        now: u64,
    },
    /// A newer one of the same name was seen.
    #[error(
        "the bundle {name} has generation {found}, and generation {seen} was seen already; an older one is not taken"
    )]
    Older {
        /// Name of the bundle.
        name: String,
        /// Its generation.
        found: u64,
        /// The newest that was seen.
        seen: u64,
    },
    /// The same generation twice.
    #[error(
        "generation {generation} of the bundle {name} was taken already; a new one needs a higher generation"
    )]
    Again {
        /// Name of the bundle.
        name: String,
        /// Its generation.
        generation: u64,
    },
    /// The same generation with another content.
    #[error("the bundle {name} says generation {generation} as one that was seen before, but is another")]
    Forked {
        /// Name of the bundle.
        name: String,
        /// Its generation.
        generation: u64,
    },
    /// Meant for others.
    #[error("the bundle is for {targets}, not for {host}")]
    OtherHost {
        /// Whom it is for.
        targets: String,
        /// Who asks.
        host: String,
    },
    /// A key that cannot be read.
    #[error("{what}; accepted: {accepted}")]
    Key {
        /// What is wrong.
        what: String,
        /// What would do.
        accepted: &'static str,
    },
}

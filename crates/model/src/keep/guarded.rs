//! What is declared about certificates.

use std::path::PathBuf;
use std::time::Duration;

/// A certificate that a service serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its name.
    pub name: String,
    /// The service that serves it; its `reload` has it read the file again.
    pub service: String,
    /// Where it is served: `host:port`.
    pub connect: String,
    /// The name that a client asks for, and that the certificate must be for.
    pub server_name: String,
    /// The file that the service loads, PEM.
    pub file: Option<PathBuf>,
    /// Certificates of the authority that must have signed it, PEM; the host's own roots when absent.
    pub ca: Option<PathBuf>,
    /// It counts as unfit this long before its end.
    pub warn_before: Duration,
    /// Time between two looks.
    pub every: Duration,
}

//! Certificates of hosts: whether one speaks for a host at an instant.

use std::fmt;

use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, PublicKey};

use super::known::KnownHosts;
use super::{HostId, fingerprint};
use crate::pattern;

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateProblem {
    /// It is one of a user.
    NotOfAHost,
    /// Its names do not hold the host; an empty list holds nobody.
    OtherHost {
        /// The names, at most ten.
        names: Vec<String>,
    },
    /// Outside of its time.
    NotNow {
        /// First second, Unix time.
        from: u64,
        /// First second after it, Unix time.
        until: u64,
    },
    /// Nobody whom we trust for this host has signed it.
    OtherAuthority {
        /// `SHA256:…` of who has.
        fingerprint: String,
    },
    /// It says things that must be understood; no such option exists for hosts.
    CriticalOption,
    /// The signature does not fit, or is of a kind that is no longer accepted.
    Signature,
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOfAHost => f.write_str("it is the certificate of a user"),
            Self::OtherHost { names } if names.is_empty() => f.write_str("it names no host"),
            Self::OtherHost { names } => write!(f, "it is for {}", names.join(", ")),
            Self::NotNow { from, until } => write!(f, "it is valid from {from} to {until}, Unix time"),
            Self::OtherAuthority { fingerprint } => {
                write!(f, "it is signed by {fingerprint}, which no `@cert-authority` line has for this host")
            }
            Self::CriticalOption => f.write_str("it has a critical option, and none is known for hosts"),
            Self::Signature => f.write_str("its signature is wrong, or made with SHA-1 or DSA"),
        }
    }
}

/// Judges a certificate that a host has shown. `now_seconds`: Unix time.
///
/// # Errors
/// What is wrong with it.
pub fn check(
    known: &KnownHosts,
    host: &HostId,
    certificate: &Certificate,
    now_seconds: u64,
) -> Result<(), CertificateProblem> {
    if certificate.cert_type() != CertType::Host {
        return Err(CertificateProblem::NotOfAHost);
    }
    let authority = PublicKey::new(certificate.signature_key().clone(), "");
    if !known.is_authority(host, &authority) {
        return Err(CertificateProblem::OtherAuthority { fingerprint: fingerprint(&authority) });
    }
    let principals = certificate.valid_principals();
    if !principals.iter().any(|p| pattern::matches(&p.to_lowercase(), host.host.as_str())) {
        return Err(CertificateProblem::OtherHost { names: principals.iter().take(10).cloned().collect() });
    }
    let (from, until) = (certificate.valid_after(), certificate.valid_before());
    if now_seconds < from || now_seconds >= until {
        return Err(CertificateProblem::NotNow { from, until });
    }
    if !certificate.critical_options().is_empty() {
        return Err(CertificateProblem::CriticalOption);
    }
    let weak = matches!(certificate.signature().algorithm(), Algorithm::Rsa { hash: None } | Algorithm::Dsa);
    if weak || certificate.verify_signature().is_err() {
        return Err(CertificateProblem::Signature);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::name::HostName;

    const NOW: u64 = 1_750_000_000;

    /// A folder with `ca`, `ca.pub`, `host`, and what `ssh-keygen -s` makes of them.
    fn certificate(kind: &[&str], ca_kind: &str) -> (KnownHosts, Certificate) {
        let folder = tempfile::tempdir().expect("temp");
        let run = |args: &[&str]| {
            let out = Command::new("ssh-keygen")
                .args(args)
                .current_dir(folder.path())
                .output()
                .expect("ssh-keygen");
            assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        };
        run(&["-q", "-t", ca_kind, "-N", "", "-f", "ca"]);
        run(&["-q", "-t", "ed25519", "-N", "", "-f", "host"]);
        let mut args = vec!["-q", "-s", "ca", "-I", "id"];
        args.extend_from_slice(kind);
        args.push("host.pub");
        run(&args);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("read");
        let mut known = KnownHosts::default();
        known.add_file(Path::new("k"), &format!("@cert-authority *.example.org {}", read("ca.pub")));
        (known, Certificate::from_openssh(&read("host-cert.pub")).expect("certificate"))
    }

    fn judged(kind: &[&str], name: &str) -> Result<(), CertificateProblem> {
        let (known, certificate) = certificate(kind, "ed25519");
        let host = HostId { host: HostName::new(name).expect("name"), port: 2222 };
        check(&known, &host, &certificate, NOW)
    }

    const ALWAYS: &str = "-Valways:forever";

    #[test]
    fn a_certificate_for_the_host_by_a_known_authority_is_accepted() {
        assert_eq!(judged(&["-h", "-n", "a.example.org,b.example.org", ALWAYS], "b.example.org"), Ok(()));
        assert_eq!(judged(&["-h", "-n", "*.example.org", ALWAYS], "b.example.org"), Ok(()));
        let (known, certificate) = certificate(&["-h", "-n", "a.example.org", ALWAYS], "rsa");
        let host = HostId { host: HostName::new("a.example.org").expect("name"), port: 22 };
        assert_eq!(check(&known, &host, &certificate, NOW), Ok(()), "signed with RSA and SHA-512");
    }

    #[test]
    fn each_other_certificate_is_refused_with_its_reason() {
        use CertificateProblem as P;
        assert_eq!(judged(&["-n", "a.example.org", ALWAYS], "a.example.org"), Err(P::NotOfAHost));
        let other = judged(&["-h", "-n", "b.example.org", ALWAYS], "a.example.org");
        assert_eq!(other, Err(P::OtherHost { names: vec!["b.example.org".into()] }));
        assert_eq!(judged(&["-h", ALWAYS], "a.example.org"), Err(P::OtherHost { names: vec![] }));
        let past = judged(&["-h", "-n", "a.example.org", "-V20200101:20210101"], "a.example.org");
        assert!(matches!(past, Err(P::NotNow { .. })), "{past:?}");
        let future = judged(&["-h", "-n", "a.example.org", "-V20400101:20410101"], "a.example.org");
        assert!(matches!(future, Err(P::NotNow { .. })), "{future:?}");
        let elsewhere = judged(&["-h", "-n", "a.example.com", ALWAYS], "a.example.com");
        assert!(matches!(elsewhere, Err(P::OtherAuthority { .. })), "{elsewhere:?}");
    }
}

//! What the tests and benches need beside Rust and Node.js, in one place and with the reason.

use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::process;

/// One Debian package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name for `apt-get`.
    pub(crate) name: &'static str,
    /// The program that shows that it is there, whoever installed it.
    pub(crate) program: &'static str,
    /// Why it is needed.
    pub(crate) reason: &'static str,
}

/// Needed by `cargo xtask test`.
pub(crate) const FOR_TESTS: &[Package] = &[
    Package { name: "strace", program: "strace", reason: "`torture` has system calls fail and end" },
    Package { name: "e2fsprogs", program: "mkfs.ext4", reason: "`torture` makes small disks" },
    Package { name: "chromium", program: "chromium", reason: "the console is tested in a real browser" },
    Package {
        name: "prometheus",
        program: "prometheus",
        reason: "read from, scraped from and compared with",
    },
    Package {
        name: "victoria-metrics",
        program: "victoria-metrics",
        reason: "the tests read series from it",
    },
    Package {
        name: "prometheus-node-exporter",
        program: "prometheus-node-exporter",
        reason: "scraped by the tests",
    },
    Package {
        name: "rsyslog-elasticsearch",
        program: "rsyslogd",
        reason: "a shipper of lines that is not ours: syslog and _bulk",
    },
    Package { name: "openssh-server", program: "sshd", reason: "`ssh` is tested against real servers" },
    Package {
        name: "openssh-client",
        program: "ssh",
        reason: "`ssh -G`, `ssh-keygen` and `ssh-agent` are compared with",
    },
    Package {
        name: "systemd-container",
        program: "systemd-nspawn",
        reason: "enrolment is tested in a Debian that was booted for it",
    },
    Package { name: "debootstrap", program: "debootstrap", reason: "makes that Debian" },
    Package { name: "sudo", program: "sudo", reason: "becoming another user is tested with the real one" },
    Package {
        name: "postgresql",
        // `psql` comes with the client alone.
        program: "pg_ctlcluster",
        reason: "`collect` and `remote` are tested against real servers",
    },
    Package {
        name: "redis-server",
        program: "redis-server",
        reason: "`collect` and `remote` look into a real one",
    },
    Package { name: "mariadb-server", program: "mariadbd", reason: "`collect` looks into a real one" },
    Package { name: "nginx-light", program: "nginx", reason: "`collect` looks at a real one" },
    Package {
        name: "nftables",
        program: "nft",
        reason: "rules are put back and addresses blocked in namespaces",
    },
    Package { name: "iproute2", program: "ip", reason: "networks of the tests are namespaces of their own" },
    Package { name: "openssl", program: "openssl", reason: "makes certificates that are looked at" },
    Package {
        name: "procps",
        program: "pkill",
        reason: "ends what tests have started in sessions of their own",
    },
    Package { name: "git", program: "git", reason: "the module of that name works on real repositories" },
    Package {
        name: "docker.io",
        program: "dockerd",
        reason: "modules of containers are tested with a real engine",
    },
    Package { name: "docker-registry", program: "docker-registry", reason: "it pulls from there" },
    Package { name: "busybox-static", program: "busybox", reason: "the image of those tests" },
    Package {
        name: "opendoas",
        program: "doas",
        reason: "becoming another user is tested with the real one",
    },
];

/// Compared with by `cargo xtask bench`.
pub(crate) const FOR_BENCHES: &[Package] = &[
    Package { name: "prometheus", program: "prometheus", reason: "peer of `idle` and `store` (promtool)" },
    Package {
        name: "prometheus-node-exporter",
        program: "prometheus-node-exporter",
        reason: "what Prometheus scrapes in `idle`",
    },
    Package { name: "victoria-metrics", program: "victoria-metrics", reason: "peer of `store`" },
    Package { name: "ripgrep", program: "rg", reason: "peer of `logs`" },
    Package { name: "zstd", program: "zstd", reason: "peer of `logs`" },
    Package { name: "monit", program: "monit", reason: "peer of `recovery`" },
];

/// Those whose program is not on the path.
pub(crate) fn missing(packages: &[Package]) -> Vec<Package> {
    packages.iter().copied().filter(|p| !process::on_path(p.program)).collect()
}

/// Installs packages with apt-get, as root or through sudo.
///
/// # Errors
/// When there is no apt-get, no right to use it, or it fails; the message says what to install by hand.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(|p| p.name).collect();
    for package in packages {
        eprintln!("missing: {} ({})", package.name, package.reason);
    }
    if !process::on_path("apt-get") {
        bail!("no apt-get on this machine; install by hand: {}", names.join(" "));
    }
    for arguments in [&["update", "-q"][..], &["install", "-y", "-q", "--no-install-recommends"][..]] {
        let mut command = as_root("apt-get")?;
        command.args(arguments);
        if arguments.first() == Some(&"install") {
            command.args(&names);
        }
        let done = process::stream(&mut command)?;
        ensure!(done.status.success(), "apt-get failed; install by hand: {}", names.join(" "));
    }
    let still = missing(packages);
    ensure!(still.is_empty(), "installed, but still not on the path: {still:?}");
    Ok(())
}

fn as_root(program: &str) -> Result<Command> {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(program)
    } else if process::on_path("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.args(["--preserve-env=DEBIAN_FRONTEND", program]);
        sudo
    } else {
        bail!("installing needs root or sudo");
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_without_their_program_are_missing() {
        let there = Package { name: "dash", program: "sh", reason: "test" };
        let absent = Package { name: "x", program: "no-such-program-here", reason: "test" };
        assert_eq!(missing(&[there, absent]), [absent]);
    }

    #[test]
    fn every_package_says_why_it_is_needed() {
        for package in FOR_TESTS.iter().chain(FOR_BENCHES) {
            assert!(package.reason.len() > 10, "{}", package.name);
        }
    }
}

//! Mounted file systems that hold data: size, free space, inodes.
//!
//! `statvfs` on a dead network server waits for ever, and a user-space file system answers when it pleases. Neither
//! may hold up a round, so network and FUSE file systems are not asked at all; a later collector may do so in a
//! process of its own.

use rustix::fs::{StatVfs, StatVfsMountFlags, statvfs};
use wellkept_model::observe::FilesystemSeen;

use super::{Mount, mounts};
use crate::series::Series;
use crate::source::Source;

/// Most file systems that are looked at; the rest is a problem of the round.
const FILESYSTEMS_MAX: usize = 512;

/// Types that hold no data of their own: node_exporter's list.
const PSEUDO: [&str; 26] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Types whose answer depends on somebody else: another machine, or a process.
const REMOTE: [&str; 16] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "smb3",
    "smbfs",
    "virtiofs",
];

#[derive(Debug)]
pub(super) struct Filesystems {
    source: Source,
}

impl Default for Filesystems {
    fn default() -> Self {
        Self { source: Source::new("/proc/self/mounts") }
    }
}

impl Filesystems {
    pub(super) fn read(&mut self, out: &mut Series) -> Result<Vec<FilesystemSeen>, String> {
        let watched = watched(mounts(self.source.text()?));
        let left_out = watched.len().saturating_sub(FILESYSTEMS_MAX);
        let mut all = Vec::with_capacity(watched.len());
        for mount in watched.into_iter().take(FILESYSTEMS_MAX) {
            // A mount below a directory that we may not enter: node_exporter says device_error, we leave it out.
            if let Ok(vfs) = statvfs(mount.mountpoint.as_str()) {
                let seen = seen(mount, &vfs);
                emit(&seen, out);
                all.push(seen);
            }
        }
        if left_out > 0 {
            return Err(format!(
                "{left_out} file systems beyond the first {FILESYSTEMS_MAX} are not watched"
            ));
        }
        Ok(all)
    }
}

/// What is looked at, one entry per mount point; of two mounts on one point the later one is seen by everybody.
fn watched(all: impl Iterator<Item = Mount>) -> Vec<Mount> {
    let mut kept: Vec<Mount> = Vec::new();
    for mount in all {
        kept.retain(|k| k.mountpoint != mount.mountpoint);
        if holds_data(&mount) {
            kept.push(mount);
        }
    }
    kept
}

/// node_exporter's choice, with one difference: an overlay that is the root (a container, a live system) counts,
/// because there it is where everything is written.
fn holds_data(mount: &Mount) -> bool {
    let (point, fstype) = (mount.mountpoint.as_str(), mount.fstype.as_str());
    let below =
        |dir: &str| point.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if fstype == "overlay" && point == "/" {
        return true;
    }
    !PSEUDO.contains(&fstype)
        && !REMOTE.contains(&fstype)
        && !fstype.starts_with("fuse")
        && !["/dev", "/proc", "/sys"].into_iter().any(below)
        && !["/run/credentials/", "/var/lib/docker/", "/var/lib/containers/storage/"]
            .iter()
            .any(|dir| point.starts_with(dir))
}

fn seen(mount: Mount, vfs: &StatVfs) -> FilesystemSeen {
    FilesystemSeen {
        read_only: vfs.f_flag.contains(StatVfsMountFlags::RDONLY) || mount.has_option("ro"),
        mountpoint: mount.mountpoint,
        device: mount.device,
        fstype: mount.fstype,
        size_bytes: vfs.f_blocks.saturating_mul(vfs.f_frsize),
        free_bytes: vfs.f_bfree.saturating_mul(vfs.f_frsize),
        avail_bytes: vfs.f_bavail.saturating_mul(vfs.f_frsize),
        files: vfs.f_files,
        files_free: vfs.f_ffree,
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are 64-bit floats; exact up to 8 PiB")]
fn emit(seen: &FilesystemSeen, out: &mut Series) {
    let pairs = [
        ("device", seen.device.as_str()),
        ("fstype", seen.fstype.as_str()),
        ("mountpoint", seen.mountpoint.as_str()),
    ];
    out.put("node_filesystem_size_bytes", &pairs, seen.size_bytes as f64);
    out.put("node_filesystem_free_bytes", &pairs, seen.free_bytes as f64);
    out.put("node_filesystem_avail_bytes", &pairs, seen.avail_bytes as f64);
    out.put("node_filesystem_files", &pairs, seen.files as f64);
    out.put("node_filesystem_files_free", &pairs, seen.files_free as f64);
    out.put("node_filesystem_readonly", &pairs, f64::from(seen.read_only));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(text: &str) -> Vec<String> {
        watched(mounts(text)).into_iter().map(|m| m.mountpoint).collect()
    }

    #[test]
    fn pseudo_remote_and_private_file_systems_are_left_out() {
        let text = "proc /proc proc rw 0 0\n/dev/sda1 / ext4 rw 0 0\nnas:/x /nas nfs4 rw 0 0\ns3 /s3 fuse.s3fs rw 0 0\n\
                    tmpfs /run tmpfs rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\noverlay /var/lib/docker/overlay2/a overlay rw 0 0\n\
                    /dev/sdb /device xfs rw 0 0\n";
        assert_eq!(points(text), ["/", "/run", "/device"]);
    }

    #[test]
    fn an_overlay_counts_where_it_is_the_root() {
        assert_eq!(points("overlay / overlay rw 0 0\noverlay /merged overlay rw 0 0\n"), ["/"]);
    }

    #[test]
    fn of_two_mounts_on_one_point_the_later_one_counts() {
        let got = watched(mounts("/dev/a /m ext4 rw 0 0\n/dev/b /m xfs rw 0 0\n"));
        assert_eq!(got.len(), 1);
        assert_eq!(got[0].device, "/dev/b");
        assert!(
            points("/dev/a /m ext4 rw 0 0\nnas:/x /m nfs rw 0 0\n").is_empty(),
            "hidden below a remote one"
        );
    }
}

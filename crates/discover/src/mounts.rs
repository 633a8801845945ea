//! File systems on disks.

use std::collections::BTreeMap;
use std::path::Path;

use procfs::ProcResult;
use procfs::process::Process;

/// Types that keep data on a disk and can run full.
const ON_DISKS: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "vfat"];
/// Folders below which mounts belong to something else.
const NOT_OURS: [&str; 7] =
    ["/proc", "/sys", "/dev", "/run", "/snap", "/var/lib/docker", "/var/lib/containers"];

/// Mount point and type, each disk once at its shortest mount point.
pub(crate) fn on_disks() -> ProcResult<Vec<(String, String)>> {
    let mounts = Process::myself()?.mountinfo()?;
    let mounts = mounts.into_iter().filter_map(|m| {
        let path = unescaped(m.mount_point.to_str()?)?;
        Path::new(&path).is_dir().then_some((m.majmin, path, m.fs_type))
    });
    Ok(choose(mounts))
}

/// The kernel writes blanks, tabs, line ends and backslashes in paths as `\\040` and so on.
fn unescaped(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        match octal.and_then(|d| u8::from_str_radix(d, 8).ok()).filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// `(device, mount point, type)`
fn choose(mounts: impl Iterator<Item = (String, String, String)>) -> Vec<(String, String)> {
    let mut by_device: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (device, path, kind) in mounts {
        let ours = !NOT_OURS.iter().any(|folder| Path::new(&path).starts_with(folder));
        // The root may be an overlay (in a container); it is what people mean by "the disk" then.
        if !(ours && (ON_DISKS.contains(&kind.as_str()) || path == "/")) {
            continue;
        }
        let shorter =
            by_device.get(&device).is_none_or(|(known, _)| (path.len(), &path) < (known.len(), known));
        if shorter {
            by_device.insert(device, (path, kind));
        }
    }
    let mut chosen: Vec<(String, String)> = by_device.into_values().collect();
    chosen.sort();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_mount_points_are_read() {
        assert_eq!(unescaped("/mnt/my\\040disk\\134x").as_deref(), Some("/mnt/my disk\\x"));
        assert_eq!(unescaped("/a\\04").as_deref(), Some("/a\\04"));
        assert_eq!(unescaped("/é").as_deref(), Some("/é"));
    }

    #[test]
    fn each_disk_is_named_once() {
        let mounts = [
            ("8:1", "/", "ext4"),
            ("8:1", "/srv/bind", "ext4"),
            ("8:2", "/data", "xfs"),
            ("0:5", "/proc", "proc"),
            ("0:30", "/tmp", "tmpfs"),
            ("7:0", "/snap/core/1", "squashfs"),
            ("8:3", "/var/lib/docker/x", "ext4"),
        ];
        let mounts = mounts.map(|(d, p, k)| (d.to_owned(), p.to_owned(), k.to_owned()));
        let expected = [("/".to_owned(), "ext4".to_owned()), ("/data".to_owned(), "xfs".to_owned())];
        assert_eq!(choose(mounts.into_iter()), expected);
    }
}

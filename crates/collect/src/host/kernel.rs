//! What the kernel says of itself: time, name, descriptors, entropy, connection tracking, the system's name.

use rustix::system::uname;
use wellkept_model::TimestampMs;

use super::parse;
use crate::series::Series;
use crate::source::{Source, number, read_once};

/// Labels of `node_os_info` and their keys in os-release.
const OS_KEYS: [(&str, &str); 9] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

/// Longest value that is taken from os-release.
const OS_VALUE_MAX: usize = 200;

#[derive(Debug)]
pub(super) struct Kernel {
    filenr: Source,
    singles: Vec<(&'static str, Source)>,
    os: Vec<String>,
}

impl Default for Kernel {
    fn default() -> Self {
        let single = |name, path: &str| (name, Source::new(path));
        Self {
            filenr: Source::new("/proc/sys/fs/file-nr"),
            singles: vec![
                single("node_entropy_available_bits", "/proc/sys/kernel/random/entropy_avail"),
                single("node_nf_conntrack_entries", "/proc/sys/net/netfilter/nf_conntrack_count"),
                single("node_nf_conntrack_entries_limit", "/proc/sys/net/netfilter/nf_conntrack_max"),
            ],
            os: Vec::new(),
        }
    }
}

impl Kernel {
    pub(super) fn read(&mut self, now: TimestampMs, slow: bool, out: &mut Series) -> Result<(), String> {
        out.put("node_time_seconds", &[], now.as_seconds());
        emit_uname(out);
        if slow || self.os.is_empty() {
            let text = read_once("/etc/os-release").or_else(|_| read_once("/usr/lib/os-release"));
            self.os = os_values(&text.unwrap_or_default());
        }
        emit_os(&self.os, out);
        for (name, source) in &mut self.singles {
            if let Some(value) = number(source) {
                out.put(name, &[], value);
            }
        }
        emit_filenr(self.filenr.text()?, out);
        Ok(())
    }
}

fn emit_uname(out: &mut Series) {
    let uname = uname();
    let text = |c: &std::ffi::CStr| c.to_string_lossy().into_owned();
    let pairs = [
        ("domainname", text(uname.domainname())),
        ("machine", text(uname.machine())),
        ("nodename", text(uname.nodename())),
        ("release", text(uname.release())),
        ("sysname", text(uname.sysname())),
        ("version", text(uname.version())),
    ];
    out.put("node_uname_info", &pairs.each_ref().map(|(n, v)| (*n, v.as_str())), 1.0);
}

/// Values in the order of [`OS_KEYS`]; absent ones are empty.
fn os_values(text: &str) -> Vec<String> {
    let find = |key: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')));
        let value = line.unwrap_or_default().trim().trim_matches(['"', '\'']);
        value.chars().take(OS_VALUE_MAX).collect::<String>()
    };
    OS_KEYS.iter().map(|(_, key)| find(key)).collect()
}

fn emit_os(values: &[String], out: &mut Series) {
    let mut pairs = [("", ""); OS_KEYS.len()];
    for ((pair, (label, _)), value) in pairs.iter_mut().zip(OS_KEYS).zip(values) {
        *pair = (label, value);
    }
    if values.len() == pairs.len() && values.iter().any(|v| !v.is_empty()) {
        out.put("node_os_info", &pairs, 1.0);
    }
}

/// Allocated, unused, maximum.
fn emit_filenr(text: &str, out: &mut Series) {
    let mut fields = text.split_ascii_whitespace();
    if let Some(allocated) = fields.next().and_then(parse) {
        out.put("node_filefd_allocated", &[], allocated);
    }
    if let Some(maximum) = fields.nth(1).and_then(parse) {
        out.put("node_filefd_maximum", &[], maximum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{any, value};

    #[test]
    fn the_systems_name_is_read_with_and_without_quotes() {
        let mut out = Series::default();
        emit_os(&os_values("NAME=\"Debian GNU/Linux\"\nID=debian\nVERSION_ID='12'\n"), &mut out);
        let got = out.take();
        let expected = r#"node_os_info{id="debian", name="Debian GNU/Linux", version_id="12"}"#;
        assert_eq!(value(&got, expected), Some(1.0));
    }

    #[test]
    fn descriptors_have_a_use_and_a_limit() {
        let mut out = Series::default();
        emit_filenr("1344\t0\t9223372036854775807\n", &mut out);
        let got = out.take();
        assert_eq!(any(&got, "node_filefd_allocated"), Some(1344.0));
        assert!(any(&got, "node_filefd_maximum").expect("third column") > 9e18);
    }

    #[test]
    fn time_is_the_time_of_the_round() {
        let mut out = Series::default();
        Kernel::default().read(TimestampMs(1_500), true, &mut out).expect("there is file-nr");
        assert_eq!(any(&out.take(), "node_time_seconds"), Some(1.5));
    }
}

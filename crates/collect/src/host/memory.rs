//! `/proc/meminfo` and `/proc/vmstat`.

use super::{parse, words};
use crate::series::Series;
use crate::source::Source;

#[derive(Debug)]
pub(super) struct Memory {
    meminfo: Source,
    vmstat: Source,
    name: String,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            meminfo: Source::new("/proc/meminfo"),
            vmstat: Source::new("/proc/vmstat"),
            name: String::new(),
        }
    }
}

impl Memory {
    pub(super) fn read(&mut self, out: &mut Series) -> Result<(), String> {
        emit_meminfo(self.meminfo.text()?, &mut self.name, out);
        emit_vmstat(self.vmstat.text()?, &mut self.name, out);
        Ok(())
    }
}

/// `Active(anon):  12 kB` becomes `node_memory_Active_anon_bytes`; a line without unit keeps its plain name.
fn emit_meminfo(text: &str, name: &mut String, out: &mut Series) {
    for line in text.lines() {
        let mut fields = words(line);
        let (Some(key), Some(value)) = (fields.next(), fields.next().and_then(parse)) else { continue };
        name.clear();
        name.push_str("node_memory_");
        name.extend(key.chars().filter_map(|c| match c {
            '(' => Some('_'),
            ')' | ':' => None,
            c => Some(c),
        }));
        match fields.next() {
            Some("kB") => {
                name.push_str("_bytes");
                out.put(name, &[], value * 1024.0);
            }
            _ => out.put(name, &[], value),
        }
    }
}

/// Those that node_exporter picks: faults, paging, swapping, kills.
fn picked(key: &str) -> bool {
    key.starts_with("oom_kill")
        || key.starts_with("pgpg")
        || key.starts_with("pswp")
        || (key.starts_with("pg") && key.contains("fault"))
}

fn emit_vmstat(text: &str, name: &mut String, out: &mut Series) {
    for line in text.lines() {
        let mut fields = words(line);
        let Some(key) = fields.next().filter(|k| picked(k)) else { continue };
        if let Some(value) = fields.next().and_then(parse) {
            name.clear();
            name.push_str("node_vmstat_");
            name.push_str(key);
            out.put(name, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::value;

    #[test]
    fn meminfo_is_named_as_node_exporter_names_it() {
        let mut out = Series::default();
        let text = "MemTotal:  16 kB\nActive(anon):  2 kB\nHugePages_Total:  3\nbroken\nDirty: x kB\n";
        emit_meminfo(text, &mut String::new(), &mut out);
        let got = out.take();
        assert_eq!(value(&got, "node_memory_MemTotal_bytes"), Some(16384.0));
        assert_eq!(value(&got, "node_memory_Active_anon_bytes"), Some(2048.0));
        assert_eq!(value(&got, "node_memory_HugePages_Total"), Some(3.0));
        assert_eq!(got.len(), 3);
    }

    #[test]
    fn only_the_usual_part_of_vmstat_is_kept() {
        let mut out = Series::default();
        let text =
            "nr_free_pages 1\npgfault 2\npgmajfault 3\npswpin 4\npgpgout 5\noom_kill 6\npgsteal_kswapd 7\n";
        emit_vmstat(text, &mut String::new(), &mut out);
        let got = out.take();
        assert_eq!(got.len(), 5);
        assert_eq!(value(&got, "node_vmstat_oom_kill"), Some(6.0));
        assert_eq!(value(&got, "node_vmstat_pgmajfault"), Some(3.0));
    }
}

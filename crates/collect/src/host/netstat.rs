//! `/proc/net/{netstat,snmp,snmp6,sockstat,sockstat6}`: counters of the protocols, sockets in use.

use super::{parse, words};
use crate::series::Series;
use crate::source::Source;

#[derive(Debug)]
pub(super) struct Netstat {
    netstat: Source,
    snmp: Source,
    snmp6: Source,
    sockstat: Source,
    sockstat6: Source,
    name: String,
    page_size: f64,
    attempt_fails: Option<f64>,
}

impl Default for Netstat {
    fn default() -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a page is a few KiB")]
        let page_size = rustix::param::page_size() as f64;
        Self {
            netstat: Source::new("/proc/net/netstat"),
            snmp: Source::new("/proc/net/snmp"),
            snmp6: Source::new("/proc/net/snmp6"),
            sockstat: Source::new("/proc/net/sockstat"),
            sockstat6: Source::new("/proc/net/sockstat6"),
            name: String::new(),
            page_size,
            attempt_fails: None,
        }
    }
}

impl Netstat {
    /// IPv6 may be switched off; then its files are missing and nothing is said.
    pub(super) fn read(&mut self, out: &mut Series) -> Result<(), String> {
        emit_pairs_of_lines(self.netstat.text()?, &mut self.name, out);
        let snmp = self.snmp.text()?;
        self.attempt_fails = value_of(snmp, "Tcp:", "AttemptFails");
        emit_pairs_of_lines(snmp, &mut self.name, out);
        if let Ok(text) = self.snmp6.read() {
            emit_snmp6(text, &mut self.name, out);
        }
        emit_sockstat(self.sockstat.text()?, self.page_size, &mut self.name, out);
        if let Ok(text) = self.sockstat6.read() {
            emit_sockstat(text, self.page_size, &mut self.name, out);
        }
        Ok(())
    }
}

impl Netstat {
    /// Connections that were asked for from here and did not come about, since the host was started.
    pub(super) fn attempt_fails(&self) -> Option<f64> {
        self.attempt_fails
    }
}

/// One value of a protocol, of a line of names and a line of values.
fn value_of(text: &str, protocol: &str, field: &str) -> Option<f64> {
    let mut lines = text.lines().filter(|l| l.starts_with(protocol)).map(words);
    let (mut names, mut values) = (lines.next()?, lines.next()?);
    values.nth(names.position(|name| name == field)?).and_then(parse)
}

/// The fields that node_exporter picks from several hundred.
fn picked(protocol: &str, field: &str) -> bool {
    if field.ends_with("InErrors") || field.ends_with("InErrs") {
        return true;
    }
    match protocol {
        "Ip" => field == "Forwarding",
        "Ip6" | "IpExt" => matches!(field, "InOctets" | "OutOctets"),
        "Icmp" | "Icmp6" => matches!(field, "InMsgs" | "OutMsgs"),
        "TcpExt" => {
            field.starts_with("Listen")
                || field.starts_with("Syncookies")
                || matches!(field, "TCPSynRetrans" | "TCPTimeouts" | "TCPOFOQueue" | "TCPRcvQDrop")
        }
        "Tcp" => matches!(
            field,
            "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab"
        ),
        "Udp" | "Udp6" => {
            matches!(field, "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors")
        }
        _ => false,
    }
}

fn emit(protocol: &str, field: &str, value: f64, name: &mut String, out: &mut Series) {
    name.clear();
    for part in ["node_netstat_", protocol, "_", field] {
        name.push_str(part);
    }
    out.put(name, &[], value);
}

/// A line of names and a line of values, both beginning with `Protocol:`.
fn emit_pairs_of_lines(text: &str, name: &mut String, out: &mut Series) {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (mut names, mut values) = (words(names), words(values));
        let Some(protocol) = names.next().and_then(|p| p.strip_suffix(':')) else { continue };
        if values.next().and_then(|p| p.strip_suffix(':')) != Some(protocol) {
            continue;
        }
        for (field, value) in names.zip(values).filter(|(field, _)| picked(protocol, field)) {
            if let Some(value) = parse(value) {
                emit(protocol, field, value, name, out);
            }
        }
    }
}

/// `Udp6InErrors  12`: protocol and field run together.
fn emit_snmp6(text: &str, name: &mut String, out: &mut Series) {
    for line in text.lines() {
        let mut fields = words(line);
        let (Some(key), Some(value)) = (fields.next(), fields.next()) else { continue };
        let Some((protocol, field)) = key.find('6').and_then(|at| key.split_at_checked(at + 1)) else {
            continue;
        };
        if picked(protocol, field)
            && let Some(value) = parse(value)
        {
            emit(protocol, field, value, name, out);
        }
    }
}

/// `TCP: inuse 5 orphan 0 tw 0 alloc 5 mem 1`; `mem` is in pages.
fn emit_sockstat(text: &str, page_size: f64, name: &mut String, out: &mut Series) {
    for line in text.lines() {
        let mut fields = words(line);
        let Some(protocol) = fields.next().and_then(|p| p.strip_suffix(':')) else { continue };
        while let (Some(field), Some(value)) = (fields.next(), fields.next().and_then(parse)) {
            name.clear();
            for part in ["node_sockstat_", protocol, "_", field] {
                name.push_str(part);
            }
            out.put(name, &[], value);
            if field == "mem" {
                name.push_str("_bytes");
                out.put(name, &[], value * page_size);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::value;

    #[test]
    fn protocol_counters_are_matched_by_name_not_by_place() {
        let mut out = Series::default();
        let text =
            "Tcp: RtoMin MaxConn RetransSegs InErrs\nTcp: 200 -1 7 3\nIp: Forwarding Other\nUdp: 1 2\n";
        emit_pairs_of_lines(text, &mut String::new(), &mut out);
        let got = out.take();
        assert_eq!(value(&got, "node_netstat_Tcp_RetransSegs"), Some(7.0));
        assert_eq!(value(&got, "node_netstat_Tcp_InErrs"), Some(3.0));
        assert_eq!(got.len(), 2, "lines that do not belong together give nothing");
    }

    #[test]
    fn one_value_is_found_by_its_protocol_and_name() {
        let text = "Ip: AttemptFails\nIp: 4\nTcp: RtoMin MaxConn AttemptFails\nTcp: 200 -1 7\n";
        assert_eq!(value_of(text, "Tcp:", "AttemptFails"), Some(7.0));
        assert_eq!(value_of(text, "Tcp:", "Nothing"), None);
        assert_eq!(value_of("Tcp: AttemptFails\n", "Tcp:", "AttemptFails"), None);
    }

    #[test]
    fn counters_of_ipv6_are_split_after_the_six() {
        let mut out = Series::default();
        emit_snmp6("Ip6InReceives 1\nUdp6InDatagrams 2\nUdpLite6InErrors 3\n", &mut String::new(), &mut out);
        let got = out.take();
        assert_eq!(value(&got, "node_netstat_Udp6_InDatagrams"), Some(2.0));
        assert_eq!(value(&got, "node_netstat_UdpLite6_InErrors"), Some(3.0));
        assert_eq!(got.len(), 2);
    }

    #[test]
    fn socket_memory_is_given_in_pages_and_bytes() {
        let mut out = Series::default();
        emit_sockstat("sockets: used 9\nTCP: inuse 5 mem 2\n", 4096.0, &mut String::new(), &mut out);
        let got = out.take();
        assert_eq!(value(&got, "node_sockstat_sockets_used"), Some(9.0));
        assert_eq!(value(&got, "node_sockstat_TCP_mem_bytes"), Some(8192.0));
    }
}

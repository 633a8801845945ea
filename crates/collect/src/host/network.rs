//! `/proc/net/dev` and `/sys/class/net`: traffic and state of the interfaces.

use std::collections::HashMap;

use super::{parse, words};
use crate::series::Series;
use crate::source::{Source, number};

const RECEIVE: [&str; 8] = [
    "node_network_receive_bytes_total",
    "node_network_receive_packets_total",
    "node_network_receive_errs_total",
    "node_network_receive_drop_total",
    "node_network_receive_fifo_total",
    "node_network_receive_frame_total",
    "node_network_receive_compressed_total",
    "node_network_receive_multicast_total",
];

const TRANSMIT: [&str; 8] = [
    "node_network_transmit_bytes_total",
    "node_network_transmit_packets_total",
    "node_network_transmit_errs_total",
    "node_network_transmit_drop_total",
    "node_network_transmit_fifo_total",
    "node_network_transmit_colls_total",
    "node_network_transmit_carrier_total",
    "node_network_transmit_compressed_total",
];

/// Files of /sys/class/net that hardly ever change and may take a lock of the driver: read at the slow pace.
/// Metric, file, factor (`speed` is in Mbit/s).
const SLOW: [(&str, &str, f64); 5] = [
    ("node_network_mtu_bytes", "mtu", 1.0),
    ("node_network_speed_bytes", "speed", 125_000.0),
    ("node_network_carrier_changes_total", "carrier_changes", 1.0),
    ("node_network_carrier_up_changes_total", "carrier_up_count", 1.0),
    ("node_network_carrier_down_changes_total", "carrier_down_count", 1.0),
];

/// Interfaces whose state is read from /sys; traffic is read for all.
const INTERFACES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Network {
    dev: Source,
    interfaces: HashMap<String, Interface>,
}

#[derive(Debug)]
struct Interface {
    operstate: Source,
    carrier: Source,
    slow: [Option<f64>; SLOW.len()],
    address: String,
    fresh: bool,
    present: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self { dev: Source::new("/proc/net/dev"), interfaces: HashMap::new() }
    }
}

impl Network {
    pub(super) fn read(&mut self, slow: bool, out: &mut Series) -> Result<(), String> {
        let text = self.dev.text()?;
        for (device, counters) in text.lines().filter_map(|l| l.split_once(':')) {
            let device = device.trim();
            emit_traffic(device, counters, out);
            if !self.interfaces.contains_key(device) && self.interfaces.len() < INTERFACES_MAX {
                self.interfaces.insert(device.to_owned(), Interface::new(device));
            }
            if let Some(interface) = self.interfaces.get_mut(device) {
                interface.present = true;
                interface.emit(device, slow, out);
            }
        }
        self.interfaces.retain(|_, i| std::mem::take(&mut i.present));
        Ok(())
    }
}

impl Interface {
    fn new(device: &str) -> Self {
        let file = |name: &str| Source::new(format!("/sys/class/net/{device}/{name}"));
        Self {
            operstate: file("operstate"),
            carrier: file("carrier"),
            slow: [None; SLOW.len()],
            address: String::new(),
            fresh: true,
            present: true,
        }
    }

    fn emit(&mut self, device: &str, slow: bool, out: &mut Series) {
        if slow || self.fresh {
            self.read_slow(device);
        }
        let pairs = [("device", device)];
        let state = self.operstate.read().map(str::trim).unwrap_or("unknown");
        out.put("node_network_up", &pairs, f64::from(state == "up"));
        let info = [("address", self.address.as_str()), ("device", device), ("operstate", state)];
        out.put("node_network_info", &info, 1.0);
        // An interface that is down answers with an error instead of a number.
        if let Some(carrier) = number(&mut self.carrier) {
            out.put("node_network_carrier", &pairs, carrier);
        }
        for ((metric, _, factor), value) in SLOW.iter().zip(self.slow) {
            if let Some(value) = value {
                out.put(metric, &pairs, value * factor);
            }
        }
    }

    fn read_slow(&mut self, device: &str) {
        self.fresh = false;
        for ((_, file, _), slot) in SLOW.iter().zip(&mut self.slow) {
            // `speed` is -1 where the driver does not know it.
            *slot = number(&mut Source::new(format!("/sys/class/net/{device}/{file}"))).filter(|v| *v >= 0.0);
        }
        let address =
            crate::source::read_once(format!("/sys/class/net/{device}/address")).unwrap_or_default();
        address.trim().clone_into(&mut self.address);
    }
}

fn emit_traffic(device: &str, counters: &str, out: &mut Series) {
    let names = RECEIVE.iter().chain(&TRANSMIT);
    for (name, value) in names.zip(words(counters).map_while(parse)) {
        out.put(name, &[("device", device)], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::value;

    #[test]
    fn traffic_columns_are_in_the_order_of_the_kernel() {
        let mut out = Series::default();
        emit_traffic("eth0", " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", &mut out);
        let got = out.take();
        assert_eq!(value(&got, r#"node_network_receive_multicast_total{device="eth0"}"#), Some(8.0));
        assert_eq!(value(&got, r#"node_network_transmit_bytes_total{device="eth0"}"#), Some(9.0));
        assert_eq!(value(&got, r#"node_network_transmit_colls_total{device="eth0"}"#), Some(14.0));
    }

    #[test]
    fn loopback_of_this_machine_has_an_mtu() {
        let (mut out, mut network) = (Series::default(), Network::default());
        network.read(false, &mut out).expect("there is /proc/net/dev");
        let got = out.take();
        assert!(value(&got, r#"node_network_mtu_bytes{device="lo"}"#).expect("lo is there") >= 1280.0);
    }
}

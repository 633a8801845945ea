//! Names of line formats, which know fewer rules than Prometheus.

/// What happens to a name that Prometheus' classic rules do not allow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Names {
    /// It stays as it is (`servers.web-1.load`): PromQL selects it with quotes. Others of this field do so too.
    #[default]
    AsSent,
    /// Every other character becomes an underscore (`servers_web_1_load`).
    Classic,
}

impl Names {
    /// Appends a metric name.
    pub(crate) fn metric(self, out: &mut String, name: &str) {
        self.append(out, name, true);
    }

    /// Appends a label name.
    pub(crate) fn label(self, out: &mut String, name: &str) {
        self.append(out, name, false);
    }

    fn append(self, out: &mut String, name: &str, colons: bool) {
        if self == Self::AsSent {
            out.push_str(name);
            return;
        }
        let start = out.len();
        for c in name.chars() {
            let fits = c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
            if out.len() == start && c.is_ascii_digit() {
                out.push('_');
            }
            out.push(if fits { c } else { '_' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classic_names_are_what_prometheus_always_allowed() {
        for (name, expected) in [("a.b-c", "a_b_c"), ("1a:b", "_1a:b"), ("ü", "_"), ("", "")] {
            let mut out = String::new();
            Names::Classic.metric(&mut out, name);
            assert_eq!(out, expected);
        }
        let mut out = String::from("x");
        Names::Classic.label(&mut out, "1:b");
        assert_eq!(out, "x_1_b");
    }
}

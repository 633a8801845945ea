//! Names of OpenTelemetry as names of Prometheus.
//!
//! Source: OpenTelemetry specification, "Prometheus and OpenMetrics Compatibility", as Prometheus applies it.

/// What happens to names; the options and their effect are Prometheus' `otlp.translation_strategy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Translation {
    /// `http.server.duration` in `ms` becomes `http_server_duration_milliseconds`; counters end in `_total`.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Characters are replaced, nothing is added.
    UnderscoreEscapingWithoutSuffixes,
    /// Characters stay, unit and kind are added.
    NoUtf8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

impl Translation {
    fn escapes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes)
    }

    fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }
}

/// What a name says of its metric besides the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Gauge,
    Counter,
    Other,
}

/// The series' name; empty when nothing is left of it.
pub(super) fn metric(name: &str, unit: &str, shape: Shape, translation: Translation) -> String {
    match (translation.escapes(), translation.adds_suffixes()) {
        (true, true) => escaped_with_suffixes(name, unit, shape),
        (true, false) => {
            let parts = name.split(|c| !is_name_char(c) && c != '_').filter(|p| !p.is_empty());
            no_digit_first(parts.collect::<Vec<_>>().join("_"))
        }
        (false, true) => with_suffixes(name, unit, shape),
        (false, false) => name.to_owned(),
    }
}

fn escaped_with_suffixes(name: &str, unit: &str, shape: Shape) -> String {
    let mut parts: Vec<String> =
        name.split(|c| !is_name_char(c)).filter(|p| !p.is_empty()).map(str::to_owned).collect();
    let (main, per) = unit_words(unit);
    for word in [main, per] {
        let word: Vec<_> = word.split(|c| !is_name_char(c)).filter(|p| !p.is_empty()).collect();
        let word = word.join("_");
        if !word.is_empty() && !parts.contains(&word) {
            parts.push(word);
        }
    }
    let last = match shape {
        Shape::Counter => Some("total"),
        Shape::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(last) = last {
        parts.retain(|p| p != last);
        parts.push(last.to_owned());
    }
    no_digit_first(parts.join("_"))
}

fn with_suffixes(name: &str, unit: &str, shape: Shape) -> String {
    let kind = match shape {
        Shape::Counter => "total",
        Shape::Gauge if unit == "1" => "ratio",
        _ => "",
    };
    let (main, per) = unit_words(unit);
    let stem = without_last(without_last(name, kind), &per);
    let mut full = stem.to_owned();
    if !stem.ends_with(main.as_str()) {
        full = format!("{full}_{main}");
    }
    for word in [per.as_str(), kind] {
        if !word.is_empty() {
            full = format!("{full}_{word}");
        }
    }
    full
}

/// Without `word` at the end and the character before it.
fn without_last<'n>(name: &'n str, word: &str) -> &'n str {
    let Some(stem) = name.strip_suffix(word).filter(|_| !word.is_empty()) else { return name };
    let mut chars = stem.chars();
    match chars.next_back() {
        Some(_) if !chars.as_str().is_empty() => chars.as_str(),
        _ => name,
    }
}

/// `By/s` gives `bytes` and `per_second`. Annotations in braces are no units.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let known = |part: &str, table: &[(&str, &str)]| {
        let part = part.trim();
        if part.contains(['{', '}']) {
            return String::new();
        }
        table.iter().find(|(short, _)| *short == part).map_or(part, |(_, long)| long).to_owned()
    };
    let per = known(per, PER_UNITS);
    (known(main, UNITS), if per.is_empty() { per } else { format!("per_{per}") })
}

const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

const PER_UNITS: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// The label's name; empty when nothing is left of it.
pub(super) fn label(name: &str, translation: Translation) -> String {
    if !translation.escapes() {
        return name.to_owned();
    }
    let mut clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if clean.starts_with(|c: char| c.is_ascii_digit()) {
        clean.insert_str(0, "key_");
    } else if clean.starts_with('_') && !clean.starts_with("__") {
        clean.insert_str(0, "key");
    }
    clean
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn no_digit_first(mut name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_prometheus_makes_of_them() {
        for (name, unit, shape, expected) in [
            ("http.server.duration", "ms", Shape::Other, "http_server_duration_milliseconds"),
            ("requests.count", "1", Shape::Counter, "requests_count_total"),
            ("requests_total", "", Shape::Counter, "requests_total"),
            ("memory.usage", "By", Shape::Gauge, "memory_usage_bytes"),
            ("memory.usage_bytes", "By", Shape::Gauge, "memory_usage_bytes"),
            ("cpu.utilization", "1", Shape::Gauge, "cpu_utilization_ratio"),
            ("net.io", "By/s", Shape::Gauge, "net_io_bytes_per_second"),
            ("queue", "{items}", Shape::Gauge, "queue"),
            ("queue", "{items}/s", Shape::Gauge, "queue_per_second"),
            ("a__b..c", "", Shape::Gauge, "a_b_c"),
            ("2xx", "", Shape::Gauge, "_2xx"),
            ("temp", "Cel", Shape::Gauge, "temp_celsius"),
            ("odd", "foo.bar/baz", Shape::Gauge, "odd_foo_bar_per_baz"),
            ("...", "", Shape::Gauge, ""),
        ] {
            assert_eq!(metric(name, unit, shape, Translation::default()), expected);
        }
    }

    #[test]
    fn the_other_translations_add_less() {
        let name = "http.duration";
        let check = |t, expected| assert_eq!(metric(name, "ms", Shape::Counter, t), expected);
        check(Translation::UnderscoreEscapingWithoutSuffixes, "http_duration");
        check(Translation::NoUtf8EscapingWithSuffixes, "http.duration_milliseconds_total");
        check(Translation::NoTranslation, "http.duration");
        let with = |name| metric(name, "By/s", Shape::Counter, Translation::NoUtf8EscapingWithSuffixes);
        assert_eq!(with("net.bytes.total"), "net.bytes_per_second_total");
    }

    #[test]
    fn label_names_start_as_prometheus_allows() {
        for (name, expected) in [
            ("http.method", "http_method"),
            ("123x", "key_123x"),
            ("_private", "key_private"),
            ("__reserved__", "__reserved__"),
            ("ä", "key_"),
        ] {
            assert_eq!(label(name, Translation::default()), expected);
        }
        assert_eq!(label("http.method", Translation::NoTranslation), "http.method");
    }
}

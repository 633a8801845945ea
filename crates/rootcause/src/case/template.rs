//! Lines of logs without their variable parts, and workloads without the names of their copies.

/// What a line has in common with its like.
///
/// A line that names its place in the source (`Name#12`, `name.rs:12`) is told apart by it and its level alone; in
/// others a word that holds a digit becomes `*`.
pub(super) fn of_line(line: &str) -> String {
    let end = line.char_indices().map(|(i, _)| i).take_while(|i| *i <= LINE_BYTES_MAX).last().unwrap_or(0);
    let line = if line.len() > LINE_BYTES_MAX { line.get(..end).unwrap_or_default() } else { line };
    let words = || line.split(BETWEEN_WORDS).filter(|w| !w.is_empty());
    if let Some(place) = words().find(|w| is_source_place(w)) {
        let level = words().find(|w| LEVELS.contains(w)).unwrap_or_default();
        return format!("{level} {place}");
    }
    let mut out = String::with_capacity(line.len());
    for word in words() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(if word.bytes().any(|b| b.is_ascii_digit()) { "*" } else { word });
    }
    out
}

const BETWEEN_WORDS: [char; 13] = [' ', '\t', '\n', '[', ']', '(', ')', '{', '}', ',', '=', '"', '\\'];

/// Words by which a line says how grave it is.
const LEVELS: [&str; 6] = ["DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL"];

/// What stands beyond this many bytes of a line does not tell templates apart.
const LINE_BYTES_MAX: usize = 400;

fn is_source_place(word: &str) -> bool {
    let Some((name, number)) = word.rsplit_once(['#', ':']) else { return false };
    name.bytes().any(|b| b.is_ascii_alphabetic())
        && !name.bytes().any(|b| b.is_ascii_digit())
        && (1..=5).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

/// The workload of a pod of Kubernetes: its name without the hashes of the replica set and of the pod.
pub(super) fn workload(pod: &str) -> &str {
    let Some((rest, own)) = pod.rsplit_once('-') else { return pod };
    let Some((workload, set)) = rest.rsplit_once('-') else { return pod };
    let hash = |s: &str, len: std::ops::RangeInclusive<usize>| {
        len.contains(&s.len()) && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let is_set = hash(set, 8..=10) && set.bytes().any(|b| b.is_ascii_digit());
    if is_set && hash(own, 5..=5) { workload } else { pod }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_taken_out_and_places_in_the_source_stay() {
        let a = of_line("21:22:07.085 INFO c.Pay#34 TraceID: ca03 [pay][OrderId: ba353d6e-71ab]");
        let b = of_line("21:23:11.111 INFO c.Pay#34 TraceID: fe12 [pay][OrderId: 0042]");
        assert_eq!(a, b);
        assert_eq!(a, "INFO c.Pay#34");
        assert_ne!(of_line("c.Pay#34"), of_line("c.Pay#35"));
        assert_eq!(of_line("12:01:02 took 35ms for [a1, b]"), "* took * for * b");
    }

    #[test]
    fn a_pod_belongs_to_its_workload() {
        assert_eq!(workload("frontend-579b9bff58-t2dbm"), "frontend");
        assert_eq!(workload("ts-order-service-5b67c48447-fj8b7"), "ts-order-service");
        assert_eq!(workload("cart-service"), "cart-service");
        assert_eq!(workload("db"), "db");
    }
}

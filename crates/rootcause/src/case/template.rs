//! Lines of logs without their variable parts, and workloads without the names of their copies.

/// A line with everything that varies from one to the next taken out.
///
/// A word that holds a digit becomes `*`, unless it is a place in a source file (`Name#12`, `name.rs:12`); so does
/// what stands after a colon inside brackets (`[OrderId: …]`).
pub(super) fn of_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len().min(LINE_BYTES_MAX));
    let line = line.get(..line.floor_char_boundary(LINE_BYTES_MAX)).unwrap_or(line);
    for word in line
        .split([' ', '\t', '\n', '[', ']', '(', ')', '{', '}', ',', '=', '"', '\\'])
        .filter(|w| !w.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        let varies = word.bytes().any(|b| b.is_ascii_digit()) && !is_source_place(word);
        out.push_str(if varies { "*" } else { word });
    }
    out
}

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
        assert_eq!(a, "* INFO c.Pay#34 TraceID: * pay OrderId: *");
        assert_ne!(of_line("c.Pay#34"), of_line("c.Pay#35"));
    }

    #[test]
    fn a_pod_belongs_to_its_workload() {
        assert_eq!(workload("frontend-579b9bff58-t2dbm"), "frontend");
        assert_eq!(workload("ts-order-service-5b67c48447-fj8b7"), "ts-order-service");
        assert_eq!(workload("cart-service"), "cart-service");
        assert_eq!(workload("db"), "db");
    }
}

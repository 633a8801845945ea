//! One line of `/proc/<pid>/stat`.

/// The fields that we use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ProcStat<'a> {
    pub(crate) comm: &'a str,
    pub(crate) state: char,
    pub(crate) ppid: u32,
    pub(crate) session: u32,
    /// User and system time, clock ticks.
    pub(crate) cpu_ticks: u64,
    pub(crate) nice: i32,
    pub(crate) threads: u64,
    /// Clock ticks after the host's start.
    pub(crate) start_ticks: u64,
    pub(crate) rss_pages: u64,
    /// Wait status of a zombie; 0 when we may not know it.
    pub(crate) exit_code: i32,
}

/// Reads the line. The command name stands in parentheses and may itself hold blanks and parentheses, so the last
/// `)` counts.
pub(crate) fn parse(text: &str) -> Option<ProcStat<'_>> {
    let (before, after) = text.rsplit_once(')')?;
    let (_, comm) = before.split_once('(')?;
    let mut fields = after.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let utime: u64 = fields.nth(7)?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    let nice = fields.nth(3)?.parse().ok()?;
    let threads = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(1)?.parse().ok()?;
    let rss_pages = fields.nth(1)?.parse().unwrap_or(0);
    let exit_code = fields.nth(27).and_then(|f| f.parse().ok()).unwrap_or(0);
    Some(ProcStat {
        comm,
        state,
        ppid,
        session,
        cpu_ticks: utime.saturating_add(stime),
        nice,
        threads,
        start_ticks,
        rss_pages,
        exit_code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields numbered as in proc(5), from the fourth on.
    fn line(comm: &str) -> String {
        let fields: Vec<String> = (5..=52).map(|n| n.to_string()).collect();
        format!("42 ({comm}) S 7 {}\n", fields.join(" "))
    }

    #[test]
    fn fields_are_those_of_the_manual() {
        let text = line("sleep");
        let got = parse(&text).expect("a whole line");
        assert_eq!((got.comm, got.state, got.ppid), ("sleep", 'S', 7));
        assert_eq!((got.session, got.cpu_ticks, got.nice), (6, 14 + 15, 19));
        assert_eq!((got.threads, got.start_ticks, got.rss_pages, got.exit_code), (20, 22, 24, 52));
    }

    #[test]
    fn a_command_name_may_look_like_the_end_of_itself() {
        let text = line("a) S 1 (b");
        assert_eq!(parse(&text).map(|s| (s.comm, s.ppid)), Some(("a) S 1 (b", 7)));
    }

    #[test]
    fn half_a_line_is_no_process() {
        for bad in ["", "42", "42 (x) S", "42 (x) S 1 2 3"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

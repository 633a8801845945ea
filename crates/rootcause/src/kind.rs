//! What a metric measures, and which way it moves when things get worse, read from its name.
//!
//! The words are those of the field (OpenMetrics, the RED and USE methods, cloud providers' catalogues); nothing here
//! names a product. A name that says nothing is [`MetricKind::Other`], for which any move counts a little.

/// What a metric measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricKind {
    /// How long the entity takes to answer.
    Latency,
    /// How long the entity waits for those that it calls.
    CalleeLatency,
    /// Failures: a count, a rate or a share.
    Errors,
    /// Share of answers that are right, or of time that it is up.
    Availability,
    /// Work that arrives or is done.
    Traffic,
    /// Share of a resource's capacity in use.
    Utilisation,
    /// Amount of a resource in use, with unknown capacity.
    Resource,
    /// What is left of a resource.
    Headroom,
    /// Work that waits.
    Queue,
    /// The name says nothing.
    Other,
}

/// Which way a metric moves when things get worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More is worse.
    Up,
    /// Less is worse.
    Down,
    /// Either way is news.
    Both,
}

/// Words of each kind, tried from the top; the first kind with a hit wins.
///
/// Availability stands before errors and traffic (`success_rate`, `requests_ok_ratio`), queues before traffic.
const WORDS: &[(MetricKind, &[&str])] = &[
    (MetricKind::Availability, &["availability", "success", "uptime", "healthy"]),
    (
        MetricKind::Errors,
        &["error", "fail", "exception", "5xx", "4xx", "fault", "dropped", "timeout", "refused", "retrans"],
    ),
    (
        MetricKind::Latency,
        &["latency", "duration", "response_time", "responsetime", "elapsed", "rtt", "delay"],
    ),
    (MetricKind::Queue, &["queue", "backlog", "pending", "waiting", "pressure", "throttl", "lag"]),
    (
        MetricKind::Resource,
        &[
            "cpu",
            "memory",
            "mem",
            "heap",
            "rss",
            "disk",
            "filesystem",
            "descriptor",
            "fds",
            "thread",
            "connections",
            "swap",
            "inode",
            "load_average",
            "load1",
            "load5",
        ],
    ),
    (
        MetricKind::Traffic,
        &[
            "request",
            "workload",
            "ops",
            "qps",
            "rps",
            "throughput",
            "traffic",
            "bytes",
            "packets",
            "receive",
            "transmit",
            "syscall",
            "count",
            "calls",
            "hits",
        ],
    ),
];

/// Parts of a name that say: this is a share of a capacity.
const SHARES: &[&str] = &["rate(%)", "(%)", "percent", "ratio", "utilisation", "utilization", "pct"];

/// Parts of a name that say: this is what is left.
const LEFT: &[&str] = &["avail", "free", "idle", "remaining"];

impl MetricKind {
    /// The kind that a metric's name tells.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|w| name.contains(w));
        if name == "up" || name.ends_with("_up") {
            return Self::Availability;
        }
        let kind = WORDS.iter().find(|(_, words)| has(words)).map_or(Self::Other, |(kind, _)| *kind);
        match kind {
            Self::Latency if name.contains("client") || name.contains("upstream") => Self::CalleeLatency,
            Self::Resource if has(LEFT) => Self::Headroom,
            Self::Resource if has(SHARES) => Self::Utilisation,
            kind => kind,
        }
    }

    /// Which way it moves when things get worse.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::Latency
            | Self::CalleeLatency
            | Self::Errors
            | Self::Utilisation
            | Self::Resource
            | Self::Queue => Direction::Up,
            Self::Availability | Self::Headroom => Direction::Down,
            Self::Traffic | Self::Other => Direction::Both,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_houses_are_understood() {
        for (name, kind) in [
            ("CpuUsageRate(%)", MetricKind::Utilisation),
            ("node_memory_used_ratio", MetricKind::Utilisation),
            ("MemoryUsage(Mi)", MetricKind::Resource),
            ("PodServerLatencyP90(s)", MetricKind::Latency),
            ("PodClientLatencyP90(s)", MetricKind::CalleeLatency),
            ("http_request_duration_seconds", MetricKind::Latency),
            ("availability", MetricKind::Availability),
            ("PodSuccessRate(%)", MetricKind::Availability),
            ("http_requests_total", MetricKind::Traffic),
            ("http_request_errors_total", MetricKind::Errors),
            ("NetworkReceiveBytes", MetricKind::Traffic),
            ("run_queue_length", MetricKind::Queue),
            ("wellkept_service_up", MetricKind::Availability),
            ("node_memory_MemAvailable_bytes", MetricKind::Headroom),
            ("node_filesystem_avail_bytes", MetricKind::Headroom),
            ("zorg", MetricKind::Other),
        ] {
            assert_eq!(MetricKind::of_name(name), kind, "{name}");
        }
    }

    #[test]
    fn less_availability_is_worse_and_traffic_is_news_either_way() {
        assert_eq!(MetricKind::Availability.direction(), Direction::Down);
        assert_eq!(MetricKind::Traffic.direction(), Direction::Both);
    }
}

//! Writes a good body for each target into `corpus/<target>/`, for the fuzzer to begin with.

use wellkept_fuzz::judge::bodies::good;
use wellkept_fuzz::judge::doors::Door;
use wellkept_fuzz::logs;
use wellkept_intake::otlp;
use wellkept_intake::remote_write::Version;
use wellkept_intake::text::Format;
use wellkept_intake::unpack::Encoding;
use wellkept_logintake::loki;

fn main() -> std::io::Result<()> {
    let seeds = [
        ("intake_remote_write_v1", Door::RemoteWrite(Version::V1, Encoding::Identity)),
        ("intake_remote_write_v2", Door::RemoteWrite(Version::V2, Encoding::Identity)),
        ("intake_snappy", Door::RemoteWrite(Version::V1, Encoding::Snappy)),
        ("intake_zstd", Door::RemoteWrite(Version::V1, Encoding::Zstd)),
        ("intake_import", Door::Import),
        ("intake_prometheus", Door::Text(Format::Prometheus)),
        ("intake_openmetrics", Door::Text(Format::OpenMetrics)),
        ("intake_exposition", Door::Text(Format::Protobuf)),
        ("intake_otlp", Door::Otlp(otlp::Format::Protobuf)),
        ("intake_otlp_json", Door::Otlp(otlp::Format::Json)),
        ("intake_influx", Door::Influx),
        ("intake_graphite", Door::Graphite),
        ("intake_statsd", Door::StatsD),
    ];
    for (target, door) in seeds {
        let folder = std::path::Path::new("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("seed"), good(door))?;
    }
    let log_seeds = [
        ("logintake_plain", logs::Door::Plain),
        ("logintake_syslog", logs::Door::Syslog),
        ("logintake_syslog_stream", logs::Door::SyslogStream),
        ("logintake_otlp", logs::Door::Otlp(otlp::Format::Protobuf)),
        ("logintake_otlp_json", logs::Door::Otlp(otlp::Format::Json)),
        ("logintake_loki_json", logs::Door::Loki(loki::Format::Json, Encoding::Identity)),
        ("logintake_bulk", logs::Door::Bulk),
        ("logintake_journal", logs::Door::Journal),
        ("logintake_inside", logs::Door::Inside),
    ];
    for (target, door) in log_seeds {
        let folder = std::path::Path::new("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("seed"), logs::good(door))?;
    }
    Ok(())
}

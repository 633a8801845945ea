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
    for (target, seed) in FLEET {
        let folder = std::path::Path::new("corpus").join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("seed"), seed)?;
    }
    let sealed = wellkept_playbook::vault::seal(b"plain", wellkept_fuzz::fleet::PASSWORD, None, &[7; 32]);
    let folder = std::path::Path::new("corpus/playbook_vault");
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("seed"), sealed)
}

/// What people write.
const FLEET: [(&str, &str); 6] = [
    (
        "inventory_ini",
        "a[01:03].x ansible_host=1.2.3.4 n='x y'\n[web]\nh1:22\n[web:vars]\nk=[1, {'a': None}]\n[all:children]\nweb\n",
    ),
    (
        "inventory_yaml",
        "all: {children: {web: {hosts: {'h[1:3]': {k: !vault x}}, vars: {a: &x [1, 2], b: *x}}}}\n",
    ),
    (
        "playbook_yaml",
        "- hosts: all\n  gather_facts: no\n  vars: {a: '{{ b }}', b: 3}\n  tasks:\n    - block:\n        - command: echo {{ item }}\n          loop: '{{ range(3) }}'\n          register: r\n          when: a == 3\n          notify: h\n      rescue: [{debug: {msg: '{{ r }}'}}]\n      always: [{set_fact: {x: '{{ r.results | map(attribute=\"stdout\") | list }}'}}]\n  handlers: [{name: h, meta: flush_handlers}]\n",
    ),
    (
        "playbook_template",
        "{% for i in l if i is defined %}{{ loop.index ~ (i | default('x', true)) }}{% else %}{% endfor %}{% set y = m.k[0:2] | map('string') | join(',') %}{% macro f(a, b=2) %}{{ a ** b // 3 }}{% endmacro %}{{ f(2) if x > 1 else told }}{{ '%05.2f' % 1.5 }}{{ t | regex_replace('(a+)', '\\1') | b64encode | to_json }}",
    ),
    (
        "fleet_frames",
        "\u{1}\0\0\0\0\0\0\0\u{7}{\"call\":{\"module\":\"copy\",\"args\":{},\"check\":false,\"diff\":false,\"environment\":[]},\"background_seconds\":3,\"after\":1,\"needs\":[1]}",
    ),
    ("agent_wire", "{\"lines\":[{\"at_ns\":1,\"labels\":[[\"a\",\"b\"]],\"text\":\"x\"}]}"),
];

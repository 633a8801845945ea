//! `docker_container`, `docker_image` and `docker_network`, over the socket of the engine.

mod container;
mod engine;
mod image;
mod network;
mod wanted;

use crate::spec::{Arg, Kind, ModuleSpec, flag, int, list, map as map_arg, maybe, path, raw, text};

const CONTAINER_ARGS: &[Arg] = &[
    text("name").required(),
    text("docker_host").or("unix:///var/run/docker.sock").aka(&["docker_url"]),
    int("timeout").or_int(60),
    text("state").or("started").one_of(&["absent", "present", "healthy", "stopped", "started"]),
    text("image"),
    raw("command"),
    list("entrypoint"),
    map_arg("env"),
    list("published_ports").aka(&["ports"]),
    list("exposed_ports").aka(&["exposed", "expose"]),
    list("volumes"),
    map_arg("labels"),
    text("restart_policy").one_of(&["always", "no", "on-failure", "unless-stopped"]),
    int("restart_retries"),
    text("network_mode"),
    Arg::new("networks", Kind::List).of(Kind::Map),
    text("user"),
    text("working_dir"),
    text("hostname"),
    text("memory"),
    maybe("privileged"),
    maybe("read_only"),
    maybe("init"),
    flag("recreate", false),
    flag("restart", false),
    raw("pull").or("missing"),
    flag("force_kill", false).aka(&["forcekill"]),
    flag("keep_volumes", true),
    int("stop_timeout"),
    list("capabilities"),
    list("cap_drop"),
    text("log_driver"),
    map_arg("log_options").aka(&["log_opt"]),
    list("dns_servers"),
    map_arg("etc_hosts"),
    raw("cpus"),
    text("shm_size"),
    text("memory_swap"),
    list("tmpfs"),
    list("devices"),
    list("security_opts"),
    list("groups"),
    map_arg("sysctls"),
    map_arg("healthcheck"),
    raw("healthy_wait_timeout").or_int(300),
    maybe("auto_remove"),
    maybe("interactive"),
    maybe("tty"),
    text("pid_mode"),
    text("ipc_mode"),
    path("env_file"),
    flag("detach", true),
    flag("cleanup", false),
    flag("purge_networks", false),
    raw("comparisons"),
    // Said by many roles for older versions of the module; what they ask for is how it is done here.
    text("container_default_behavior"),
    flag("networks_cli_compatible", true),
];

pub(crate) const CONTAINER: ModuleSpec = ModuleSpec::new("docker_container", CONTAINER_ARGS, container::run);

pub(crate) const IMAGE: ModuleSpec = ModuleSpec::new(
    "docker_image",
    &[
        text("name").required(),
        text("tag").or("latest"),
        text("docker_host").or("unix:///var/run/docker.sock").aka(&["docker_url"]),
        int("timeout").or_int(60),
        text("state").or("present").one_of(&["absent", "present"]),
        text("source").one_of(&["build", "load", "pull", "local"]),
        flag("force_source", false),
        flag("force_absent", false),
        flag("force_tag", false),
        text("repository"),
        flag("push", false),
        path("load_path"),
    ],
    image::run,
);

pub(crate) const NETWORK: ModuleSpec = ModuleSpec::new(
    "docker_network",
    &[
        text("name").required().aka(&["network_name"]),
        text("docker_host").or("unix:///var/run/docker.sock").aka(&["docker_url"]),
        int("timeout").or_int(60),
        text("state").or("present").one_of(&["absent", "present"]),
        text("driver").or("bridge"),
        map_arg("driver_options"),
        map_arg("labels"),
        maybe("internal"),
        maybe("attachable"),
        list("connected").aka(&["containers"]),
        flag("appends", false).aka(&["incremental"]),
        flag("force", false),
        Arg::new("ipam_config", Kind::List).of(Kind::Map),
    ],
    network::run,
);

/// How often the engine is asked while something is waited for.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

#[expect(clippy::disallowed_methods, reason = "waiting is measured where it happens")]
fn tick() -> std::time::Instant {
    std::time::Instant::now()
}

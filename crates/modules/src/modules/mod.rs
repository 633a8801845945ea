//! The list of modules; each has a file.

mod apt;
mod assemble;
mod blockinfile;
mod certificates;
mod command;
mod copy;
mod copy_place;
mod copy_remote;
mod cron;
mod databases;
mod docker;
mod facts;
mod file;
mod file_times;
mod find;
mod get_url;
mod git;
mod group;
mod ini_file;
mod inventory;
mod iptables;
mod known_hosts;
mod lineinfile;
mod mount;
mod package;
mod pip;
mod replace;
mod repository;
mod script;
pub(crate) mod slurp;
mod settings;
mod stat;
mod systemd;
mod tempfile;
mod unarchive;
mod unzip;
mod uri;
mod url;
mod user;
mod wait_for;

use crate::spec::ModuleSpec;

/// All modules.
pub(crate) const KNOWN: &[ModuleSpec] = &[
    command::COMMAND,
    command::SHELL,
    script::RAW,
    script::SCRIPT,
    copy::SPEC,
    file::SPEC,
    stat::SPEC,
    lineinfile::SPEC,
    blockinfile::SPEC,
    replace::SPEC,
    slurp::SLURP,
    slurp::FETCH,
    tempfile::SPEC,
    find::SPEC,
    assemble::SPEC,
    get_url::SPEC,
    uri::SPEC,
    unarchive::SPEC,
    wait_for::SPEC,
    facts::SPEC,
    facts::PING,
    systemd::SPEC,
    systemd::SERVICE,
    group::SPEC,
    group::GETENT,
    user::SPEC,
    cron::SPEC,
    git::SPEC,
    pip::SPEC,
    apt::SPEC,
    package::PACKAGE,
    package::DNF,
    known_hosts::SPEC,
    known_hosts::AUTHORIZED,
    ini_file::SPEC,
    settings::SYSCTL,
    settings::MODPROBE,
    settings::HOSTNAME,
    settings::TIMEZONE,
    settings::LOCALE_GEN,
    settings::ALTERNATIVES,
    settings::DEBCONF,
    iptables::SPEC,
    iptables::UFW,
    iptables::FIREWALLD,
    inventory::PACKAGES,
    inventory::SERVICES,
    inventory::REBOOT,
    repository::REPOSITORY,
    repository::KEY,
    repository::DEB822,
    mount::SPEC,
    mount::ACL,
    mount::CAPABILITIES,
    mount::PAM_LIMITS,
    docker::CONTAINER,
    docker::IMAGE,
    docker::NETWORK,
    databases::ALL[0],
    databases::ALL[1],
    databases::ALL[2],
    databases::ALL[3],
    databases::ALL[4],
    databases::ALL[5],
    certificates::ALL[0],
    certificates::ALL[1],
    certificates::ALL[2],
];

//! The list of modules; each has a file.

mod apt;
mod assemble;
mod blockinfile;
mod command;
mod copy;
mod copy_place;
mod copy_remote;
mod cron;
mod facts;
mod file;
mod file_times;
mod find;
mod get_url;
mod git;
mod group;
mod lineinfile;
mod package;
mod pip;
mod replace;
mod script;
pub(crate) mod slurp;
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
];

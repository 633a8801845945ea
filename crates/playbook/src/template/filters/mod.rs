//! Filters: Jinja's and ansible-core's, one file for each kind.

pub(crate) mod basic;
mod data;
mod hashes;
pub(crate) mod lists;
pub(crate) mod maps;
mod numbers;
pub(crate) mod paths;
mod select;
mod sets;
pub(crate) mod sort;
pub(crate) mod texts;
mod times;

use std::rc::Rc;

use super::args::Args;
use super::error::{Result, TemplateError};
use super::interp::Interp;
use super::regexes;
use super::value::Val;

/// Filters that take a value as it stands: undefined, or with entries nobody has looked at.
const AS_IT_STANDS: [&str; 21] = [
    "default",
    "d",
    "mandatory",
    "type_debug",
    "first",
    "last",
    "length",
    "count",
    "map",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "ternary",
    "extract",
    "list",
    "items",
    "attr",
    "combine",
    "bool",
    "groupby",
];

/// Name and tables of all filters, for checks before a run.
pub(crate) fn is_known(name: &str) -> bool {
    let name = short(name);
    [
        basic::NAMES,
        data::NAMES,
        hashes::NAMES,
        lists::NAMES,
        maps::NAMES,
        numbers::NAMES,
        paths::NAMES,
        select::NAMES,
        sets::NAMES,
        sort::NAMES,
        texts::NAMES,
        times::NAMES,
        regexes::NAMES,
    ]
    .iter()
    .any(|names| names.contains(&name))
}

/// A name without `ansible.builtin.` or `ansible.legacy.`.
pub(crate) fn short(name: &str) -> &str {
    let name = name
        .strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .unwrap_or(name);
    match name {
        "community.general.json_query" => "json_query",
        "ansible.utils.ipaddr" | "ansible.netcommon.ipaddr" => "ipaddr",
        other => other,
    }
}

/// Applies a filter.
pub(crate) fn apply(
    interp: &mut Interp<'_, '_>,
    name: &Rc<str>,
    value: Val,
    positional: Vec<Val>,
    named: Vec<(Rc<str>, Val)>,
) -> Result<Val> {
    let session = interp.session;
    session.charge(1)?;
    let short = short(name);
    let value =
        if AS_IT_STANDS.contains(&short) { session.resolve(&value)? } else { session.force(&value)? };
    let args = Args { session, what: short.into(), positional, named };
    if select::NAMES.contains(&short) {
        return select::apply(interp, short, &value, &args);
    }
    let found = if basic::NAMES.contains(&short) {
        basic::apply(short, &value, &args)
    } else if texts::NAMES.contains(&short) {
        texts::apply(short, &value, &args)
    } else if lists::NAMES.contains(&short) {
        lists::apply(short, &value, &args)
    } else if maps::NAMES.contains(&short) {
        maps::apply(short, &value, &args)
    } else if sets::NAMES.contains(&short) {
        sets::apply(short, &value, &args)
    } else if data::NAMES.contains(&short) {
        data::apply(short, &value, &args)
    } else if regexes::NAMES.contains(&short) {
        regexes::apply(short, &value, &args)
    } else if numbers::NAMES.contains(&short) {
        numbers::apply(short, &value, &args)
    } else if paths::NAMES.contains(&short) {
        paths::apply(short, &value, &args)
    } else if hashes::NAMES.contains(&short) {
        hashes::apply(short, &value, &args)
    } else if times::NAMES.contains(&short) {
        times::apply(short, &value, &args)
    } else if sort::NAMES.contains(&short) {
        sort::apply(short, &value, &args)
    } else {
        return Err(TemplateError::Refused(format!("No filter named '{name}'.")));
    };
    found.map_err(|error| match error {
        TemplateError::Value(text) => {
            TemplateError::Value(format!("The filter plugin 'ansible.builtin.{short}' failed: {text}"))
        }
        other => other,
    })
}

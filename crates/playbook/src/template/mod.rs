//! Templates: Jinja's language with Python's values and Ansible's filters, tests and lookups.
//!
//! The engine is our own and not a general one, because playbooks lean on what is Python in it: lists that are
//! changed in place, `%` formatting, unknown escapes in quotes, undefined names that can be walked through until they
//! are used, `str()` of lists. Everything is bounded: steps, depth, sizes. Only texts that were written by the
//! playbook's author are templates; what a template or a host gave is data.

mod args;
mod ast;
mod convert;
mod early;
mod error;
mod escape;
mod expr;
mod filters;
mod globals;
mod header;
mod interp;
mod json;
mod lexer;
mod lookups;
mod methods;
mod moment;
mod ops;
mod parser;
mod printf;
mod regexes;
mod scope;
mod session;
mod show;
mod statements;
mod tables;
mod tests;
mod value;
mod versions;
mod yaml;

pub(crate) use early::Early;
pub use error::TemplateError;
pub use lexer::Syntax;
pub use scope::{Outside, Scope, ScopeRef};
pub use session::{DEPTH_MAX, Engine, STEPS_MAX, Session, TEXT_BYTES_MAX};

/// Whether there is a filter of this name.
pub fn knows_filter(name: &str) -> bool {
    filters::is_known(name)
}

/// Whether there is a test of this name.
pub fn knows_test(name: &str) -> bool {
    tests::NAMES.contains(&tests::short(name))
}

/// Whether there is a lookup of this name.
pub fn knows_lookup(name: &str) -> bool {
    lookups::is_known(tests::short(name))
}

/// A stored value as JSON with sorted keys.
pub(crate) fn dump_json(value: &wellkept_inventory::Value, indent: Option<usize>) -> String {
    json::dump(&convert::data(value), indent, false, true).unwrap_or_default()
}

/// A stored value as Python's `str` shows it.
pub(crate) fn show_python(value: &wellkept_inventory::Value) -> String {
    show::text(&convert::data(value))
}

/// Python's name of a value's type.
pub(crate) fn type_name(value: &wellkept_inventory::Value) -> &'static str {
    convert::data(value).type_name()
}

/// `<class 'str'>`.
pub(crate) fn quoted_type(value: &wellkept_inventory::Value) -> String {
    format!("<class '{}'>", type_name(value))
}

/// Whether a text fits a shell pattern.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    lookups::fits(pattern, text)
}

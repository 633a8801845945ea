//! Stored values as JSON and as Python shows them.

use wellkept_inventory::Value;

use crate::template;

/// JSON with sorted keys; `indent` spaces, or one line.
pub(crate) fn dump(value: &Value, indent: Option<usize>) -> String {
    template::dump_json(value, indent)
}

/// `str(value)` in Python.
pub(crate) fn python(value: &Value) -> String {
    template::show_python(value)
}

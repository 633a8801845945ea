//! Finds the module, checks its arguments, runs it, completes its result.

use serde_json::{Map, Value};

use crate::base::result::PLAIN;
use crate::base::task::Environment;
use crate::base::{Fail, Task, attributes, check, python};
use crate::call::{Call, Source};
use crate::context::Context;
use crate::modules::KNOWN;
use crate::spec::ModuleSpec;

/// Names that [`run`] knows, with the arguments of each.
pub fn known() -> &'static [ModuleSpec] {
    KNOWN
}

/// The module with this short name (or one of its other names), so that arguments can be checked before the first task.
pub fn find(name: &str) -> Option<&'static ModuleSpec> {
    KNOWN.iter().find(|spec| spec.name == name || spec.also.contains(&name))
}

/// Runs one module. The result is Ansible's result map: `changed`, `failed`, `msg`, `rc`, `stdout`, `diff`, … as
/// ansible-core 2.19 gives it. Failures are results too.
pub fn run(call: &Call, source: &dyn Source, ctx: &mut Context) -> Map<String, Value> {
    let Some(spec) = find(&call.module) else {
        let known: Vec<&str> = KNOWN.iter().map(|spec| spec.name).collect();
        let msg = format!("The module {} is not one of: {}", call.module, known.join(", "));
        return Fail::new(msg).into_map();
    };
    let environment = Environment { call, root: &ctx.root };
    let (args, warnings) = match check::check(spec, &call.args, &environment) {
        Ok(checked) => checked,
        Err(fail) => {
            let mut result = fail.into_map();
            complete(&mut result);
            return result;
        }
    };
    if call.check && !spec.checks {
        let msg = format!("remote module ({}) does not support check mode", spec.name);
        return crate::base::map([("skipped", true.into()), ("msg", msg.into()), ("changed", false.into())]);
    }
    let mut task = Task { call, args, source, ctx, warnings };
    let mut result = (spec.run)(&mut task).unwrap_or_else(Fail::into_map);
    if result.remove(PLAIN).is_none() && spec.tells_file {
        attributes::tell(&task, &mut result);
    }
    complete(&mut result);
    if !task.warnings.is_empty() {
        result.insert("warnings".to_owned(), task.warnings.clone().into());
    }
    hide(spec, &task, &mut result);
    result
}

/// Lines of outputs, and `changed` where the module had nothing to say of it.
fn complete(result: &mut Map<String, Value>) {
    for (text, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
        if let Some(Value::String(said)) = result.get(text)
            && !result.contains_key(lines)
        {
            let said = python::lines(said);
            result.insert(lines.to_owned(), said.into());
        }
    }
    result.entry("changed").or_insert(Value::Bool(false));
}

/// Values of secret arguments never come back.
fn hide(spec: &ModuleSpec, task: &Task<'_>, result: &mut Map<String, Value>) {
    let secrets: Vec<String> = spec
        .all_args()
        .filter(|arg| arg.secret && arg.name != "content")
        .filter_map(|arg| task.args.filled(arg.name).map(str::to_owned))
        .collect();
    if !secrets.is_empty() {
        result.values_mut().for_each(|value| hide_in(value, &secrets));
    }
}

fn hide_in(value: &mut Value, secrets: &[String]) {
    match value {
        Value::String(text) => {
            for secret in secrets {
                if text == secret {
                    *text = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER".to_owned();
                } else if text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), "********");
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide_in(item, secrets)),
        Value::Object(map) => map.values_mut().for_each(|item| hide_in(item, secrets)),
        _ => {}
    }
}

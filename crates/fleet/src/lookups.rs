//! Lookups that start programs on the controller: what templates of the playbook's author ask for.

use std::io::Read;
use std::process::{Command, Stdio};

use wellkept_inventory::Value;

use crate::values::key_text;

/// The most that a program may print, bytes.
const OUTPUT_MAX: u64 = 16 * 1024 * 1024;

/// Answers `pipe`; `None` for lookups that are not known here.
pub fn answer(
    name: &str,
    terms: &[Value],
    _options: &[(String, Value)],
) -> Option<Result<Vec<Value>, String>> {
    match name.rsplit('.').next().unwrap_or_default() {
        "pipe" => Some(terms.iter().map(|term| pipe(&key_text(term))).collect()),
        _ => None,
    }
}

fn pipe(line: &str) -> Result<Value, String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(OUTPUT_MAX).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() {
        let code = status.code().unwrap_or(-1);
        return Err(format!("lookup_plugin.pipe({line}) returned {code}"));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Value::Unsafe(text.trim_end_matches(['\n', '\r', ' ', '\t']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_prints_is_data() {
        let asked = |line: &str| answer("ansible.builtin.pipe", &[Value::Text(line.to_owned())], &[]);
        assert_eq!(asked("echo '{{ x }}'"), Some(Ok(vec![Value::Unsafe("{{ x }}".to_owned())])));
        assert!(asked("exit 3").is_some_and(|a| a.is_err_and(|e| e.contains("returned 3"))));
        assert!(answer("nope", &[], &[]).is_none());
    }
}

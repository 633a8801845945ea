//! `template`: rendered here, because the variables are here; what crosses is a `copy` with content.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value as Json;
use wellkept_inventory::{FILE_BYTES_MAX, Value};
use wellkept_playbook::run::Work;
use wellkept_playbook::template::{Engine, Scope, ScopeRef, Syntax};

use super::assign::{flag, text};
use super::files;
use crate::values::{JsonMap, failed};

/// Arguments that only rendering needs.
const RENDERING: &[&str] = &[
    "newline_sequence",
    "block_start_string",
    "block_end_string",
    "variable_start_string",
    "variable_end_string",
    "comment_start_string",
    "comment_end_string",
    "trim_blocks",
    "lstrip_blocks",
    "output_encoding",
    "_original_basename",
];

/// Names that are seen in a template besides the task's.
struct Over {
    inner: ScopeRef,
    names: Vec<(&'static str, Arc<Value>)>,
}

impl Scope for Over {
    fn get(&self, name: &str) -> Option<Arc<Value>> {
        let own = self.names.iter().find(|(key, _)| *key == name).map(|(_, value)| Arc::clone(value));
        match name {
            // What the play says wins over what Ansible would say.
            "ansible_managed" => self.inner.get(name).or(own),
            _ => own.or_else(|| self.inner.get(name)),
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.inner.names();
        names.extend(self.names.iter().map(|(name, _)| (*name).to_owned()));
        names
    }

    fn host(&self, name: &str) -> Option<ScopeRef> {
        self.inner.host(name)
    }

    fn search_path(&self) -> Vec<String> {
        self.inner.search_path()
    }

    fn hosts(&self) -> Vec<String> {
        self.inner.hosts()
    }
}

/// Renders `src` and leaves the arguments of a `copy`.
pub(super) fn render(engine: &Engine, work: &Work, args: &mut JsonMap) -> Result<(), JsonMap> {
    let name = text(args, "src").ok_or_else(|| failed("src and dest are required"))?;
    let path = files::find(work, "templates", &name)?;
    let shown = path.display().to_string();
    let said = |why: String| failed(format!("{shown}: {why}"));
    let (_, bytes) = engine.files.read(&shown, FILE_BYTES_MAX + 1).map_err(said)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(said(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    let bytes = match bytes.starts_with(b"$ANSIBLE_VAULT") {
        true => engine.files.unseal(&shown, &bytes).map_err(said)?.unwrap_or(bytes),
        false => bytes,
    };
    let source = String::from_utf8(bytes).map_err(|_| said("it is not UTF-8 text".to_owned()))?;
    let scope = Rc::new(Over { inner: Rc::clone(&work.scope), names: names(&path, args) });
    let session = engine.session(scope);
    let rendered = session
        .file(&source, &syntax(args))
        .map_err(|error| failed(format!("{error} (template {shown}, line {})", session.line())))?;
    let ends = text(args, "newline_sequence").map(|s| s.replace("\\n", "\n").replace("\\r", "\r"));
    let rendered = match ends.as_deref() {
        None | Some("\n") => rendered,
        Some(end) => rendered.replace('\n', end),
    };
    args.retain(|name, _| !RENDERING.contains(&name.as_str()) && name != "src");
    args.insert("content".to_owned(), Json::String(rendered));
    // Into a folder it goes under the template's own name.
    if text(args, "dest").is_some_and(|dest| dest.ends_with('/')) {
        let base = path.file_name().unwrap_or_default().to_string_lossy();
        let dest = format!("{}{base}", text(args, "dest").unwrap_or_default());
        args.insert("dest".to_owned(), Json::String(dest));
    }
    Ok(())
}

fn names(path: &Path, args: &JsonMap) -> Vec<(&'static str, Arc<Value>)> {
    let word = |text: String| Arc::new(Value::Unsafe(text));
    let full = path.display().to_string();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    vec![
        ("ansible_managed", word("Ansible managed".to_owned())),
        ("template_host", word(host)),
        ("template_path", word(text(args, "src").unwrap_or_else(|| full.clone()))),
        ("template_fullpath", word(full)),
        ("template_destpath", word(text(args, "dest").unwrap_or_default())),
    ]
}

fn syntax(args: &JsonMap) -> Syntax {
    let mut syntax = Syntax::of_files();
    for (name, slot) in [
        ("variable_start_string", &mut syntax.variable_start),
        ("variable_end_string", &mut syntax.variable_end),
        ("block_start_string", &mut syntax.block_start),
        ("block_end_string", &mut syntax.block_end),
        ("comment_start_string", &mut syntax.comment_start),
        ("comment_end_string", &mut syntax.comment_end),
    ] {
        if let Some(mark) = text(args, name) {
            *slot = mark;
        }
    }
    syntax.trim_blocks = flag(args, "trim_blocks", true);
    syntax.lstrip_blocks = flag(args, "lstrip_blocks", false);
    syntax.keep_trailing_newline = true;
    syntax
}

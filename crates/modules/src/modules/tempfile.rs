//! `tempfile`: a new file or folder with a name of its own.

use std::path::Path;

use crate::base::{Done, Task, fail, files, map, python};
use crate::spec::{Arg, ModuleSpec, path, text};

const ARGS: &[Arg] = &[
    text("state").or("file").one_of(&["file", "directory"]),
    path("path"),
    text("prefix").or("ansible."),
    text("suffix").or(""),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("tempfile", ARGS, run).no_check();

fn run(task: &mut Task<'_>) -> Done {
    for name in ["prefix", "suffix"] {
        let part = task.args.or_empty(name);
        if part != files::basename(part) {
            return fail(format!("{name} must be a valid file name component, got {}", python::quoted(part)));
        }
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(task.args.or_empty("prefix")).suffix(task.args.or_empty("suffix")).rand_bytes(8);
    let folder = match task.args.filled("path") {
        Some(path) => Path::new(path).to_owned(),
        None => std::env::temp_dir(),
    };
    let made = if task.args.text("state") == Some("file") {
        builder.tempfile_in(&folder).and_then(|file| Ok(file.keep().map_err(|refused| refused.error)?.1))
    } else {
        builder.tempdir_in(&folder).map(tempfile::TempDir::keep)
    };
    match made {
        Ok(path) => Ok(map([("changed", true.into()), ("path", files::shown(&path).into())])),
        Err(error) => {
            let code = std::io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(2));
            fail(format!("{}: '{}'", python::errno(&code), files::shown(&folder)))
        }
    }
}

//! What the file system says of a file, under the names that `stat` and `find` give it.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use serde_json::{Map, Value};

use super::map;

/// What both modules tell.
pub(crate) fn facts(meta: &Metadata) -> Map<String, Value> {
    let (mode, kind) = (meta.mode(), meta.file_type());
    let bit = |bit: u32| Value::Bool(mode & bit != 0);
    let time = |seconds: i64, nanos: i64| Value::from(seconds as f64 + nanos as f64 / 1e9);
    map([
        ("mode", format!("{:04o}", mode & 0o7777).into()),
        ("isdir", kind.is_dir().into()),
        ("ischr", kind.is_char_device().into()),
        ("isblk", kind.is_block_device().into()),
        ("isreg", kind.is_file().into()),
        ("isfifo", kind.is_fifo().into()),
        ("islnk", kind.is_symlink().into()),
        ("issock", kind.is_socket().into()),
        ("uid", meta.uid().into()),
        ("gid", meta.gid().into()),
        ("size", meta.size().into()),
        ("inode", meta.ino().into()),
        ("dev", meta.dev().into()),
        ("nlink", meta.nlink().into()),
        ("atime", time(meta.atime(), meta.atime_nsec())),
        ("mtime", time(meta.mtime(), meta.mtime_nsec())),
        ("ctime", time(meta.ctime(), meta.ctime_nsec())),
        ("wusr", bit(0o200)),
        ("rusr", bit(0o400)),
        ("xusr", bit(0o100)),
        ("wgrp", bit(0o020)),
        ("rgrp", bit(0o040)),
        ("xgrp", bit(0o010)),
        ("woth", bit(0o002)),
        ("roth", bit(0o004)),
        ("xoth", bit(0o001)),
        ("isuid", bit(0o4000)),
        ("isgid", bit(0o2000)),
    ])
}

//! Asks the kernel whether anybody else has a file open.
//!
//! A write lease is only given to the one who alone has the file open, in whatever process, container or mapping. So
//! being given one proves what a look through `/proc` can only make likely. It is given back at once.

use std::os::fd::AsFd;

use rustix::fs::{Mode, OFlags, openat};
pub(crate) use wellkept_kernel::Use;

/// Whether anybody has the file `name` in `dir` open.
pub(crate) fn use_of(dir: impl AsFd, name: impl rustix::path::Arg) -> Use {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = openat(dir, name, flags, Mode::empty()) else { return Use::Untold };
    wellkept_kernel::use_of_file(&file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn an_open_file_is_told_from_one_that_nobody_has_open() {
        let temp = tempfile::tempdir().expect("temp");
        std::fs::write(temp.path().join("x"), "x").expect("write");
        let dir = File::open(temp.path()).expect("open");
        let free = use_of(&dir, "x");
        // Some file systems give no leases; then it must never claim that a file is free.
        assert!(matches!(free, Use::Nobody | Use::Untold));
        for open in
            [File::open(temp.path().join("x")), File::options().append(true).open(temp.path().join("x"))]
        {
            let open = open.expect("open");
            assert_ne!(use_of(&dir, "x"), Use::Nobody);
            drop(open);
        }
        assert_eq!(use_of(&dir, "x"), free);
        assert_eq!(use_of(&dir, "none"), Use::Untold);
    }

    #[test]
    fn opening_while_it_is_asked_harms_nobody() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("x");
        std::fs::write(&path, "x").expect("write");
        let dir = File::open(temp.path()).expect("open");
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                for _ in 0..2000 {
                    assert_eq!(std::fs::read(&path).expect("read"), b"x");
                }
            });
            while !opener.is_finished() {
                use_of(&dir, "x");
            }
        });
    }
}

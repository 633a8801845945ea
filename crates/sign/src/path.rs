//! Which paths a bundle may hold: plain ones below its own folder.

use crate::BundleError;

/// Longest path, bytes.
const PATH_MAX: usize = 1024;
/// Longest part between two slashes, as file systems have it, bytes.
const PART_MAX: usize = 255;
/// Deepest folder.
const DEPTH_MAX: usize = 40;

/// Checks that a path stays below the folder that it is put into, on any file system that takes it.
///
/// # Errors
/// [`BundleError::Path`] with what is wrong.
pub fn check_path(path: &str) -> Result<(), BundleError> {
    match fault(path) {
        None => Ok(()),
        Some(why) => Err(BundleError::Path { path: path.chars().take(200).collect(), why }),
    }
}

fn fault(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > PATH_MAX {
        return Some("it is empty or longer than 1024 bytes");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Some("control characters and backslashes are not accepted");
    }
    if path.starts_with('/') {
        return Some("it begins at the root");
    }
    let parts = || path.split('/');
    if parts().count() > DEPTH_MAX {
        return Some("it is deeper than 40 folders");
    }
    if parts().any(|part| matches!(part, "" | "." | "..")) {
        return Some("it has a part that is empty, . or ..");
    }
    parts().any(|part| part.len() > PART_MAX).then_some("it has a part of more than 255 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_below_the_folder_are_accepted() {
        for good in ["site.yml", "roles/a b/tasks/main.yml", "数据/x", "a/...", ".hidden", "-x"] {
            assert_eq!(check_path(good), Ok(()), "{good}");
        }
        let long = "a".repeat(256);
        let deep = "a/".repeat(41) + "a";
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            "a\\b",
            "a\nb",
            "a\0",
            &long,
            &deep,
        ] {
            assert!(matches!(check_path(bad), Err(BundleError::Path { .. })), "{bad:?}");
        }
    }
}

//! What every manifest and source file must begin with, and what none may hold.

/// Crates that may hold `unsafe`, each with its reason.
const MAY_BE_UNSAFE: &[(&str, &str)] =
    &[("wellkept-kernel", "kernel calls without a safe wrapper: exit status by pidfd, leases, sessions")];

/// A folder of one developer's machine; text with it works nowhere else.
const MACHINE_PATH: &str = concat!("/wo", "rk/");

/// The manifest inherits the workspace's lints.
pub(super) fn lints_inherited(name: &str, manifest: &str) -> Option<String> {
    let mut section = "";
    let inherited = manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        section == "[lints]" && line.replace(' ', "") == "workspace=true"
    });
    (!inherited).then(|| format!("{name} does not inherit the lints; add `[lints]` with `workspace = true`"))
}

/// The crate's root forbids `unsafe`.
pub(super) fn unsafe_forbidden(name: &str, path: &str, text: &str) -> Option<String> {
    let excepted = MAY_BE_UNSAFE.iter().any(|(crate_name, _)| *crate_name == name);
    let forbids = text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]");
    (!excepted && !forbids).then(|| format!("{path} lacks `#![forbid(unsafe_code)]`"))
}

/// The page that says why each dependency is there.
pub(super) const REASONS: &str = "docs/dependencies.md";

/// Dependencies without a row in the page of reasons.
pub(super) fn unexplained(name: &str, foreign: &[String], page: &str) -> Vec<String> {
    let explained =
        |crate_name: &&String| page.lines().any(|l| l.starts_with(&format!("| `{crate_name}` |")));
    let missing = foreign.iter().filter(|f| !explained(f));
    missing.map(|f| format!("{name} depends on {f}, which has no row in {REASONS}")).collect()
}

/// Whether the file is a module of ours that must say what it is.
pub(super) fn needs_module_head(path: &str) -> bool {
    let ours = path.starts_with("crates/") || path.starts_with("xtask/");
    ours && path.contains("/src/") && path.ends_with(".rs")
}

/// The first line is a `//!` that says what the module does.
pub(super) fn module_head(path: &str, text: &str) -> Option<String> {
    let says =
        text.strip_prefix("//!").and_then(|rest| rest.lines().next()).is_some_and(|l| l.trim().len() > 9);
    (!says).then(|| format!("{path} does not begin with `//!` and a sentence on what it does"))
}

/// No path of somebody's machine.
pub(super) fn no_machine_path(path: &str, bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().position(holds_machine_path)?;
    Some(format!("{path}:{}: holds a path of somebody's machine ({MACHINE_PATH}…)", line + 1))
}

fn holds_machine_path(line: &str) -> bool {
    line.match_indices(MACHINE_PATH).any(|(at, _)| {
        let before = line.get(..at).and_then(|l| l.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "._-/}~".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_inherits_the_lints_only_by_its_own_section() {
        assert_eq!(lints_inherited("x", "[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"), None);
        for manifest in
            ["[package]\nname = \"x\"\n", "[package]\nworkspace = true\n", "[lints]\n[x]\nworkspace = true\n"]
        {
            assert!(lints_inherited("x", manifest).is_some(), "{manifest}");
        }
    }

    #[test]
    fn unsafe_is_forbidden_in_every_root_but_the_listed_ones() {
        assert_eq!(unsafe_forbidden("x", "lib.rs", "//! X.\n#![forbid(unsafe_code)]\n"), None);
        assert!(unsafe_forbidden("x", "lib.rs", "//! X.\n// #![forbid(unsafe_code)]\n").is_some());
        assert_eq!(unsafe_forbidden("wellkept-kernel", "lib.rs", "//! X.\n"), None);
    }

    #[test]
    fn a_module_begins_with_a_sentence() {
        assert_eq!(module_head("a.rs", "//! Groups findings into incidents.\n"), None);
        for text in ["", "use std::io;\n//! Late.\n", "// Groups findings.\n", "//!\n", "//! X.\n"] {
            assert!(module_head("a.rs", text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn a_dependency_without_a_reason_is_a_problem() {
        let page = "| crate | why |\n| `serde` | reading |\nsee `tokio`\n";
        let problems = unexplained("x", &["serde".into(), "tokio".into()], page);
        assert_eq!(problems, ["x depends on tokio, which has no row in docs/dependencies.md"]);
    }

    #[test]
    fn only_our_own_modules_need_a_head() {
        assert!(needs_module_head("crates/model/src/a/b.rs"));
        assert!(needs_module_head("xtask/src/main.rs"));
        assert!(!needs_module_head("crates/model/tests/a.rs"));
        assert!(!needs_module_head("ui/src/main.ts"));
    }

    #[test]
    fn a_path_of_somebodys_machine_is_found_with_its_line() {
        let text = format!("fine\nsee {MACHINE_PATH}shared\n");
        let problem = no_machine_path("README.md", text.as_bytes()).unwrap();
        assert!(problem.starts_with("README.md:2:"), "{problem}");
    }

    #[test]
    fn a_folder_of_that_name_elsewhere_is_no_machine_path() {
        for text in
            [format!("/srv{MACHINE_PATH}x"), format!("docs{MACHINE_PATH}x"), format!("..{MACHINE_PATH}x")]
        {
            assert_eq!(no_machine_path("a", text.as_bytes()), None, "{text}");
        }
    }
}

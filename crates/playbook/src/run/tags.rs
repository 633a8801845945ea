//! Which tasks `--tags` and `--skip-tags` choose.

/// Whether a task with these tags runs. `only`: `--tags`; `skip`: `--skip-tags`.
pub fn chosen(tags: &[String], only: &[String], skip: &[String]) -> bool {
    let has = |list: &[String], tag: &str| list.iter().any(|t| t == tag);
    let untagged = ["untagged".to_owned()];
    let own: &[String] = if tags.is_empty() { &untagged } else { tags };
    let meets = |list: &[String]| own.iter().any(|tag| has(list, tag));
    let mut run = true;
    if !only.is_empty() {
        run = has(own, "always")
            || (has(only, "all") && !has(own, "never"))
            || meets(only)
            || (has(only, "tagged") && !tags.is_empty() && !has(own, "never"));
    }
    if run && !skip.is_empty() {
        let all = has(skip, "all") && (has(skip, "always") || !has(own, "always"));
        if all || meets(skip) || (has(skip, "tagged") && !tags.is_empty()) {
            run = false;
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_choose_as_ansible_does() {
        let list =
            |text: &str| text.split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        for (tags, only, skip, runs) in [
            ("", "all", "", true),
            ("a", "all", "", true),
            ("never", "all", "", false),
            ("never,a", "a", "", true),
            ("a", "b", "", false),
            ("always", "b", "", true),
            ("always", "all", "always", false),
            ("a", "all", "a", false),
            ("", "tagged", "", false),
            ("a", "tagged", "", true),
            ("", "untagged", "", true),
            ("a", "untagged", "", false),
            ("a", "all", "tagged", false),
            ("", "all", "untagged", false),
            ("always", "all", "all", true),
        ] {
            assert_eq!(chosen(&list(tags), &list(only), &list(skip)), runs, "{tags} {only} {skip}");
        }
    }
}

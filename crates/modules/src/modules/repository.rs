//! `apt_repository`, `apt_key` and `deb822_repository`: where Debian's packages come from, and whose keys are trusted.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::base::attributes::{Sides, set_mode};
use crate::base::replace::{self, Keep};
use crate::base::{Done, Fail, Result, ResultExt, Task, fail, files, http, map, python};
use crate::spec::{Arg, Kind, ModuleSpec, Rule, flag, int, list, maybe, path, raw, text};

pub(crate) const REPOSITORY: ModuleSpec = ModuleSpec::new(
    "apt_repository",
    &[
        text("repo").required(),
        text("state").or("present").one_of(&["absent", "present"]),
        raw("mode"),
        flag("update_cache", true).aka(&["update-cache"]),
        int("update_cache_retries").or_int(5),
        int("update_cache_retry_max_delay").or_int(12),
        text("filename"),
        flag("install_python_apt", true),
        flag("validate_certs", true),
        text("codename"),
    ],
    repository,
);

pub(crate) const KEY: ModuleSpec = ModuleSpec::new(
    "apt_key",
    &[
        text("id"),
        text("url"),
        text("data"),
        path("file"),
        path("keyring"),
        flag("validate_certs", true),
        text("keyserver"),
        text("state").or("present").one_of(&["absent", "present"]),
    ],
    key,
)
.rules(&[Rule::Exclusive(&["data", "file", "keyserver", "url"])]);

const DEB822_ARGS: &[Arg] = &[
    maybe("allow_downgrade_to_insecure"),
    maybe("allow_insecure"),
    maybe("allow_weak"),
    list("architectures"),
    maybe("by_hash"),
    maybe("check_date"),
    maybe("check_valid_until"),
    list("components"),
    int("date_max_future"),
    maybe("enabled"),
    text("inrelease_path"),
    list("languages"),
    text("name").required(),
    maybe("pdiffs"),
    text("signed_by"),
    list("suites"),
    list("targets"),
    maybe("trusted"),
    Arg::new("types", Kind::List).of(Kind::Text).or_list(&["deb"]).one_of(&["deb", "deb-src"]),
    list("uris"),
    raw("mode").or("0644"),
    text("state").or("present").one_of(&["present", "absent"]),
    flag("install_python_debian", false),
];

pub(crate) const DEB822: ModuleSpec = ModuleSpec::new("deb822_repository", DEB822_ARGS, deb822);

/// A line of `sources.list` without what does not matter: comments and blanks.
fn plain(line: &str) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(words.first(), Some(&("deb" | "deb-src"))).then(|| words.join(" "))
}

/// The file that a repository gets when the task names none.
fn file_name(line: &str) -> String {
    let address =
        line.split_whitespace().find(|word| word.contains("://") || word.starts_with("ppa:")).unwrap_or(line);
    let rest = line.get(line.find(address).unwrap_or(0)..).unwrap_or(line);
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let cleaned: String = rest.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    let mut words: Vec<&str> = cleaned.split_whitespace().collect();
    words.truncate(12);
    words.join("_")
}

fn sources(task: &Task<'_>) -> Vec<PathBuf> {
    let mut out = vec![task.ctx.system("etc/apt/sources.list")];
    let entries =
        std::fs::read_dir(task.ctx.system("etc/apt/sources.list.d")).into_iter().flatten().flatten();
    let mut more: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "list"))
        .collect();
    more.sort();
    out.extend(more);
    out
}

fn repository(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let repo = args.or_empty("repo").to_owned();
    if repo.starts_with("ppa:") {
        return fail("ppa: is not supported; write the line of the repository, or use deb822_repository");
    }
    let Some(line) = plain(&repo) else { return fail(format!("Invalid repository string: {repo}")) };
    let present = args.text("state") == Some("present");
    let (mut before, mut after): (Map<String, Value>, Map<String, Value>) = Default::default();
    let mut changes: Vec<(PathBuf, String)> = Vec::new();
    let mut found = false;
    for path in sources(task) {
        let text = files::text(&path).unwrap_or_default();
        if text.lines().any(|have| plain(have).as_ref() == Some(&line)) {
            found = true;
            if !present {
                let kept: String =
                    text.split_inclusive('\n').filter(|have| plain(have).as_ref() != Some(&line)).collect();
                changes.push((path, kept));
            }
        }
    }
    if present && !found {
        let name = args.filled("filename").map_or_else(|| file_name(&line), str::to_owned);
        let name = if name.ends_with(".list") { name } else { format!("{name}.list") };
        let path = if name.starts_with('/') {
            PathBuf::from(name)
        } else {
            task.ctx.system("etc/apt/sources.list.d").join(name)
        };
        let old = files::text(&path).unwrap_or_default();
        let end = if old.is_empty() || old.ends_with('\n') { "" } else { "\n" };
        changes.push((path, format!("{old}{end}{line}\n")));
    }
    let changed = !changes.is_empty();
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for (path, text) in &changes {
        let shown = files::shown(path);
        let empty = text.trim().is_empty() && path.file_name().is_some_and(|name| name != "sources.list");
        before.insert(shown.clone(), files::text(path).unwrap_or_default().into());
        after.insert(shown.clone(), text.clone().into());
        match (path.exists(), empty) {
            (false, _) => added.push(shown.clone()),
            (true, true) => removed.push(shown.clone()),
            _ => {}
        }
        if task.check() {
            continue;
        }
        if empty {
            std::fs::remove_file(path).or_fail(|| shown.clone())?;
            continue;
        }
        std::fs::create_dir_all(files::folder_of(path)).or_fail(|| shown.clone())?;
        replace::with_bytes(path, text.as_bytes(), &Keep::Old, false).or_fail(|| shown.clone())?;
        let mode = task.args.get("mode").cloned().unwrap_or_else(|| "0644".into());
        set_mode(task, path, &mode, &mut Sides::default())?;
    }
    if changed && !task.check() && task.args.flag("update_cache") {
        let program = task.need("apt-get")?;
        let ran = task.run_plain([program.as_os_str(), "update".as_ref()])?;
        if ran.rc != 0 {
            // A repository that cannot be read would break all later work with packages.
            for (path, _) in &changes {
                let old = before.get(&files::shown(path)).and_then(Value::as_str).unwrap_or_default();
                let undone = if old.is_empty() {
                    std::fs::remove_file(path)
                } else {
                    replace::with_bytes(path, old.as_bytes(), &Keep::Old, false)
                };
                undone.or_fail(|| files::shown(path))?;
            }
            return fail(format!("Failed to update apt cache: {}", ran.err_text().trim()));
        }
    }
    let mut result = map([
        ("changed", changed.into()),
        ("repo", repo.into()),
        ("sources_added", added.into()),
        ("sources_removed", removed.into()),
        ("state", task.args.or_empty("state").into()),
    ]);
    if changed && task.call.diff {
        let sides = |map: &Map<String, Value>| map.values().map(python::text).collect::<String>();
        let header = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>().join(", ");
        let diff = json!({"before": sides(&before), "after": sides(&after), "before_header": header(&before), "after_header": header(&after)});
        result.insert("diff".into(), diff);
    }
    Ok(result)
}

/// What an address answers, bounded.
fn fetched(task: &Task<'_>, address: &str) -> Result<Vec<u8>> {
    let mut ask = super::url::request(task, address, "GET", None);
    ask.within = Some(std::time::Duration::from_secs(30));
    let mut answer =
        http::ask(&ask).map_err(|why| Fail::new(format!("Failed to download key at {address}: {why}")))?;
    if answer.status != 200 {
        return fail(format!(
            "Failed to download key at {address}: HTTP Error {}: {}",
            answer.status, answer.reason
        ));
    }
    answer.whole(4 << 20).or_fail(|| format!("Failed to download key at {address}"))
}

fn key(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let gpg = task.need("gpg")?.to_string_lossy().into_owned();
    let ring = args
        .filled("keyring")
        .map_or_else(|| task.ctx.system("etc/apt/trusted.gpg.d/ansible.gpg"), PathBuf::from);
    let ring_text = files::shown(&ring);
    let options = |more: &[&str]| -> Vec<String> {
        let fixed = [gpg.as_str(), "--no-default-keyring", "--batch", "--no-tty", "--keyring", &ring_text];
        fixed.iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let ids = |argv: Vec<String>, input: Option<Vec<u8>>| -> Result<Vec<String>> {
        let ran = task.end(task.program(&argv).input(input).run(), argv.clone().into())?;
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let out = ran.out_text();
        Ok(out
            .lines()
            .map(fields)
            .filter(|f| matches!(f.first().map(String::as_str), Some("pub" | "sub" | "fpr")))
            .filter_map(|f| f.get(if f.first().is_some_and(|kind| kind == "fpr") { 9 } else { 4 }).cloned())
            .collect())
    };
    let listed = ids(options(&["--with-colons", "--list-keys"]), None)?;
    let wanted = args.filled("id").map(|id| id.trim_start_matches("0x").replace(' ', "").to_uppercase());
    if let Some(id) = wanted.as_ref().filter(|id| id.len() < 8 || !id.chars().all(|c| c.is_ascii_hexdigit()))
    {
        return fail(format!("Invalid key_id: {id}"));
    }
    let has = |id: &String| listed.iter().any(|have| have.ends_with(id.as_str()));
    if args.text("state") == Some("absent") {
        let Some(id) = wanted else { return fail("key is required: id") };
        let there = has(&id);
        if there && !task.check() {
            let ran = task.run(options(&["--yes", "--delete-keys", &id]))?;
            if ran.rc != 0 {
                return Err(Fail::new("error removing key_id").with("key_id", id).with("rc", ran.rc));
            }
        }
        return Ok(task.changed(there));
    }
    if wanted.as_ref().is_some_and(has) {
        return Ok(map([
            ("changed", false.into()),
            ("key_id", wanted.clone().into()),
            ("before", listed.clone().into()),
            ("after", listed.into()),
        ]));
    }
    if let Some(server) = args.filled("keyserver").map(str::to_owned) {
        let Some(id) = wanted else { return fail("Missing key_id, required with keyserver.") };
        if !task.check() {
            let ran = task.run(options(&["--keyserver", &server, "--recv-keys", &id]))?;
            if ran.rc != 0 {
                return Err(Fail::new(format!("Error fetching key {id} from keyserver: {server}"))
                    .with("rc", ran.rc)
                    .with("stderr", ran.err_text()));
            }
        }
        return Ok(map([("changed", true.into()), ("key_id", id.into())]));
    }
    let data = match (args.filled("url"), args.filled("file"), args.filled("data")) {
        (Some(url), _, _) => fetched(task, url)?,
        (_, Some(file), _) => files::bytes_up_to(Path::new(file), 4 << 20).or_fail(|| file.to_owned())?,
        (_, _, Some(data)) => data.as_bytes().to_vec(),
        _ => return fail("Missing key source: one of data, file, keyserver or url"),
    };
    let show = [gpg.as_str(), "--batch", "--with-colons", "--import-options", "show-only", "--import"]
        .map(str::to_owned)
        .to_vec();
    let held = ids(show, Some(data.clone()))?;
    let Some(first) = held.first() else {
        return fail(
            "Unable to continue as we could not extract a valid fingerprint to compare against existing keys.",
        );
    };
    if let Some(id) = wanted.as_ref().filter(|id| !held.iter().any(|have| have.ends_with(id.as_str()))) {
        return Err(Fail::new("key does not seem to have been added").with("id", id.clone()));
    }
    let missing = !held.iter().all(|id| listed.contains(id));
    if missing && !task.check() {
        let argv = options(&["--import"]);
        let ran = task.end(task.program(&argv).input(Some(data)).run(), argv.clone().into())?;
        if ran.rc != 0 {
            return Err(Fail::new("Failed to add key").with("rc", ran.rc).with("stderr", ran.err_text()));
        }
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&ring, std::fs::Permissions::from_mode(0o644))
            .or_fail(|| ring_text.clone())?;
    }
    Ok(map([("changed", missing.into()), ("key_id", wanted.unwrap_or_else(|| first.clone()).into())]))
}

/// Field names of deb822 as apt documents them.
fn field(name: &str) -> String {
    match name {
        "name" => "X-Repolib-Name".to_owned(),
        "uris" => "URIs".to_owned(),
        other => {
            let words = other.split('_').map(|word| {
                let mut letters = word.chars();
                letters
                    .next()
                    .map(|first| first.to_uppercase().chain(letters).collect::<String>())
                    .unwrap_or_default()
            });
            words.collect::<Vec<_>>().join("-")
        }
    }
}

fn deb822(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let name = args.or_empty("name").to_owned();
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            '_' | ' ' | '\t' if !slug.ends_with('-') => slug.push('-'),
            'a'..='z' | '0'..='9' | '-' => slug.push(c),
            _ => {}
        }
    }
    let dest = task.ctx.system(&format!("etc/apt/sources.list.d/{slug}.sources"));
    let ring = |end: &str| task.ctx.system(&format!("etc/apt/keyrings/{slug}.{end}"));
    let shown = files::shown(&dest);
    if args.text("state") == Some("absent") {
        let mut changed = false;
        for path in [dest, ring("asc"), ring("gpg")] {
            if path.exists() {
                changed = true;
                if !task.check() {
                    std::fs::remove_file(&path).or_fail(|| files::shown(&path))?;
                }
            }
        }
        return Ok(map([
            ("repo", Value::Null),
            ("changed", changed.into()),
            ("dest", shown.into()),
            ("key_filename", files::shown(&ring("gpg")).into()),
        ]));
    }
    let (mut text, mut changed, mut key_file) = (String::new(), false, None);
    let mut names: Vec<&str> = DEB822_ARGS
        .iter()
        .map(|arg| arg.name)
        .filter(|name| !matches!(*name, "mode" | "state" | "install_python_debian"))
        .collect();
    names.sort_unstable();
    for name in names {
        let value = match args.get(name) {
            None => continue,
            Some(Value::Bool(truth)) => if *truth { "yes" } else { "no" }.to_owned(),
            Some(Value::Array(items)) => items.iter().map(python::text).collect::<Vec<_>>().join(" "),
            Some(other) => python::text(other),
        };
        let value = if name == "signed_by" {
            let (value, new, file) = signed_by(task, &value, &ring)?;
            changed |= new;
            key_file = file;
            value
        } else {
            value
        };
        let lines: Vec<String> = value
            .trim_end()
            .lines()
            .map(|line| if line.trim().is_empty() { " .".to_owned() } else { format!(" {line}") })
            .collect();
        let value = if lines.len() > 1 {
            format!("\n{}", lines.join("\n"))
        } else {
            format!(" {}", value.trim_end())
        };
        text.push_str(&format!("{}:{value}\n", field(name)));
    }
    if files::text(&dest).ok().as_ref() != Some(&text) {
        changed = true;
        if !task.check() {
            std::fs::create_dir_all(files::folder_of(&dest)).or_fail(|| shown.clone())?;
            replace::with_bytes(&dest, text.as_bytes(), &Keep::Old, false).or_fail(|| shown.clone())?;
        }
    }
    let mode = task.args.get("mode").cloned().unwrap_or_else(|| "0644".into());
    changed |= set_mode(task, &dest, &mode, &mut Sides::default())?;
    Ok(map([
        ("repo", text.into()),
        ("changed", changed.into()),
        ("dest", shown.into()),
        ("key_filename", key_file.into()),
    ]))
}

/// The value of `Signed-By`: a path as it stands, or a key that is stored beside the others.
fn signed_by(
    task: &Task<'_>,
    value: &str,
    ring: &dyn Fn(&str) -> PathBuf,
) -> Result<(String, bool, Option<String>)> {
    let bytes = if value.starts_with("http://") || value.starts_with("https://") {
        fetched(task, value)?
    } else {
        return Ok((value.to_owned(), false, None));
    };
    let path = ring(if bytes.starts_with(b"-----BEGIN") { "asc" } else { "gpg" });
    let shown = files::shown(&path);
    let differs = files::bytes(&path).ok().as_deref() != Some(&bytes);
    if differs && !task.check() {
        std::fs::create_dir_all(files::folder_of(&path)).or_fail(|| shown.clone())?;
        replace::with_bytes(&path, &bytes, &Keep::Old, false).or_fail(|| shown.clone())?;
    }
    let changed = differs | set_mode(task, &path, &"0644".into(), &mut Sides::default())?;
    Ok((shown.clone(), changed, Some(shown)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Context, NoFiles, run};

    fn go(root: &Path, module: &str, args: Value) -> Map<String, Value> {
        let Value::Object(args) = args else { panic!() };
        let mut ctx = Context::new(root.join("tmp"), || std::time::UNIX_EPOCH);
        ctx.root = root.to_owned();
        run(&Call { module: module.into(), args, ..Call::default() }, &NoFiles, &mut ctx)
    }

    #[test]
    fn a_repository_is_added_once_and_removed_again() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/apt")).unwrap();
        let args = json!({"repo": "deb http://example.org/debian stable main", "update_cache": false});
        let first = go(root.path(), "apt_repository", args.clone());
        assert_eq!(first["changed"], json!(true), "{first:?}");
        let file = root.path().join("etc/apt/sources.list.d/example_org_debian_stable_main.list");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "deb http://example.org/debian stable main\n");
        assert_eq!(go(root.path(), "apt_repository", args)["changed"], json!(false));
        let gone = json!({"repo": "deb  http://example.org/debian stable main # x", "update_cache": false, "state": "absent"});
        assert_eq!(go(root.path(), "apt_repository", gone)["changed"], json!(true));
        assert!(!file.exists());
    }

    #[test]
    fn deb822_writes_apts_fields() {
        let root = tempfile::tempdir().unwrap();
        let args = json!({"name": "My Repo", "types": "deb", "uris": ["https://e.org/x"], "suites": "stable", "components": ["main", "contrib"], "signed_by": "/k.asc", "by_hash": true});
        let first = go(root.path(), "deb822_repository", args.clone());
        assert_eq!(
            first["repo"],
            json!(
                "By-Hash: yes\nComponents: main contrib\nX-Repolib-Name: My Repo\nSigned-By: /k.asc\nSuites: stable\nTypes: deb\nURIs: https://e.org/x\n"
            )
        );
        assert!(root.path().join("etc/apt/sources.list.d/my-repo.sources").is_file());
        assert_eq!(go(root.path(), "deb822_repository", args)["changed"], json!(false));
        assert_eq!(
            go(root.path(), "deb822_repository", json!({"name": "My Repo", "state": "absent"}))["changed"],
            json!(true)
        );
    }
}

//! `git`: a checkout of a repository at a version, by the host's `git`.

use std::path::Path;

use serde_json::{Map, Value};

use crate::base::program::Ran;
use crate::base::{Done, Fail, Result, Task, fail, files, map};
use crate::spec::{Arg, ModuleSpec, Rule, flag, int, list, path, raw, text};

const ARGS: &[Arg] = &[
    path("dest"),
    text("repo").required().aka(&["name"]),
    text("version").or("HEAD"),
    text("remote").or("origin"),
    text("refspec"),
    text("reference"),
    flag("force", false),
    int("depth"),
    flag("clone", true),
    flag("update", true),
    flag("verify_commit", false),
    list("gpg_allowlist").or_list(&[]).aka(&["gpg_whitelist"]),
    flag("accept_hostkey", false),
    flag("accept_newhostkey", false),
    path("key_file"),
    text("ssh_opts"),
    path("executable"),
    flag("bare", false),
    flag("recursive", true),
    flag("single_branch", false),
    flag("track_submodules", false),
    raw("umask"),
    path("archive"),
    text("archive_prefix"),
    path("separate_git_dir"),
];

pub(crate) const SPEC: ModuleSpec = ModuleSpec::new("git", ARGS, run).rules(&[
    Rule::Exclusive(&["separate_git_dir", "bare"]),
    Rule::Exclusive(&["accept_hostkey", "accept_newhostkey"]),
    Rule::By("archive_prefix", &["archive"]),
]);

struct Git<'t, 'a> {
    task: &'t Task<'a>,
    program: String,
    environment: Vec<(String, String)>,
    repo: String,
    dest: Option<String>,
    version: String,
    remote: String,
}

/// Values that start programs when git or ssh takes them for options are refused.
fn harmless(name: &str, value: &str) -> Result<()> {
    if value.starts_with('-') {
        return fail(format!("{name} must not begin with '-': {value}"));
    }
    Ok(())
}

impl Git<'_, '_> {
    fn go(&self, folder: Option<&str>, words: &[&str]) -> Result<Ran> {
        let argv = std::iter::once(self.program.as_str()).chain(words.iter().copied());
        let program = self.task.program(argv).environment(&self.environment);
        let program = if folder.is_some() { program.folder(folder.map(Path::new)) } else { program };
        self.task.end(program.run(), words.to_vec().into())
    }

    /// As [`Git::go`] in the checkout; a failure ends the task with this message.
    fn must(&self, words: &[&str], msg: &str) -> Result<Ran> {
        self.good(self.go(self.dest.as_deref(), words)?, words, msg)
    }

    fn good(&self, ran: Ran, words: &[&str], msg: &str) -> Result<Ran> {
        if ran.rc == 0 {
            return Ok(ran);
        }
        let (out, err) = (ran.out_text(), ran.err_text());
        let cmd = std::iter::once(self.program.as_str()).chain(words.iter().copied());
        let cmd = cmd.map(crate::base::words::quote).collect::<Vec<_>>().join(" ");
        Err(Fail::new(if msg.is_empty() { err.trim_end() } else { msg })
            .with("cmd", cmd)
            .with("rc", ran.rc)
            .with("stdout", out)
            .with("stderr", err))
    }

    fn head(&self) -> Result<Value> {
        let ran = self.go(self.dest.as_deref(), &["rev-parse", "HEAD"])?;
        let text = ran.out_text().trim().to_owned();
        Ok(if ran.rc == 0 && !text.is_empty() { text.into() } else { Value::Null })
    }

    fn remote_url(&self) -> Result<Option<String>> {
        let ran = self.go(self.dest.as_deref(), &["ls-remote", "--get-url", &self.remote])?;
        Ok((ran.rc == 0).then(|| ran.out_text().trim().to_owned()))
    }

    /// What the version is at the other side.
    fn remote_head(&self, place: &str) -> Result<Value> {
        if is_hash(&self.version) {
            return Ok(self.version.clone().into());
        }
        let words: Vec<String> = match self.version.as_str() {
            "HEAD" => vec!["HEAD".to_owned()],
            other => vec![
                format!("refs/heads/{other}"),
                format!("refs/tags/{other}^{{}}"),
                format!("refs/tags/{other}"),
            ],
        };
        let folder = self.dest.as_deref().filter(|dest| Path::new(dest).is_dir());
        for word in words {
            let ran = self.go(folder, &["ls-remote", place, &word])?;
            if ran.rc != 0 {
                return Err(Fail::new(format!("Could not determine remote revision for {}", self.version))
                    .with("stdout", ran.out_text())
                    .with("stderr", ran.err_text())
                    .with("rc", ran.rc));
            }
            if let Some(hash) = ran.out_text().split_whitespace().next() {
                return Ok(hash.into());
            }
        }
        fail(format!("Could not determine remote revision for {}", self.version))
    }

    fn has_ref(&self, name: &str) -> Result<bool> {
        Ok(self.go(self.dest.as_deref(), &["rev-parse", "--verify", "--quiet", name])?.rc == 0)
    }

    fn clone(&self) -> Result<()> {
        let args = &self.task.args;
        let dest = self.dest.clone().unwrap_or_default();
        let parent = files::dirname(&dest);
        std::fs::create_dir_all(if parent.is_empty() { "." } else { parent })
            .map_err(|error| Fail::caused(format!("could not make {parent}"), &error))?;
        let head =
            self.go(None, &["ls-remote", &self.repo, "-h", &format!("refs/heads/{}", self.version)])?;
        self.good(head, &["ls-remote", &self.repo, "-h", &format!("refs/heads/{}", self.version)], "")?;
        let mut words: Vec<String> = vec!["clone".into()];
        if args.flag("bare") {
            words.push("--bare".into());
        } else {
            words.extend(["--origin".into(), self.remote.clone()]);
        }
        let branch = !is_hash(&self.version) && self.version != "HEAD" && !args.has("refspec");
        if let Some(depth) = args.int("depth") {
            if self.version == "HEAD" || args.has("refspec") {
                words.extend(["--depth".into(), depth.to_string()]);
            } else if branch && !self.remote_head(&self.repo)?.is_null() {
                words.extend(["--depth".into(), depth.to_string(), "--branch".into(), self.version.clone()]);
            }
        }
        for (name, option) in [("reference", "--reference"), ("separate_git_dir", "--separate-git-dir")] {
            if let Some(value) = args.text(name) {
                let equals = format!("{option}={value}");
                words.extend(if name == "reference" {
                    vec![option.into(), value.into()]
                } else {
                    vec![equals]
                });
            }
        }
        if args.flag("single_branch") {
            words.push("--single-branch".into());
            if branch && !words.iter().any(|word| word == "--branch") {
                words.extend(["--branch".into(), self.version.clone()]);
            }
        }
        words.extend([self.repo.clone(), dest.clone()]);
        let ran = self.go(
            Some(if parent.is_empty() { "." } else { parent }),
            &words.iter().map(String::as_str).collect::<Vec<_>>(),
        )?;
        if ran.rc != 0 {
            let cmd: Vec<String> = std::iter::once(self.program.clone()).chain(words).collect();
            return Err(Fail::new(ran.err_text().trim_end())
                .with(
                    "cmd",
                    cmd.iter().map(|word| crate::base::words::quote(word)).collect::<Vec<_>>().join(" "),
                )
                .with("rc", ran.rc)
                .with("stdout", ran.out_text())
                .with("stderr", ran.err_text()));
        }
        if args.flag("bare") && self.remote != "origin" {
            self.must(&["remote", "add", &self.remote, &self.repo], "")?;
        }
        if let Some(refspec) = args.text("refspec") {
            self.must(&["fetch", &self.remote, refspec], "")?;
        }
        Ok(())
    }

    fn fetch(&self) -> Result<()> {
        let args = &self.task.args;
        let mut words: Vec<String> = vec!["fetch".into()];
        if args.flag("force") {
            words.push("--force".into());
        }
        if let Some(depth) = args.int("depth") {
            words.extend(["--depth".into(), depth.to_string()]);
            let tag = self.go(
                self.dest.as_deref(),
                &["ls-remote", &self.remote, &format!("refs/tags/{}", self.version)],
            )?;
            let spec = match self.version.as_str() {
                "HEAD" => "HEAD".to_owned(),
                hash if is_hash(hash) => hash.to_owned(),
                tagged if !tag.out.is_empty() => format!("+refs/tags/{tagged}:refs/tags/{tagged}"),
                branch => format!("+refs/heads/{branch}:refs/remotes/{}/{branch}", self.remote),
            };
            words.extend([self.remote.clone(), spec]);
        } else {
            words.extend(["--tags".into(), self.remote.clone()]);
            if args.flag("bare") {
                words.push("+refs/heads/*:refs/heads/*".into());
            } else {
                words.push(format!("+refs/heads/*:refs/remotes/{}/*", self.remote));
            }
        }
        words.extend(args.text("refspec").map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.must(&words, "Failed to download remote objects and refs").map(|_| ())
    }

    /// The branch that the other side's HEAD names.
    fn default_branch(&self) -> Result<String> {
        let name = format!("refs/remotes/{}/HEAD", self.remote);
        let known = |git: &Self| -> Result<Option<String>> {
            let ran = git.go(git.dest.as_deref(), &["symbolic-ref", "--quiet", &name])?;
            Ok((ran.rc == 0).then(|| ran.out_text().trim().rsplit('/').next().unwrap_or_default().to_owned()))
        };
        if let Some(branch) = known(self)? {
            return Ok(branch);
        }
        self.go(self.dest.as_deref(), &["remote", "set-head", &self.remote, "--auto"])?;
        known(self)?
            .map_or_else(|| fail(format!("Failed to get a list of branches from {}", self.remote)), Ok)
    }

    fn switch(&self) -> Result<()> {
        let version = self.version.as_str();
        let away = |branch: &str| format!("{}/{branch}", self.remote);
        if version == "HEAD" {
            let branch = self.default_branch()?;
            self.must(&["checkout", "--force", &branch], &format!("Failed to checkout {branch}"))?;
            self.must(&["reset", "--hard", &away(&branch), "--"], "")?;
        } else if self.has_ref(&format!("refs/remotes/{}", away(version)))? {
            if self.has_ref(&format!("refs/heads/{version}"))? {
                self.must(
                    &["checkout", "--force", version],
                    &format!("Failed to checkout branch {version}"),
                )?;
            } else {
                let words = ["checkout", "--track", "-b", version, &away(version)];
                self.must(&words, &format!("Failed to checkout branch {version}"))?;
            }
            self.must(&["reset", "--hard", &away(version), "--"], "")?;
        } else {
            self.must(&["checkout", "--force", version], &format!("Failed to checkout {version}"))?;
        }
        if self.task.args.flag("verify_commit") {
            self.must(&["verify-commit", "HEAD"], "Failed to verify GPG signature of commit/tag \"HEAD\"")?;
        }
        Ok(())
    }

    /// Whether a submodule moved.
    fn submodules(&self) -> Result<bool> {
        let dest = self.dest.clone().unwrap_or_default();
        if !Path::new(&dest).join(".gitmodules").exists() {
            return Ok(false);
        }
        let status =
            || -> Result<Vec<u8>> { Ok(self.go(Some(&dest), &["submodule", "status", "--recursive"])?.out) };
        let before = status()?;
        self.must(&["submodule", "sync"], "")?;
        let mut words = vec!["submodule", "update", "--init", "--recursive"];
        if self.task.args.flag("track_submodules") {
            words.push("--remote");
        }
        if self.task.args.flag("force") {
            words.push("--force");
        }
        self.must(&words, "Failed to init/update submodules")?;
        Ok(before != status()?)
    }

    fn archive(&self, result: &mut Map<String, Value>) -> Result<()> {
        let Some(target) = self.task.args.filled("archive").map(str::to_owned) else { return Ok(()) };
        let form = ["zip", "tar.gz", "tgz", "tar"].iter().find(|end| target.ends_with(&format!(".{end}")));
        let Some(form) = form else {
            return fail(format!("Unable to get file extension from archive file name : {target}"));
        };
        if self.task.check() {
            result.insert("changed".into(), true.into());
            return Ok(());
        }
        let made = tempfile::Builder::new()
            .prefix("archive")
            .tempfile_in(&self.task.ctx.temp)
            .map_err(|error| Fail::caused("Failed to perform archive operation", &error))?;
        let output = files::shown(made.path());
        let (form, output) = (format!("--format={form}"), format!("--output={output}"));
        let prefix = self.task.args.text("archive_prefix").map(|prefix| format!("--prefix={prefix}"));
        let mut words = vec!["archive", form.as_str(), output.as_str()];
        words.extend(prefix.as_deref());
        words.push(&self.version);
        self.must(&words, "Failed to perform archive operation")?;
        let sum = |path: &Path| crate::base::hash::file(path, "sha1").ok().flatten();
        if sum(made.path()) != sum(Path::new(&target)) {
            let wrong = |error: std::io::Error| Fail::caused(format!("Failed to write {target}"), &error);
            let mut from = made.reopen().map_err(wrong)?;
            crate::base::replace::with(
                Path::new(&target),
                &mut from,
                &crate::base::replace::Keep::Old,
                false,
            )
            .map_err(wrong)?;
            result.insert("changed".into(), true.into());
        }
        Ok(())
    }
}

fn is_hash(version: &str) -> bool {
    matches!(version.len(), 40 | 64) && version.chars().all(|c| c.is_ascii_hexdigit())
}

/// How git reaches hosts: key, options, and that nobody is asked.
fn ssh(task: &Task<'_>) -> Vec<(String, String)> {
    let args = &task.args;
    let mut options = args.or_empty("ssh_opts").to_owned();
    for (name, word) in [
        ("accept_hostkey", "-o StrictHostKeyChecking=no"),
        ("accept_newhostkey", "-o StrictHostKeyChecking=accept-new"),
    ] {
        if args.flag(name) && !options.contains("-o StrictHostKeyChecking=") {
            options = format!("{options} {word}").trim().to_owned();
        }
    }
    if !options.contains("BatchMode") {
        options = format!("-o BatchMode=yes {options}").trim_end().to_owned();
    }
    let key = args
        .filled("key_file")
        .map(|key| format!(" -i {} -o IdentitiesOnly=yes", crate::base::words::quote(key)));
    let line = format!("ssh {options}{}", key.unwrap_or_default());
    [
        ("GIT_SSH_COMMAND", line.as_str()),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LANG", "C"),
        ("LC_ALL", "C"),
        ("LANGUAGE", "C"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn run(task: &mut Task<'_>) -> Done {
    let args = &task.args;
    let dest = args
        .filled("dest")
        .map(|dest| files::shown(&std::path::absolute(dest).unwrap_or_else(|_| dest.into())));
    let repo = task.expand(args.or_empty("repo"));
    let repo = if repo.starts_with('/') { format!("file://{repo}") } else { repo };
    for name in ["repo", "version", "remote", "refspec"] {
        harmless(name, args.or_empty(name))?;
    }
    if dest.is_none() && args.flag("clone") {
        return fail("the destination directory must be specified unless clone=no");
    }
    let program = match args.filled("executable") {
        Some(program) => program.to_owned(),
        None => task.need("git")?.to_string_lossy().into_owned(),
    };
    let git = Git {
        program,
        environment: ssh(task),
        repo,
        version: args.or_empty("version").to_owned(),
        remote: args.or_empty("remote").to_owned(),
        dest,
        task,
    };
    let mut result = map([("changed", false.into()), ("before", Value::Null)]);
    match steps(&git, &mut result) {
        Ok(()) => Ok(result),
        Err(mut fail) => {
            fail.more.entry("changed").or_insert(false.into());
            Err(fail)
        }
    }
}

fn steps(git: &Git<'_, '_>, result: &mut Map<String, Value>) -> Result<()> {
    let args = &git.task.args;
    let (check, bare) = (git.task.check(), args.flag("bare"));
    let config = git.dest.as_ref().map(|dest| Path::new(dest).join(if bare { "config" } else { ".git" }));
    let there = config.is_some_and(|config| config.exists());
    let (mut moved, mut dirty) = (false, false);
    if !there {
        if check || !args.flag("clone") {
            let head = git.remote_head(&git.repo)?;
            result.insert("changed".into(), true.into());
            result.insert("after".into(), head);
            return Ok(());
        }
        git.clone()?;
    } else {
        result.insert("before".into(), git.head()?);
        if !args.flag("update") {
            let before = result.get("before").cloned().unwrap_or_default();
            result.insert("after".into(), before);
            return git.archive(result);
        }
        dirty = !bare
            && git
                .must(&["status", "--porcelain", "--untracked-files=no"], "")?
                .out_text()
                .lines()
                .any(|line| !line.starts_with("??"));
        let dest = git.dest.clone().unwrap_or_default();
        if dirty {
            if !args.flag("force") {
                return Err(Fail {
                    msg: format!("Local modifications exist in the destination: {dest} (force=no)."),
                    more: result.clone(),
                });
            }
            if !check {
                git.must(&["reset", "--hard", "HEAD"], "")?;
                result.insert(
                    "msg".into(),
                    format!("Local modifications exist in the destination: {dest}").into(),
                );
            }
        }
        let url = git.remote_url()?;
        moved = url.as_ref().is_some_and(|url| {
            *url != git.repo && url.trim_start_matches("file://") != git.repo.trim_start_matches("file://")
        });
        result.insert("remote_url_changed".into(), moved.into());
        if check {
            let head = git.remote_head(&git.remote)?;
            let changed = result.get("before") != Some(&head) || moved;
            result.insert("changed".into(), changed.into());
            result.insert("after".into(), head);
            return Ok(());
        }
        if url.as_ref() != Some(&git.repo) {
            git.must(&["remote", "set-url", &git.remote, &git.repo], "")?;
        }
        git.fetch()?;
    }
    if !bare {
        git.switch()?;
        if args.flag("recursive") && git.submodules()? {
            result.insert("submodules_changed".into(), true.into());
            moved = true;
        }
    }
    result.insert("after".into(), git.head()?);
    if result.get("before") != result.get("after") || dirty || moved {
        result.insert("changed".into(), true.into());
    }
    git.archive(result)
}

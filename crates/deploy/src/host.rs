//! What is done on one host: Ansible's modules, each with everything decided, and no shell.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use wellkept_model::Text;
use wellkept_model::keep::{App, Command, VERSION_PLACE};
use wellkept_modules::Call;

use crate::journal::{Head, How};
use crate::version::Version;
use crate::world::{Answer, Place, World};

/// Our own folder below the app's.
const OWN: &str = ".wellkept";
/// How long one of our own small steps may take.
const WITHIN: Duration = Duration::from_secs(120);
/// How long bringing and unpacking may take.
const WITHIN_LONG: Duration = Duration::from_secs(3600);
/// Characters of what a program says that are kept.
const SAID_MAX: usize = 500;

/// Why a step did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bad {
    pub(crate) how: How,
    pub(crate) why: Text,
}

impl Bad {
    pub(crate) fn failed(why: Text) -> Self {
        Self { how: How::Failed, why }
    }
}

pub(crate) type Done<T> = Result<T, Bad>;

/// What a host has before anything is done.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Look {
    /// The current release.
    pub(crate) current: Option<String>,
    /// The marker of a deployment.
    pub(crate) marker: Option<String>,
    /// Whether the wanted version is there. It arrives by one rename: then it is whole.
    pub(crate) there: bool,
    /// SHA-256 of the artefact that the wanted version was unpacked from, when we brought it.
    pub(crate) mark: Option<String>,
    /// Names of shared files that are not there.
    pub(crate) missing: Vec<String>,
}

/// One host, with what is to be done there.
pub(crate) struct Site<'a, W> {
    pub(crate) world: &'a W,
    pub(crate) app: &'a App,
    pub(crate) host: &'a str,
    pub(crate) version: &'a Version,
}

fn args(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl<W: World> Site<'_, W> {
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.app.to.display())
    }

    fn own(&self, name: &str) -> String {
        self.at(&format!("{OWN}/{name}"))
    }

    async fn run(
        &self,
        module: &str,
        given: Value,
        within: Duration,
        file: Option<&Path>,
    ) -> Done<Map<String, Value>> {
        let call = Call {
            module: module.to_owned(),
            args: args(given),
            timeout_seconds: Some(within.as_secs().max(1)),
            ..Call::default()
        };
        done(self.world.module(Place::Host(self.host), call, file).await)
    }

    async fn small(&self, module: &str, given: Value) -> Done<Map<String, Value>> {
        self.run(module, given, WITHIN, None).await
    }

    async fn argv(&self, argv: &[&str]) -> Done<()> {
        let given = json!({"argv": argv, "expand_argument_vars": false});
        self.small("command", given).await.map(drop)
    }

    async fn stat(&self, path: &str) -> Done<Map<String, Value>> {
        let given = json!({"path": path, "get_checksum": false, "get_mime": false, "get_attributes": false});
        let mut result = self.small("stat", given).await?;
        match result.remove("stat") {
            Some(Value::Object(stat)) => Ok(stat),
            _ => Err(Bad::failed(Text::new("deploy.odd_answer").with("what", path))),
        }
    }

    /// What a link says; `None` when nothing is there, an error when it is no link.
    async fn link(&self, path: &str) -> Done<Option<String>> {
        let stat = self.stat(path).await?;
        if stat.get("exists") != Some(&Value::Bool(true)) {
            return Ok(None);
        }
        match stat.get("lnk_target").and_then(Value::as_str) {
            Some(to) => Ok(Some(to.to_owned())),
            None => Err(Bad::failed(Text::new("deploy.no_link").with("path", path))),
        }
    }

    async fn exists(&self, path: &str) -> Done<bool> {
        Ok(self.stat(path).await?.get("exists") == Some(&Value::Bool(true)))
    }

    /// The current release; an error when `current` leads elsewhere than to one.
    pub(crate) async fn current(&self) -> Done<Option<String>> {
        let path = self.at("current");
        let Some(to) = self.link(&path).await? else { return Ok(None) };
        let releases = self.at("releases");
        let name = to.strip_prefix("releases/").or_else(|| to.strip_prefix(&releases)?.strip_prefix('/'));
        match name.map(|name| name.trim_end_matches('/')).filter(|name| name.parse::<Version>().is_ok()) {
            Some(name) => Ok(Some(name.to_owned())),
            None => Err(Bad::failed(Text::new("deploy.odd_current").with("path", path).with("to", to))),
        }
    }

    /// The checksum that a whole release was unpacked from.
    async fn mark_of(&self, version: &str) -> Done<Option<String>> {
        if !self.exists(&self.at(&format!("releases/{version}"))).await? {
            return Ok(None);
        }
        let path = self.own(&format!("marks/{version}"));
        if !self.exists(&path).await? {
            return Ok(None);
        }
        let result = self.small("slurp", json!({"src": path})).await?;
        let content = result.get("content").and_then(Value::as_str).unwrap_or_default();
        let content = BASE64_STANDARD.decode(content).unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(&content).trim().to_owned()))
    }

    /// Changes nothing.
    pub(crate) async fn look(&self) -> Done<Look> {
        let current = self.current().await?;
        let marker = self.link(&self.own("deploying")).await?;
        let there = self.exists(&self.at(&format!("releases/{}", self.version))).await?;
        let mark = self.mark_of(self.version.as_str()).await?;
        let mut missing = Vec::new();
        for name in self.app.shared.iter().filter(|name| !name.ends_with('/')) {
            if !self.exists(&self.at(&format!("shared/{name}"))).await? {
                missing.push(name.clone());
            }
        }
        Ok(Look { current, marker, there, mark, missing })
    }

    async fn folder(&self, path: &str, mode: Option<&str>) -> Done<()> {
        let mut given = json!({"path": path, "state": "directory"});
        if let (Some(mode), Some(map)) = (mode, given.as_object_mut()) {
            map.insert("mode".to_owned(), mode.into());
        }
        self.small("file", given).await.map(drop)
    }

    async fn absent(&self, path: &str) -> Done<()> {
        self.run("file", json!({"path": path, "state": "absent"}), WITHIN_LONG, None).await.map(drop)
    }

    /// Makes the marker, which one deployment only can: a link is made by one call of the kernel or not at all.
    pub(crate) async fn mark(&self, head: &Head) -> Done<()> {
        self.folder(&self.at(OWN), Some("0700")).await?;
        let (path, wanted) = (self.own("deploying"), head.marker());
        let made = self.argv(&["ln", "-sT", "--", &wanted, &path]).await;
        match (made, self.link(&path).await?) {
            (_, Some(found)) if found == wanted => Ok(()),
            (_, Some(found)) => {
                let text = Text::new("deploy.marked").with("path", path).with("marker", found);
                Err(Bad::failed(text.with("host", self.host)))
            }
            (Err(bad), None) => Err(bad),
            (Ok(()), None) => Err(Bad::failed(Text::new("deploy.odd_answer").with("what", path))),
        }
    }

    /// Takes our marker away; another's stays.
    pub(crate) async fn unmark(&self, head: &Head) -> Done<()> {
        let path = self.own("deploying");
        match self.link(&path).await? {
            Some(found) if found == head.marker() => self.absent(&path).await,
            _ => Ok(()),
        }
    }

    /// The release is there, whole, and what its checksum says.
    pub(crate) async fn stage(&self, head: &Head, artefact: &Path, sha256: &str) -> Done<()> {
        let version = self.version.as_str();
        for folder in ["releases", "shared"] {
            self.folder(&self.at(folder), None).await?;
        }
        for name in self.app.shared.iter().filter_map(|name| name.strip_suffix('/')) {
            self.folder(&self.at(&format!("shared/{name}")), None).await?;
        }
        if self.mark_of(version).await?.as_deref() == Some(sha256) {
            return Ok(());
        }
        for folder in ["incoming", "marks"] {
            self.folder(&self.own(folder), Some("0700")).await?;
        }
        let (packed, tree) =
            (self.own(&format!("incoming/{}.tar.gz", head.id)), self.own(&format!("incoming/{}", head.id)));
        let arrived = self.bring(artefact, sha256, &packed, &tree).await;
        if let Err(bad) = arrived {
            // What was begun is of no use; that it stays behind would harm nobody.
            let _ = self.absent(&packed).await;
            let _ = self.absent(&tree).await;
            return Err(bad);
        }
        // Another content of the same name goes first, then the mark is made, then the release arrives: a mark beside a
        // release always tells what is in it, wherever this is cut.
        let release = self.at(&format!("releases/{version}"));
        self.absent(&release).await?;
        let mark = json!({"content": format!("{sha256}\n"), "dest": self.own(&format!("marks/{version}"))});
        self.small("copy", mark).await?;
        self.argv(&["mv", "-T", "--", &tree, &release]).await?;
        self.absent(&packed).await
    }

    /// The checksum is compared on the host, before anything is unpacked.
    async fn bring(&self, artefact: &Path, sha256: &str, packed: &str, tree: &str) -> Done<()> {
        let copy = json!({"src": artefact.display().to_string(), "dest": packed, "mode": "0600"});
        self.run("copy", copy, WITHIN_LONG, Some(artefact)).await?;
        let given = json!({"path": packed, "checksum_algorithm": "sha256", "get_mime": false, "get_attributes": false});
        let stat = self.run("stat", given, WITHIN_LONG, None).await?;
        let found = stat.get("stat").and_then(|stat| stat.get("checksum")).and_then(Value::as_str);
        if found != Some(sha256) {
            let text = Text::new("deploy.wrong_checksum").with("wanted", sha256);
            return Err(Bad::failed(text.with("found", found.unwrap_or("?"))));
        }
        self.absent(tree).await?;
        self.folder(tree, Some("0755")).await?;
        let unpack = json!({"src": packed, "dest": tree, "remote_src": true});
        self.run("unarchive", unpack, WITHIN_LONG, None).await.map(drop)
    }

    /// One rename of a fresh link, and a look whether it is so.
    pub(crate) async fn switch(&self, to: &str) -> Done<()> {
        let given = json!({"path": self.at("current"), "src": format!("releases/{to}"), "state": "link", "follow": false});
        self.small("file", given).await?;
        match self.current().await? {
            Some(current) if current == to => {}
            _ => return Err(Bad::failed(Text::new("deploy.not_switched").with("to", to))),
        }
        let mark = self.own(&format!("marks/{to}"));
        if self.exists(&mark).await? {
            // The time of the mark says which releases were used last.
            self.small("file", json!({"path": mark, "state": "touch"})).await?;
        }
        Ok(())
    }

    /// There was no release before: there is none again.
    pub(crate) async fn unswitch(&self) -> Done<()> {
        self.absent(&self.at("current")).await?;
        match self.current().await? {
            None => Ok(()),
            Some(_) => Err(Bad::failed(Text::new("deploy.not_switched").with("to", "-"))),
        }
    }

    /// A command that was declared; in the folder of the release when `inside`.
    pub(crate) async fn command(&self, command: &Command, inside: bool) -> Done<()> {
        let argv: Vec<String> =
            command.argv.iter().map(|word| word.replace(VERSION_PLACE, self.version.as_str())).collect();
        let mut given = json!({"argv": argv, "expand_argument_vars": false});
        if let (true, Some(map)) = (inside, given.as_object_mut()) {
            map.insert("chdir".to_owned(), self.at(&format!("releases/{}", self.version)).into());
        }
        self.run("command", given, command.within, None).await.map(drop)
    }

    /// Releases that we brought and nobody needs: never the current one, the one before, or one without our mark.
    pub(crate) async fn tidy(&self, before: Option<&str>) -> Done<()> {
        let current = self.current().await?;
        let given = json!({"paths": [self.own("marks")], "file_type": "file"});
        let mut result = self.small("find", given).await?;
        let Some(Value::Array(files)) = result.remove("files") else { return Ok(()) };
        let mut marks: Vec<(f64, String)> = files
            .iter()
            .filter_map(|file| {
                let name = file.get("path")?.as_str()?.rsplit('/').next()?;
                Some((file.get("mtime")?.as_f64()?, name.parse::<Version>().ok()?.as_str().to_owned()))
            })
            .collect();
        marks.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
        let needed = |name: &str| Some(name) == current.as_deref() || Some(name) == before;
        let kept = self.app.keep as usize;
        let needed_count = marks.iter().filter(|(_, name)| needed(name)).count();
        let others = marks.iter().filter(|(_, name)| !needed(name));
        for (_, name) in others.skip(kept.saturating_sub(needed_count)) {
            self.absent(&self.at(&format!("releases/{name}"))).await?;
            self.absent(&self.own(&format!("marks/{name}"))).await?;
        }
        Ok(())
    }
}

/// A result that is no failure.
pub(crate) fn done(answer: Answer) -> Done<Map<String, Value>> {
    let result = match answer {
        Answer::Done(result) => result,
        Answer::Unreachable(why) => {
            let why = Text::new("deploy.unreachable").with("why", short(&why));
            return Err(Bad { how: How::Unreachable, why });
        }
        Answer::Unknown(why) => {
            let why = Text::new("deploy.unknown").with("why", short(&why));
            return Err(Bad { how: How::Unknown, why });
        }
    };
    let rc = result.get("rc").and_then(Value::as_i64).unwrap_or(0);
    if rc == 0 && result.get("failed").is_none_or(|failed| *failed == Value::Bool(false)) {
        return Ok(result);
    }
    let text = |key: &str| result.get(key).and_then(Value::as_str).unwrap_or_default().trim();
    let said = [text("msg"), text("stderr"), text("stdout")].into_iter().filter(|said| !said.is_empty());
    let said = short(&said.collect::<Vec<_>>().join(": "));
    Err(Bad::failed(Text::new("deploy.step_failed").with("why", said)))
}

fn short(text: &str) -> String {
    text.chars().take(SAID_MAX).collect()
}

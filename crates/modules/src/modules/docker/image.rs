//! `docker_image`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::engine::{Engine, engine, escaped, split};
use crate::base::{Done, Result, ResultExt, Task, fail, map};

pub(super) fn run(task: &mut Task<'_>) -> Done {
    let engine = engine(task)?;
    let whole = whole(task.args.or_empty("name"), task.args.or_empty("tag"));
    let place = format!("/images/{}", escaped(&whole));
    let job = Job { engine, task, whole, place };
    if task.args.text("state") == Some("absent") { job.absent() } else { job.present() }
}

/// The name with its tag, which the name itself may say.
fn whole(name: &str, tag: &str) -> String {
    match split(name) {
        (_, tag) if name.contains('@') || name.ends_with(&format!(":{tag}")) => name.to_owned(),
        _ => format!("{name}:{tag}"),
    }
}

struct Job<'t, 'a> {
    engine: Engine<'t, 'a>,
    task: &'t Task<'a>,
    whole: String,
    place: String,
}

fn result(changed: bool, image: Value, actions: Vec<String>) -> Map<String, Value> {
    map([("changed", changed.into()), ("image", image), ("actions", actions.into())])
}

impl Job<'_, '_> {
    fn act(&self) -> bool {
        !self.task.check()
    }

    fn now(&self) -> Result<Option<Value>> {
        self.engine.known(&format!("{}/json", self.place))
    }

    fn absent(&self) -> Done {
        let there = self.now()?.is_some();
        if there && self.act() {
            let force = self.task.args.flag("force_absent");
            self.engine.must("DELETE", &format!("{}?force={force}", self.place), None)?;
        }
        let actions = there.then(|| format!("Removed image {}", self.whole)).into_iter().collect();
        Ok(result(there, json!({}), actions))
    }

    fn present(&self) -> Done {
        let args = &self.task.args;
        let before = self.now()?;
        let mut actions: Vec<String> = Vec::new();
        let wants = before.is_none() || args.flag("force_source");
        match args.text("source") {
            Some("pull") if wants => {
                actions.push(format!("Pulled image {}", self.whole));
                if self.act() {
                    self.engine.pull(&self.whole)?;
                }
            }
            Some("load") if wants => actions.push(self.loaded()?),
            Some("build") => return fail("source: build is not supported; pull, load and local are"),
            Some("local") | None if before.is_none() => {
                return fail(format!("Cannot find the image {} locally.", self.whole));
            }
            _ => {}
        }
        let after = self.now()?;
        let mut changed = match (&before, &after) {
            (Some(before), Some(after)) => before.get("Id") != after.get("Id"),
            _ => !actions.is_empty(),
        };
        if let Some(target) = args.filled("repository") {
            changed |= self.tagged(target, after.as_ref(), &mut actions)?;
        }
        if args.flag("push") {
            return fail("push is not supported; leave it out, and push where the image is built");
        }
        Ok(result(changed, after.unwrap_or_default(), actions))
    }

    /// Loads an archive of images that lies on the host.
    fn loaded(&self) -> Result<String> {
        let Some(path) = self.task.args.filled("load_path") else {
            return fail("source is load but all of the following are missing: load_path");
        };
        std::fs::metadata(path).or_fail(|| format!("Error loading image {}: reading {path}", self.whole))?;
        if self.act() {
            self.engine.upload("/images/load?quiet=true", Path::new(path))?;
            if self.now()?.is_none() {
                return fail(format!("The archive {path} did not contain image {}", self.whole));
            }
        }
        Ok(format!("Loaded image {} from {path}", self.whole))
    }

    fn tagged(&self, target: &str, image: Option<&Value>, actions: &mut Vec<String>) -> Result<bool> {
        let (repository, tag) = split(target);
        let there =
            self.engine.known(&format!("/images/{}/json", escaped(&format!("{repository}:{tag}"))))?;
        let id = |image: Option<&Value>| image.and_then(|image| image.get("Id").cloned());
        if id(there.as_ref()) == id(image) && !self.task.args.flag("force_tag") {
            return Ok(false);
        }
        actions.push(format!("Tagged image {} to {repository}:{tag}", self.whole));
        if self.act() {
            let path = format!("{}/tag?repo={}&tag={}", self.place, escaped(repository), escaped(tag));
            self.engine.must("POST", &path, None)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_in_the_name_wins() {
        assert_eq!(whole("a", "1"), "a:1");
        assert_eq!(whole("a:2", "1"), "a:2");
        assert_eq!(whole("a:5000/b", "1"), "a:5000/b:1");
        assert_eq!(whole("a@sha256:00", "latest"), "a@sha256:00");
    }
}

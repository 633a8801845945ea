//! What `--list-hosts`, `--list-tasks` and `--list-tags` print: Ansible's shape.

use std::collections::BTreeSet;
use std::rc::Rc;

use wellkept_inventory::Value;
use wellkept_playbook::book::{Block, Item, Play, Playbook, Task, Within};
use wellkept_playbook::run::tags_choose;

use crate::scene::Scene;
use crate::values::key_text;

fn words(tags: &[Value], into: &mut BTreeSet<String>) {
    for tag in tags {
        match tag {
            Value::List(items) => words(items, into),
            one => {
                into.extend(key_text(one).split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()))
            }
        }
    }
}

/// The tags of a task or play and of everything around it.
fn tags_of(within: &Within) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    within.chain().for_each(|within| words(&within.tags, &mut all));
    all
}

fn joined(tags: &BTreeSet<String>, between: &str) -> String {
    tags.iter().map(String::as_str).collect::<Vec<_>>().join(between)
}

fn head(at: usize, play: &Play) -> String {
    let tags = joined(&tags_of(&play.within), ",");
    format!("\n  play #{} ({}): {}\tTAGS: [{tags}]", at + 1, play.hosts.join(","), play.title())
}

/// `--list-hosts`.
pub fn list_hosts(path: &str, book: &Playbook, scene: &Scene, limit: &[String]) -> Vec<String> {
    let mut out = vec![format!("\nplaybook: {path}")];
    for (at, play) in book.plays.iter().enumerate() {
        let pattern = play.hosts.join(",");
        let session = scene.engine.session(scene.scope("localhost"));
        let rendered = session.render(&pattern).ok().flatten().map_or(pattern, |value| key_text(&value));
        let hosts = scene.names(&rendered, limit).map(|chosen| chosen.hosts).unwrap_or_default();
        let quoted: Vec<String> = play.hosts.iter().map(|host| format!("'{host}'")).collect();
        let mut text = head(at, play);
        text.push_str(&format!("\n    pattern: [{}]\n    hosts ({}):", quoted.join(", "), hosts.len()));
        hosts.iter().for_each(|host| text.push_str(&format!("\n      {host}")));
        out.push(text);
    }
    out
}

/// Tasks in the order in which they run, as far as they stand in the files; handlers are not among them.
fn tasks<'p>(items: &'p [Item], out: &mut Vec<&'p Rc<Task>>) {
    for item in items {
        match item {
            Item::Task(task) => out.push(task),
            Item::Block(block) => {
                let Block { tasks: inner, rescue, always, .. } = &**block;
                tasks(inner, out);
                tasks(rescue, out);
                tasks(always, out);
            }
        }
    }
}

fn chosen<'p>(play: &'p Play, only: &[String], skip: &[String]) -> Vec<(&'p Rc<Task>, BTreeSet<String>)> {
    let mut all = Vec::new();
    for items in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks] {
        tasks(items, &mut all);
    }
    let tagged = all.into_iter().map(|task| (task, tags_of(&task.within)));
    tagged.filter(|(_, tags)| tags_choose(&tags.iter().cloned().collect::<Vec<_>>(), only, skip)).collect()
}

/// `--list-tasks`.
pub fn list_tasks(path: &str, book: &Playbook, only: &[String], skip: &[String]) -> Vec<String> {
    let mut out = vec![format!("\nplaybook: {path}")];
    for (at, play) in book.plays.iter().enumerate() {
        let mut text = "    tasks:\n".to_owned();
        for (task, tags) in chosen(play, only, skip) {
            text.push_str(&format!("      {}\tTAGS: [{}]\n", task.title(), joined(&tags, ", ")));
        }
        out.extend([head(at, play), text]);
    }
    out
}

/// `--list-tags`.
pub fn list_tags(path: &str, book: &Playbook, only: &[String], skip: &[String]) -> Vec<String> {
    let mut out = vec![format!("\nplaybook: {path}")];
    for (at, play) in book.plays.iter().enumerate() {
        let mut all = tags_of(&play.within);
        for (_, tags) in chosen(play, only, skip) {
            all.extend(tags);
        }
        out.extend([head(at, play), format!("      TASK TAGS: [{}]\n", joined(&all, ", "))]);
    }
    out
}

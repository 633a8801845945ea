//! Users and groups by name and number: from `/etc/passwd` and `/etc/group`, else from `getent`.

use std::path::Path;

use super::program::{self, Program};

/// A line of `passwd`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) comment: String,
    pub(crate) home: String,
    pub(crate) shell: String,
}

/// A line of `group`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) gid: u32,
    pub(crate) members: Vec<String>,
}

/// All users of the file.
pub(crate) fn users(root: &Path) -> Vec<User> {
    table(root, "passwd").iter().filter_map(|line| user(line)).collect()
}

/// All groups of the file.
pub(crate) fn groups(root: &Path) -> Vec<Group> {
    table(root, "group").iter().filter_map(|line| group(line)).collect()
}

pub(crate) fn user_named(root: &Path, name: &str) -> Option<User> {
    users(root).into_iter().find(|user| user.name == name).or_else(|| user(&getent(root, "passwd", name)?))
}

pub(crate) fn user_with(root: &Path, uid: u32) -> Option<User> {
    users(root)
        .into_iter()
        .find(|user| user.uid == uid)
        .or_else(|| user(&getent(root, "passwd", &uid.to_string())?))
}

pub(crate) fn group_named(root: &Path, name: &str) -> Option<Group> {
    groups(root).into_iter().find(|group| group.name == name).or_else(|| group(&getent(root, "group", name)?))
}

pub(crate) fn group_with(root: &Path, gid: u32) -> Option<Group> {
    groups(root)
        .into_iter()
        .find(|group| group.gid == gid)
        .or_else(|| group(&getent(root, "group", &gid.to_string())?))
}

fn table(root: &Path, name: &str) -> Vec<String> {
    let text = super::files::text(&root.join("etc").join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.trim_end().split(':').collect();
    let [name, _, uid, gid, comment, home, shell, ..] = fields.as_slice() else { return None };
    Some(User {
        name: (*name).to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        comment: (*comment).to_owned(),
        home: (*home).to_owned(),
        shell: (*shell).to_owned(),
    })
}

fn group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.trim_end().split(':').collect();
    let [name, _, gid, members, ..] = fields.as_slice() else { return None };
    let members = members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect();
    Some(Group { name: (*name).to_owned(), gid: gid.parse().ok()?, members })
}

/// Directories (LDAP and the like) are only reached through the C library; its `getent` asks them for us.
fn getent(root: &Path, table: &str, key: &str) -> Option<String> {
    if root != Path::new("/") || key.starts_with('-') {
        return None;
    }
    let program = program::find("getent", &[])?;
    let ran = Program::new([program.as_os_str(), table.as_ref(), key.as_ref()]).limit(Some(20)).run().ok()?;
    (ran.rc == 0).then(|| ran.out_text().lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nbroken\n").unwrap();
        std::fs::write(root.path().join("etc/group"), "adm:x:4:a,b\nroot:x:0:\n").unwrap();
        assert_eq!(user_named(root.path(), "root").unwrap().home, "/root");
        assert_eq!(user_with(root.path(), 7), None);
        assert_eq!(group_named(root.path(), "adm").unwrap().members, ["a", "b"]);
        assert_eq!(group_with(root.path(), 0).unwrap().name, "root");
    }
}

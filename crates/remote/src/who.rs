//! As whom a service is started.
//!
//! A start command that is the declared program itself runs as the declared user; any other (a script, a service
//! manager) changes users itself, or needs to be us. Users are those of `/etc/passwd`; one that lives in a directory
//! service only is given by its number.

use std::path::{Path, PathBuf};

use wellkept_kernel::User;
use wellkept_model::keep::{Identity, Service};

use crate::session::PATH;

/// Most groups of one user, as many as the kernel takes.
const GROUPS_MAX: usize = 65_536;

/// A user whose service is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) user: User,
    pub(crate) name: String,
    pub(crate) home: String,
}

/// As whom `start` is run; `None`: as we are. An error is the name that this host does not know.
pub(crate) fn starts_as(service: &Service) -> Result<Option<Who>, String> {
    let Identity::Program { exe, user, .. } = &service.identity else { return Ok(None) };
    let program = service.start.as_ref().and_then(|c| c.argv.first());
    let (Some(program), Some(name)) = (program, service.user.as_ref().or(user.as_ref())) else {
        return Ok(None);
    };
    if real(program).is_none_or(|p| std::fs::canonicalize(exe).ok() != Some(p)) {
        return Ok(None);
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let who = find(name, &read("/etc/passwd"), &read("/etc/group")).ok_or_else(|| name.clone())?;
    Ok(Some(who).filter(|w| w.user.uid != rustix::process::geteuid().as_raw()))
}

/// The file that a program's name leads to.
fn real(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return std::fs::canonicalize(program).ok();
    }
    PATH.split(':').find_map(|folder| std::fs::canonicalize(Path::new(folder).join(program)).ok())
}

/// A user by name or number. A number without an account has the group of the same number and no other.
fn find(name: &str, passwd: &str, group: &str) -> Option<Who> {
    let number = name.parse::<u32>().ok();
    let account = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [login, _, uid, gid, _, home, ..] = fields.as_slice() else { return None };
        let (uid, gid) = (uid.parse::<u32>().ok()?, gid.parse::<u32>().ok()?);
        (*login == name || number == Some(uid)).then(|| ((*login).to_owned(), uid, gid, (*home).to_owned()))
    });
    let known = account.or_else(|| number.map(|n| (name.to_owned(), n, n, "/".to_owned())));
    let (login, uid, gid, home) = known?;
    let mut groups = vec![gid];
    for line in group.lines().take(GROUPS_MAX) {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, number, members] = fields.as_slice() else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        if members.split(',').any(|m| m.trim() == login) && !groups.contains(&number) {
            groups.push(number);
        }
    }
    Some(Who { user: User { uid, gid, groups }, name: login, home })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wellkept_model::keep::Command;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nshop:x:1001:1002::/srv/shop:/bin/sh\n";
    const GROUP: &str =
        "root:x:0:\nssl-cert:x:115:shop,other\nadm:x:4:other\nshop:x:1002:shop\nodd:x:y:shop\n";

    #[test]
    fn a_user_is_found_with_its_groups_by_name_and_by_number() {
        let user = User { uid: 1001, gid: 1002, groups: vec![1002, 115] };
        let shop = Who { user, name: "shop".into(), home: "/srv/shop".into() };
        assert_eq!(find("shop", PASSWD, GROUP).as_ref(), Some(&shop));
        assert_eq!(find("1001", PASSWD, GROUP).as_ref(), Some(&shop));
        let user = User { uid: 7, gid: 7, groups: vec![7] };
        assert_eq!(find("7", PASSWD, GROUP), Some(Who { user, name: "7".into(), home: "/".into() }));
        assert_eq!(find("shopp", PASSWD, GROUP), None);
    }

    #[test]
    fn only_a_start_that_is_the_program_itself_is_run_as_its_user() {
        let service = |start: &str, user: Option<&str>| {
            let exe = std::fs::canonicalize("/bin/sleep").expect("there is one");
            let identity = Identity::Program { exe, user: user.map(str::to_owned), argument: None };
            let mut service = Service::named("app", identity);
            let argv = start.split(' ').map(str::to_owned).collect();
            service.start = Some(Command { argv, within: std::time::Duration::from_secs(1) });
            service
        };
        let uid = |s: &Service| starts_as(s).map(|who| who.map(|w| w.user.uid));
        assert_eq!(uid(&service("/bin/sleep 9", Some("4242"))), Ok(Some(4242)));
        assert_eq!(uid(&service("sleep 9", Some("4242"))), Ok(Some(4242)), "found as it will be");
        assert_eq!(uid(&service("/bin/sh -c x", Some("4242"))), Ok(None), "a script does it itself");
        assert_eq!(uid(&service("/bin/sleep 9", None)), Ok(None), "nobody is declared");
        let mut named = service("/bin/sleep 9", Some("4242"));
        named.user = Some("4243".into());
        assert_eq!(uid(&named), Ok(Some(4243)), "the service's word counts");
        named.user = Some("no-such-user".into());
        assert_eq!(uid(&named), Err("no-such-user".into()));
        named.identity = Identity::Pidfile("/run/x.pid".into());
        assert_eq!(uid(&named), Ok(None));
        let us = rustix::process::geteuid().as_raw().to_string();
        assert_eq!(uid(&service("/bin/sleep 9", Some(&us))), Ok(None), "we are it already");
    }
}

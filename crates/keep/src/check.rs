//! Checks that need more than one entry: unknown and circular dependencies, clashing addresses, rules that would
//! remove what must stay.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use wellkept_model::Text;
use wellkept_model::keep::{Identity, Service};

use crate::filesystem::{self, folder_and_last, matches_path};
use crate::problem::{Problems, clean};
use crate::read;
use crate::service;
use crate::tree::At;

/// Runs all checks over what could be read.
pub(crate) fn check(
    services: &[service::Placed],
    filesystems: &[filesystem::Placed],
    problems: &mut Problems,
) {
    unknown_dependencies(services, problems);
    cycles(services, problems);
    clashing_addresses(services, problems);
    let services: Vec<&Service> = services.iter().filter_map(|s| s.service.as_ref()).collect();
    for placed in filesystems {
        for (at, glob) in &placed.rules {
            check_rule(at, glob, &placed.filesystem.mountpoint, filesystems, &services, problems);
        }
    }
}

fn unknown_dependencies(services: &[service::Placed], problems: &mut Problems) {
    let known: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
    for (at, name) in services.iter().flat_map(|s| &s.depends_on) {
        if !known.contains(&name.as_str()) {
            let help = Text::new("keep.accept.depends_on");
            let help = read::nearest_word(name, &known, help);
            problems.add(at, Text::new("keep.unknown_service").with("name", clean(name)), help);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

/// Walks the dependencies depth first; an edge back into the open path closes a cycle.
fn cycles(services: &[service::Placed], problems: &mut Problems) {
    let index: BTreeMap<&str, usize> =
        services.iter().enumerate().map(|(i, s)| (s.name.as_str(), i)).collect();
    let mut visits = vec![Visit::New; services.len()];
    for start in 0..services.len() {
        if visits.get(start) != Some(&Visit::New) {
            continue;
        }
        // The open path: a service and how many of its dependencies were followed.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        set(&mut visits, start, Visit::Open);
        while let Some((current, followed)) = path.last_mut() {
            let edge = services.get(*current).and_then(|s| s.depends_on.get(*followed));
            *followed += 1;
            let Some((at, name)) = edge else {
                set(&mut visits, *current, Visit::Done);
                path.pop();
                continue;
            };
            let Some(&next) = index.get(name.as_str()) else { continue };
            match visits.get(next) {
                Some(Visit::New) => {
                    set(&mut visits, next, Visit::Open);
                    path.push((next, 0));
                }
                Some(Visit::Open) => report_cycle(at, next, &path, services, problems),
                _ => {}
            }
        }
    }
}

fn set(visits: &mut [Visit], at: usize, visit: Visit) {
    if let Some(slot) = visits.get_mut(at) {
        *slot = visit;
    }
}

fn report_cycle(
    at: &At,
    closes_at: usize,
    path: &[(usize, usize)],
    services: &[service::Placed],
    problems: &mut Problems,
) {
    let circle = path.iter().map(|(i, _)| *i).skip_while(|i| *i != closes_at).chain([closes_at]);
    let names: Vec<&str> = circle.filter_map(|i| services.get(i)).map(|s| s.name.as_str()).collect();
    let message = Text::new("keep.cycle").with("cycle", clean(&names.join(" → ")));
    problems.add(at, message, Text::new("keep.accept.cycle"));
}

/// Two services cannot have one address; all addresses (`0.0.0.0`, `[::]`) clash with each one of the family.
fn clashing_addresses(services: &[service::Placed], problems: &mut Problems) {
    /// Service, its address, and where the file says so.
    type Holder<'s> = (&'s str, SocketAddr, &'s At);
    let mut by_port: BTreeMap<(bool, u16), Vec<Holder<'_>>> = BTreeMap::new();
    for service in services {
        for (at, address) in &service.listens {
            let same_port = by_port.entry((address.is_ipv4(), address.port())).or_default();
            let clash = same_port.iter().find(|(name, other, _)| {
                *name != service.name
                    && (other.ip() == address.ip()
                        || other.ip().is_unspecified()
                        || address.ip().is_unspecified())
            });
            if let Some((name, other, other_at)) = clash {
                let message = Text::new("keep.address_clash")
                    .with("address", address)
                    .with("service", clean(name))
                    .with("other", other)
                    .with("line", other_at.place.line);
                problems.add(at, message, Text::new("keep.accept.address_clash"));
            }
            same_port.push((&service.name, *address, at));
        }
    }
}

fn check_rule(
    at: &At,
    glob: &str,
    mountpoint: &str,
    filesystems: &[filesystem::Placed],
    services: &[&Service],
    problems: &mut Problems,
) {
    let (folder, _) = folder_and_last(glob);
    let all = || filesystems.iter().map(|f| &f.filesystem);
    let kept_apart = all().flat_map(|f| &f.never_touch).find(|p| {
        let path = p.to_string_lossy();
        read::is_below(folder, &path) || matches_path(glob, &path)
    });
    if let Some(path) = kept_apart {
        let message = Text::new("keep.rule_never_touch")
            .with("glob", clean(glob))
            .with("path", clean(&path.to_string_lossy()));
        problems.add(at, message, Text::new("keep.accept.rule_never_touch"));
    }
    let deeper = all().map(|f| f.mountpoint.as_str()).find(|other| {
        *other != mountpoint && read::is_below(other, mountpoint) && read::is_below(folder, other)
    });
    if let Some(other) = deeper {
        let message =
            Text::new("keep.rule_other_filesystem").with("glob", clean(glob)).with("mount", clean(other));
        problems.add(at, message, Text::new("keep.accept.rule_other_filesystem").with("mount", clean(other)));
    }
    let needed = services.iter().find_map(|s| {
        let pidfile = match &s.identity {
            Identity::Pidfile(path) => Some(path),
            _ => None,
        };
        let mut paths = s.files.iter().map(|f| &f.path).chain(pidfile);
        paths.find(|p| matches_path(glob, &p.to_string_lossy())).map(|p| (&s.name, p))
    });
    if let Some((service, path)) = needed {
        let message = Text::new("keep.rule_kept_file")
            .with("glob", clean(glob))
            .with("path", clean(&path.to_string_lossy()))
            .with("service", clean(service));
        problems.add(at, message, Text::new("keep.accept.rule_never_touch"));
    }
}

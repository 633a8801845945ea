//! What the path of a log says about its source: container runtimes put names into paths, and so do people.

use std::path::Path;

/// Length of a container's id in hexadecimal.
const ID_CHARS: usize = 64;
/// Characters of an id that are shown; as many as people are used to.
const ID_SHOWN: usize = 12;

/// Labels that a container log's path tells; nothing when the path is no container log's.
///
/// Known are `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<n>.log`,
/// `/var/log/containers/<pod>_<namespace>_<container>-<id>.log` and
/// `/var/lib/docker/containers/<id>/<id>-json.log`, wherever the folders stand.
#[must_use]
pub fn labels_of(path: &Path) -> Option<Vec<(&'static str, String)>> {
    let parts: Vec<&str> = path.iter().filter_map(|p| p.to_str()).collect();
    pods(&parts).or_else(|| containers(&parts)).or_else(|| docker(&parts))
}

fn named(namespace: &str, pod: &str, container: &str) -> Vec<(&'static str, String)> {
    let own = str::to_owned;
    vec![
        ("namespace", own(namespace)),
        ("pod", own(pod)),
        ("container", own(container)),
        ("service", own(container)),
    ]
}

fn pods(parts: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let [.., "pods", folder, container, _] = parts else { return None };
    let mut names = folder.splitn(3, '_');
    let (namespace, pod, _uid) = (names.next()?, names.next()?, names.next()?);
    Some(named(namespace, pod, container))
}

fn containers(parts: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let [.., "containers", file] = parts else { return None };
    let (names, id) = file.strip_suffix(".log")?.rsplit_once('-')?;
    let mut names = names.splitn(3, '_');
    let (pod, namespace, container) = (names.next()?, names.next()?, names.next()?);
    if !is_id(id) {
        return None;
    }
    let mut labels = named(namespace, pod, container);
    labels.push(("container_id", id.chars().take(ID_SHOWN).collect()));
    Some(labels)
}

fn docker(parts: &[&str]) -> Option<Vec<(&'static str, String)>> {
    let [.., "containers", id, file] = parts else { return None };
    (is_id(id) && file.strip_prefix(id).is_some_and(|rest| rest.starts_with("-json.log"))).then(|| {
        let id = id.chars().take(ID_SHOWN).collect();
        vec![("container_id", id)]
    })
}

fn is_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Labels that Docker keeps in `config.v2.json` beside a container's log: its name, and project and service of Compose.
#[must_use]
pub fn docker_labels(config: &[u8]) -> Vec<(&'static str, String)> {
    let Ok(config) = serde_json::from_slice::<serde_json::Value>(config) else { return Vec::new() };
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).filter(|t| !t.is_empty());
    let name = config.get("Name").and_then(text).map(|n| n.trim_start_matches('/').to_owned());
    let compose = |key: &str| {
        let labels = config.get("Config").and_then(|c| c.get("Labels"));
        labels.and_then(|l| l.get(format!("com.docker.compose.{key}"))).and_then(text)
    };
    let service = compose("service").or_else(|| name.clone());
    let labels = [("container", name), ("service", service), ("project", compose("project"))];
    labels.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
}

/// A name for the service that writes a file, when nothing else tells it: the folder below `log`, else the file's name
/// without its ends. `/var/log/nginx/access.log` is `nginx`'s, `/var/log/mysql.err` is `mysql`'s, `/srv/shop/log/a.log`
/// is `shop`'s.
#[must_use]
pub fn guess_service(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path.parent()?.iter().filter_map(|p| p.to_str()).collect();
    let is_log = |part: &&&str| matches!(**part, "log" | "logs");
    let stem = || {
        let name = super::files::rotation::base(path.file_name()?.to_str()?);
        let stem = name.split('.').find(|part| !part.is_empty())?;
        Some(stem.to_owned())
    };
    match parts.iter().rposition(|part| is_log(&part)) {
        Some(at) if at + 1 < parts.len() => parts.get(at + 1).map(|part| (*part).to_owned()),
        Some(at) if at > 1 && parts.get(at - 1) != Some(&"var") => {
            parts.get(at - 1).map(|part| (*part).to_owned())
        }
        _ => stem(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> String {
        let labels = labels_of(Path::new(path)).unwrap_or_default();
        labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_of_container_logs_tell_their_names() {
        let id = "ab".repeat(32);
        assert_eq!(
            text("/var/log/pods/shop_web-7d4_0f9c/app/0.log"),
            "namespace=shop pod=web-7d4 container=app service=app"
        );
        assert_eq!(
            text(&format!("/var/log/containers/web-7d4_shop_app-x-{id}.log")),
            "namespace=shop pod=web-7d4 container=app-x service=app-x container_id=abababababab"
        );
        assert_eq!(
            text(&format!("/var/lib/docker/containers/{id}/{id}-json.log")),
            "container_id=abababababab"
        );
        for path in
            ["/var/log/syslog", "/var/log/containers/x.log", "/var/log/pods/x/app/0.log", "/a/containers/b/c"]
        {
            assert_eq!(text(path), "", "{path}");
        }
    }

    #[test]
    fn docker_tells_names_in_its_own_file() {
        let config = br#"{"Name":"/shop-web-1","Config":{"Labels":{"com.docker.compose.service":"web","com.docker.compose.project":"shop"}}}"#;
        let labels = docker_labels(config);
        assert_eq!(labels[0], ("container", "shop-web-1".to_owned()));
        assert_eq!(labels[1], ("service", "web".to_owned()));
        assert_eq!(docker_labels(br#"{"Name":"/db"}"#)[1].1, "db");
        assert!(docker_labels(b"{").is_empty());
    }

    #[test]
    fn the_service_of_a_plain_path_is_guessed() {
        for (path, service) in [
            ("/var/log/nginx/access.log", "nginx"),
            ("/var/log/postgresql/13/main.log", "postgresql"),
            ("/var/log/mysql.err", "mysql"),
            ("/var/log/syslog.1", "syslog"),
            ("/srv/shop/logs/production.log", "shop"),
            ("/srv/shop/out.txt", "out"),
        ] {
            assert_eq!(guess_service(Path::new(path)).as_deref(), Some(service), "{path}");
        }
    }
}

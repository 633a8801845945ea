//! Finds targets: looks at files, asks servers, looks up names, each at its own pace.
//!
//! A source that fails keeps what it told last. A file is read again only when it has changed; a half-written one is
//! refused and the last good content stays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::time::MissedTickBehavior;

use crate::client::{Ask, Budget, Client};
use crate::config::{Discovery, DnsKind, FILE_MAX, Group, HttpConfig, Problems, groups};
use crate::secret::read_bounded;
use crate::url::Url;

/// How long a discovery server may take.
const SERVER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often files are looked at, where they ask for less: a new file should not wait for minutes.
const FILES_LOOK_MAX: Duration = Duration::from_secs(5);
/// Shortest time between two looks.
const LOOK_MIN: Duration = Duration::from_millis(100);
/// Most files that one entry may match.
const FILES_MAX: usize = 10_000;
/// Most groups of one source.
const GROUPS_MAX: usize = 100_000;

/// What a source has to say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct News {
    /// The groups it knows; `None` when it failed and what it told last still holds.
    pub(crate) groups: Option<Vec<Group>>,
    /// What went wrong.
    pub(crate) error: Option<String>,
}

/// Watches one source for ever; `client` is for a source that is a server. `tell` is called after the first look, good or bad, and after each change.
pub(crate) async fn watch(source: Discovery, client: Client, tell: impl Fn(News) + Send) {
    let (mut looker, every) = match source {
        Discovery::Static(groups) => return tell(News { groups: Some(groups), error: None }),
        Discovery::File { files, refresh } => {
            (Looker::Files(Files::default(), files), refresh.min(FILES_LOOK_MAX))
        }
        Discovery::Http { url, refresh, http } => {
            (Looker::Http { client: Box::new(client), url, refresh, http }, refresh)
        }
        Discovery::Dns { names, kind, port, refresh } => {
            (Looker::Dns { budget: client.budget().clone(), names, kind, port }, refresh)
        }
    };
    let mut ticks = tokio::time::interval(every.max(LOOK_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<News> = None;
    loop {
        ticks.tick().await;
        let news = looker.look().await;
        if last.as_ref() != Some(&news) {
            tell(news.clone());
            last = Some(news);
        }
    }
}

/// A source with what it remembers between two looks.
enum Looker {
    Files(Files, Vec<PathBuf>),
    Http { client: Box<Client>, url: String, refresh: Duration, http: Box<HttpConfig> },
    Dns { budget: Budget, names: Vec<String>, kind: DnsKind, port: u16 },
}

impl Looker {
    async fn look(&mut self) -> News {
        match self {
            Self::Files(files, patterns) => files.look(patterns).await,
            Self::Http { client, url, refresh, http } => ask(client, url, *refresh, http).await,
            Self::Dns { budget, names, kind, port } => look_up(budget, names, *kind, *port).await,
        }
    }
}

/// When a file was last written, and how long it was then.
type Stamp = (SystemTime, u64);

/// The files of one entry as they were last read.
#[derive(Debug, Default)]
struct Files(BTreeMap<PathBuf, (Stamp, Vec<Group>, Option<String>)>);

impl Files {
    async fn look(&mut self, patterns: &[PathBuf]) -> News {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for pattern in patterns {
            match matching(pattern).await {
                Ok(files) => found.extend(files),
                Err(error) => errors.push(format!("{}: {error}", pattern.display())),
            }
        }
        found.sort();
        found.dedup();
        found.truncate(FILES_MAX);
        self.0.retain(|path, _| found.contains(path));
        for path in found {
            self.refresh(path).await;
        }
        errors.extend(self.0.values().filter_map(|(_, _, error)| error.clone()));
        let groups = self.0.iter().flat_map(|(path, (_, groups, _))| {
            groups.iter().map(|g| with(g, "__meta_filepath", &path.to_string_lossy()))
        });
        News { groups: Some(groups.take(GROUPS_MAX).collect()), error: joined(errors) }
    }

    /// Reads a file again when it has changed; a bad one keeps its last good content.
    async fn refresh(&mut self, path: PathBuf) {
        let stamp = match tokio::fs::metadata(&path).await {
            Ok(meta) => (meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len()),
            Err(_) => return,
        };
        let known = self.0.get(&path);
        if known.is_some_and(|(s, _, _)| *s == stamp) {
            return;
        }
        let old = known.map(|(_, groups, _)| groups.clone()).unwrap_or_default();
        let (groups, error) = match read(&path).await {
            Ok(groups) => (groups, None),
            Err(error) => (old, Some(error)),
        };
        self.0.insert(path, (stamp, groups, error));
    }
}

fn joined(errors: Vec<String>) -> Option<String> {
    (!errors.is_empty()).then(|| errors.join("; ").chars().take(1000).collect())
}

/// Adds a label that the group itself does not give.
fn with(group: &Group, name: &str, value: &str) -> Group {
    let mut group = group.clone();
    group.labels.push((name.to_owned(), value.to_owned()));
    group
}

/// The files of a pattern; `*` in its last part stands for any characters.
async fn matching(pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let Some(folder) = pattern.parent() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut entries = match tokio::fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    while let Some(entry) = entries.next_entry().await? {
        let file = entry.file_name();
        if !file.to_string_lossy().starts_with('.') && matches(&name, &file.to_string_lossy()) {
            found.push(entry.path());
        }
        if found.len() >= FILES_MAX {
            break;
        }
    }
    Ok(found)
}

fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

async fn read(path: &Path) -> Result<Vec<Group>, String> {
    let name = path.display().to_string();
    let bytes = read_bounded(path, FILE_MAX as u64).await.map_err(|e| format!("{name}: {e}"))?;
    parse(&name, &bytes)
}

fn parse(name: &str, bytes: &[u8]) -> Result<Vec<Group>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{name}: is not UTF-8"))?;
    let mut problems = Problems::new(name);
    let groups = groups(text, &mut problems);
    problems.finish(groups).map_err(|e| match e.problems.first() {
        Some(first) => first.to_string(),
        None => format!("{name}: cannot be read"),
    })
}

async fn ask(client: &mut Client, text: &str, refresh: Duration, http: &HttpConfig) -> News {
    match tokio::time::timeout(SERVER_TIMEOUT, asked(client, text, refresh, http)).await {
        Ok(Ok(groups)) => News { groups: Some(groups), error: None },
        Ok(Err(error)) => News { groups: None, error: Some(format!("{text}: {error}")) },
        Err(_) => News { groups: None, error: Some(format!("{text}: no complete answer within 30s")) },
    }
}

async fn asked(
    client: &mut Client,
    text: &str,
    refresh: Duration,
    http: &HttpConfig,
) -> Result<Vec<Group>, String> {
    let url = Url::parse(text).map_err(|e| e.to_string())?;
    let seconds = HeaderValue::from_str(&refresh.as_secs_f64().to_string());
    let headers = [
        (header::ACCEPT, HeaderValue::from_static("application/json")),
        (header::ACCEPT_ENCODING, HeaderValue::from_static("gzip")),
        (
            HeaderName::from_static("x-prometheus-refresh-interval-seconds"),
            seconds.unwrap_or(HeaderValue::from_static("60")),
        ),
    ];
    let ask = Ask {
        method: Method::GET,
        url: &url,
        http,
        headers: &headers,
        own_headers: &[],
        body: hyper::body::Bytes::new(),
        answer_max: FILE_MAX as u64,
    };
    let answer = client.ask(&ask).await.map_err(|e| e.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!("server returned HTTP status {}", answer.status));
    }
    let json = answer.header(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    if json.split(';').next().map(str::trim) != Some("application/json") {
        return Err("the answer is not application/json".to_owned());
    }
    let groups = parse("answer", &answer.body)?;
    Ok(groups.iter().take(GROUPS_MAX).map(|g| with(g, "__meta_url", text)).collect())
}

/// Asks the system's resolver. One name that cannot be found leaves the others.
async fn look_up(budget: &Budget, names: &[String], kind: DnsKind, port: u16) -> News {
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        match budget.look_up(name, port).await {
            Ok(found) => {
                let wanted = found.into_iter().filter(|a| a.is_ipv4() == (kind == DnsKind::A));
                let mut targets: Vec<String> = wanted.map(|a| a.to_string()).collect();
                targets.sort();
                targets.dedup();
                groups.push(Group { targets, labels: vec![("__meta_dns_name".to_owned(), name.clone())] });
            }
            Err(error) => errors.push(format!("{name}: {error}")),
        }
    }
    // When one name fails, the groups that are known last are better than a part of them.
    if errors.is_empty() {
        News { groups: Some(groups), error: None }
    } else {
        News { groups: None, error: joined(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(targets: &[&str], labels: &[(&str, &str)]) -> Group {
        Group {
            targets: targets.iter().map(|t| (*t).to_owned()).collect(),
            labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("*.json", "a.json", true),
            ("*.json", "a.yml", false),
            ("a*b*.yml", "axxbyy.yml", true),
            ("a*b*.yml", "ab.yml", true),
            ("a*b*.yml", "a.yml", false),
            ("x.yml", "x.yml", true),
            ("x.yml", "x.ymlx", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[tokio::test]
    async fn files_are_read_again_when_they_change_and_a_bad_one_keeps_its_last_content() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (json, yaml) = (dir.path().join("a.json"), dir.path().join("b.yml"));
        let write = |path: &Path, text: &str| std::fs::write(path, text).expect("it can be written");
        write(&json, r#"[{"targets": ["a:1", "b:2"], "labels": {"env": "x", "n": 3}}]"#);
        write(&yaml, "- targets: [c:3]\n");
        let patterns = [dir.path().join("*.json"), yaml.clone()];
        let mut files = Files::default();
        let paths = (json.to_string_lossy().into_owned(), yaml.to_string_lossy().into_owned());
        let from_json = group(&["a:1", "b:2"], &[("env", "x"), ("n", "3"), ("__meta_filepath", &paths.0)]);
        let from_yaml = group(&["c:3"], &[("__meta_filepath", &paths.1)]);
        let news = files.look(&patterns).await;
        assert_eq!(news, News { groups: Some(vec![from_json.clone(), from_yaml.clone()]), error: None });

        write(&json, r#"[{"targets": ["a:1""#);
        let news = files.look(&patterns).await;
        assert_eq!(news.groups, Some(vec![from_json, from_yaml.clone()]));
        assert!(news.error.is_some_and(|e| e.contains("a.json")));

        write(&json, r#"[{"targets": ["new:1"]}]"#);
        let from_json = group(&["new:1"], &[("__meta_filepath", &paths.0)]);
        let news = files.look(&patterns).await;
        assert_eq!(news, News { groups: Some(vec![from_json, from_yaml.clone()]), error: None });

        std::fs::remove_file(&json).expect("it was there");
        assert_eq!(files.look(&patterns).await.groups, Some(vec![from_yaml]));
    }

    #[tokio::test]
    async fn names_become_addresses() {
        let news = look_up(&Budget::default(), &["localhost".to_owned()], DnsKind::A, 9100).await;
        let expected = group(&["127.0.0.1:9100"], &[("__meta_dns_name", "localhost")]);
        assert_eq!(news.groups, Some(vec![expected]));
        let news = look_up(
            &Budget::default(),
            &["localhost".to_owned(), "no.such.name.invalid".to_owned()],
            DnsKind::A,
            1,
        )
        .await;
        assert!(news.groups.is_none() && news.error.is_some_and(|e| e.contains("no.such.name")));
    }
}

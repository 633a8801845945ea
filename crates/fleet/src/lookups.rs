//! Lookups that start programs on the controller or reach out from it: what templates of the playbook's author ask for.

mod config;
mod password;

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use wellkept_inventory::Value;
use wellkept_modules::{Call, Context, NoFiles};

use crate::settings::Settings;
use crate::values::{JsonMap, is_yes, key_text, to_json};

/// The most that a program may print, bytes.
const OUTPUT_MAX: u64 = 16 * 1024 * 1024;
/// Names of lookups that are answered here.
pub const NAMES: &[&str] = &["config", "lines", "password", "pipe", "url"];

type Answer = Result<Vec<Value>, String>;

/// Answers `pipe`, `lines`, `password` and `url`; `None` for lookups that are not known here.
pub fn answer(name: &str, terms: &[Value], options: &[(String, Value)]) -> Option<Answer> {
    answer_with(&Settings::default(), name, terms, options)
}

/// The same, and `config` from these settings.
pub fn answer_with(
    settings: &Settings,
    name: &str,
    terms: &[Value],
    options: &[(String, Value)],
) -> Option<Answer> {
    let said = Options(options);
    let texts = terms.iter().map(key_text);
    match name.rsplit('.').next().unwrap_or_default() {
        "pipe" => Some(texts.map(|term| pipe(&term, &said).map(Value::Unsafe)).collect()),
        "lines" => Some(all(texts.map(|term| lines(&term, &said)))),
        "password" => Some(texts.map(|term| password::answer(&term, &said).map(Value::Unsafe)).collect()),
        "url" => Some(all(texts.map(|term| url(&term, &said)))),
        "config" => Some(config::answer(settings, &texts.collect::<Vec<_>>(), &said)),
        _ => None,
    }
}

fn all(answers: impl Iterator<Item = Answer>) -> Answer {
    answers.collect::<Result<Vec<_>, _>>().map(|lists| lists.concat())
}

/// What was said beside the terms.
struct Options<'o>(&'o [(String, Value)]);

impl Options<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(key, value)| key == name && *value != Value::Null).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(key_text)
    }

    fn is_on(&self, name: &str, default: bool) -> bool {
        self.text(name).map_or(default, |text| is_yes(&text))
    }

    /// The playbook's folder.
    fn folder(&self) -> String {
        self.text("_basedir").unwrap_or_else(|| ".".to_owned())
    }
}

/// What a program of the shell prints, without white space at its end.
fn pipe(line: &str, said: &Options<'_>) -> Result<String, String> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir(said.folder()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(OUTPUT_MAX).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() {
        let code = status.code().unwrap_or(-1);
        return Err(format!("lookup_plugin.pipe({line}) returned {code}"));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.trim_end_matches(['\n', '\r', ' ', '\t']).to_owned())
}

fn lines(line: &str, said: &Options<'_>) -> Answer {
    let text = pipe(line, said).map_err(|why| why.replace("lookup_plugin.pipe(", "lookup_plugin.lines("))?;
    Ok(text.lines().map(|line| Value::Unsafe(line.to_owned())).collect())
}

/// What an address gives, by the module `uri` on this machine.
fn url(address: &str, said: &Options<'_>) -> Answer {
    let mut args = JsonMap::new();
    args.insert("url".to_owned(), address.into());
    args.insert("return_content".to_owned(), true.into());
    for (option, argument) in [
        ("validate_certs", "validate_certs"),
        ("username", "url_username"),
        ("password", "url_password"),
        ("headers", "headers"),
        ("timeout", "timeout"),
        ("http_agent", "http_agent"),
        ("force_basic_auth", "force_basic_auth"),
        ("unix_socket", "unix_socket"),
        ("ca_path", "ca_path"),
        ("use_proxy", "use_proxy"),
    ] {
        if let Some(value) = said.get(option) {
            args.insert(argument.to_owned(), to_json(value));
        }
    }
    let call = Call { module: "uri".to_owned(), args, ..Call::default() };
    // A thread of its own: what it waits for must not be what drives the play.
    let asked = std::thread::spawn(move || {
        let temp = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut context = Context::new(temp.path().to_owned(), crate::helper::now);
        Ok::<_, String>(wellkept_modules::run(&call, &NoFiles, &mut context))
    });
    let result = asked.join().map_err(|_| "the lookup url died".to_owned())??;
    if result.get("failed") == Some(&Json::Bool(true)) {
        let why = result.get("msg").and_then(Json::as_str).unwrap_or_default();
        return Err(format!("Failed lookup url for {address}: {why}"));
    }
    let content = result.get("content").and_then(Json::as_str).unwrap_or_default();
    if !said.is_on("split_lines", true) {
        return Ok(vec![Value::Unsafe(content.to_owned())]);
    }
    Ok(content.lines().map(|line| Value::Unsafe(line.to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Unsafe(text.to_owned())
    }

    fn ask(name: &str, term: &str, options: &[(&str, &str)]) -> Answer {
        let options: Vec<_> = options.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
        answer(name, &[text(term)], &options).expect("a lookup that is known")
    }

    #[test]
    fn what_a_program_prints_is_data() {
        assert_eq!(ask("ansible.builtin.pipe", "echo '{{ x }}'", &[]), Ok(vec![text("{{ x }}")]));
        assert!(ask("pipe", "exit 3", &[]).is_err_and(|e| e.contains("returned 3")));
        assert_eq!(ask("pipe", "pwd", &[("_basedir", "/")]), Ok(vec![text("/")]));
        assert_eq!(ask("lines", "printf 'a\\nb c\\n'", &[]), Ok(vec![text("a"), text("b c")]));
        assert!(answer("nope", &[], &[]).is_none());
    }

    #[test]
    fn an_address_is_asked_and_its_lines_are_told() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = format!("http://{}/x", listener.local_addr().expect("address"));
        let server = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.expect("a connection");
                let mut head = [0; 4096];
                let read = stream.read(&mut head).expect("a request");
                let asked = String::from_utf8_lossy(&head[..read]).to_lowercase();
                let body = if asked.contains("x-a: 1") { "one\ntwo\n" } else { "none\n" };
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                )
                .expect("an answer");
            }
        });
        let headers = Value::Map(vec![(text("X-A"), text("1"))]);
        let asked = answer("url", &[text(&address)], &[("headers".to_owned(), headers)]);
        assert_eq!(asked, Some(Ok(vec![text("one"), text("two")])));
        assert_eq!(ask("url", &address, &[("split_lines", "false")]), Ok(vec![text("none\n")]));
        server.join().expect("the server");
        assert!(ask("url", &address, &[]).is_err_and(|why| why.contains(&address)));
    }
}

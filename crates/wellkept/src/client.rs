//! A small client for the API of a running Wellkept, for the other commands.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use wellkept_catalogue::Language;
use wellkept_model::Text;

use crate::exit::{Failure, UNREACHABLE};
use crate::say;

/// Largest answer that is read.
const ANSWER_MAX: usize = 16 << 20;
/// Longest time for an answer.
const WITHIN: Duration = Duration::from_secs(30);
/// The same for snapshots and what is restored from them.
const WITHIN_PATIENT: Duration = Duration::from_secs(6 * 3600);

/// What a request carries: its type and its bytes.
type Content = (&'static str, Vec<u8>);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Talks to one running Wellkept.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    token: Option<String>,
    language: Language,
    data_dir: Option<PathBuf>,
    within: Duration,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, language: Language) -> Self {
        Self { address, token: None, language, data_dir: None, within: WITHIN }
    }

    /// Reads the token from the data directory; without one, acts will be refused by the server.
    pub(crate) fn with_token_of(mut self, data_dir: &Path) -> Self {
        let token = wellkept_state::read_token(data_dir).ok().flatten();
        self.data_dir = Some(data_dir.to_owned());
        self.token = token.map(|t| t.reveal().to_owned());
        self
    }

    /// The same for work that may take long.
    pub(crate) fn patient(&self) -> Self {
        Self { within: WITHIN_PATIENT, ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call("GET", path, None).await
    }

    /// Asks with parameters that may be too long for an address.
    pub(crate) async fn post_form(&self, path: &str, parameters: String) -> Result<Value, Failure> {
        self.call("POST", path, Some((FORM, parameters.into_bytes()))).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call("POST", path, Some((JSON, body.to_string().into_bytes()))).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<Content>) -> Result<Value, Failure> {
        let asked = tokio::time::timeout(self.within, self.ask(method, path, body)).await;
        let (status, bytes) = match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.unreachable(&format!("{error:#}"))),
            Err(_) => {
                let text = Text::new("cli.error.silent").with("ms", self.within.as_millis());
                return Err(self.failure(text));
            }
        };
        let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        let text = match (value.get("error").and_then(Value::as_str), &self.data_dir) {
            // What the server says is meant for programs that speak HTTP.
            (Some(_), Some(data_dir)) if status == StatusCode::UNAUTHORIZED => {
                Text::new("cli.error.token").with("data_dir", data_dir.display())
            }
            (Some(reason), _) => Text::new("cli.error.refused").with("reason", reason),
            (None, _) => Text::new("cli.error.refused_bare").with("status", status.as_u16()),
        };
        Err(self.failure(text))
    }

    /// Reads server-sent events until the server ends them; `take` gets the name and the data of each.
    pub(crate) async fn events(
        &self,
        path: &str,
        take: &mut (dyn FnMut(&str, &str) + Send),
    ) -> Result<(), Failure> {
        let stream = async {
            let answer = self.open("GET", path, None).await?;
            let status = answer.status();
            let mut body = answer.into_body();
            let mut events = Events::default();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    if !status.is_success() {
                        let told: Value = serde_json::from_slice(&data).unwrap_or_default();
                        anyhow::bail!("{}", told["error"].as_str().unwrap_or(status.as_str()));
                    }
                    events.push(&data, take);
                }
            }
            Ok(())
        };
        stream.await.map_err(|error: anyhow::Error| self.unreachable(&format!("{error:#}")))
    }

    fn unreachable(&self, why: &str) -> Failure {
        self.failure(Text::new("cli.error.unreachable").with("why", why))
    }

    fn failure(&self, text: Text) -> Failure {
        let text = text.with("address", self.address);
        Failure::new(UNREACHABLE, say::text(self.language, &text))
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Content>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = self.open(method, path, body).await?;
        let status = answer.status();
        let collected = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let bytes = collected.map_err(|e| anyhow::anyhow!("{e}"))?.to_bytes();
        Ok((status, bytes))
    }

    async fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<Content>,
    ) -> anyhow::Result<hyper::Response<hyper::body::Incoming>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string())
            .header("accept-language", self.language.tag());
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bytes = match body {
            Some((kind, bytes)) => {
                request = request.header("content-type", kind);
                bytes
            }
            None => Vec::new(),
        };
        Ok(sender.send_request(request.body(Full::new(Bytes::from(bytes)))?).await?)
    }
}

/// Longest line of an event; a longer one is thrown away.
const EVENT_MAX: usize = 4 << 20;

/// Takes a stream of events apart.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
    name: String,
}

impl Events {
    fn push(&mut self, bytes: &[u8], take: &mut (dyn FnMut(&str, &str) + Send)) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
            let later = self.rest.split_off(end + 1);
            let line = std::mem::replace(&mut self.rest, later);
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if let Some(name) = line.strip_prefix("event:") {
                name.trim().clone_into(&mut self.name);
            } else if let Some(data) = line.strip_prefix("data:") {
                take(&self.name, data.trim_start());
            }
        }
        if self.rest.len() > EVENT_MAX {
            self.rest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_whole_however_they_are_cut() {
        let text = b": still here\n\nevent: line\ndata: {\"a\":1}\n\nevent: dropped\ndata: {\"count\":3}\n\n";
        for cut in 0..text.len() {
            let (mut events, mut seen) = (Events::default(), Vec::new());
            let mut take = |name: &str, data: &str| seen.push(format!("{name} {data}"));
            events.push(&text[..cut], &mut take);
            events.push(&text[cut..], &mut take);
            assert_eq!(seen, ["line {\"a\":1}", "dropped {\"count\":3}"]);
        }
    }
}

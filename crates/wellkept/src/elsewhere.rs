//! The server that the keep file names under `source`, as a source of series.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Handle;
use wellkept_egress::{Bytes, Client, EgressError, Method, Request, TlsOptions, header};
use wellkept_model::keep::Upstream as Server;
use wellkept_model::{Labels, SeriesSource};
use wellkept_upstream::{Joined, Reply, Transport, TransportError, Upstream};

/// Longest password or token, bytes.
const SECRET_MAX: u64 = 8 << 10;

/// Our own store joined with the server that the keep file names; our own alone when it names none.
pub(crate) fn source(
    own: Arc<dyn SeriesSource>,
    identity: Labels,
    server: Option<&Server>,
) -> anyhow::Result<Arc<dyn SeriesSource>> {
    let Some(server) = server else { return Ok(own) };
    let ca_pem = server.ca_file.as_deref().map(read).transpose()?;
    let client = Client::new(&TlsOptions { ca_pem, ..TlsOptions::default() })
        .with_context(|| format!("source {}", server.url))?;
    let transport = Http {
        client,
        base: server.url.clone(),
        authorization: authorization(server)?,
        runtime: Handle::current(),
    };
    let upstream = Upstream::new(server.url.clone(), Box::new(transport));
    Ok(Arc::new(Joined::new(own, identity, Arc::new(upstream))))
}

/// Posts forms through the one client for requests to others.
struct Http {
    client: Client,
    base: String,
    authorization: Option<String>,
    runtime: Handle,
}

impl Transport for Http {
    fn post(
        &self,
        path: &str,
        form: &[(&str, String)],
        max: usize,
        time: Duration,
    ) -> Result<Reply, TransportError> {
        let url = format!("{}{path}", self.base);
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let kind = "application/x-www-form-urlencoded".to_owned();
        let mut headers = vec![(header::CONTENT_TYPE, kind)];
        headers.extend(self.authorization.clone().map(|a| (header::AUTHORIZATION, a)));
        let body = Bytes::from(body.finish());
        let request = Request { method: Method::POST, url: &url, headers, body, max, within: time };
        let answer = self.runtime.block_on(self.client.send(request)).map_err(|e| match e {
            EgressError::TooLong { max } => TransportError::TooLong { max },
            EgressError::Timeout(time) => TransportError::Timeout(time),
            other => TransportError::Broken(other.to_string()),
        })?;
        Ok(Reply { status: answer.status, body: answer.body.to_vec() })
    }
}

/// The header by which we sign in, from the files that the keep file names.
fn authorization(server: &Server) -> anyhow::Result<Option<String>> {
    if let Some(path) = &server.token_file {
        return Ok(Some(format!("Bearer {}", secret(path)?)));
    }
    match (&server.user, &server.password_file) {
        (Some(user), Some(path)) => Ok(Some(wellkept_egress::basic(user, &secret(path)?))),
        _ => Ok(None),
    }
}

/// The text of a secret's file without the line end that editors add.
fn secret(path: &Path) -> anyhow::Result<String> {
    let text = String::from_utf8(read(path)?).with_context(|| format!("{} is no text", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let about = || format!("{} cannot be read", path.display());
    let length = std::fs::metadata(path).with_context(about)?.len();
    anyhow::ensure!(length <= SECRET_MAX * 128, "{} is too long", path.display());
    std::fs::read(path).with_context(about)
}

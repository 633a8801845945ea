//! Artefacts and checksums from other servers: fetched once, by the controller.

use std::path::Path;
use std::time::Duration;

use wellkept_egress::{Client, Request, TlsOptions};

use super::refused;
use crate::error::DeployError;

/// The largest archive that is fetched, bytes: it is held in memory meanwhile.
const FETCHED_MAX: usize = 512 << 20;
/// How long fetching may take.
const WITHIN: Duration = Duration::from_secs(1800);

pub(super) async fn bytes(url: &str, max: usize) -> Result<Vec<u8>, DeployError> {
    let client = match Client::new(&TlsOptions::default()) {
        Ok(client) => client,
        Err(error) => return refused("deploy.no_artefact", &format!("{url}: {error}")),
    };
    match client.send(Request::get(url, max, WITHIN)).await {
        Ok(answer) if answer.status == 200 => Ok(answer.body.to_vec()),
        Ok(answer) => refused("deploy.no_artefact", &format!("{url}: HTTP {}", answer.status)),
        Err(error) => refused("deploy.no_artefact", &format!("{url}: {error}")),
    }
}

pub(super) async fn to_file(url: &str, to: &Path) -> Result<(), DeployError> {
    let bytes = bytes(url, FETCHED_MAX).await?;
    std::fs::write(to, bytes).map_err(DeployError::disk("write", to))
}

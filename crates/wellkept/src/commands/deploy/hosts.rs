//! Real hosts as the world of a deployment: modules by the fleet's hands, queries and changes to a running Wellkept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use wellkept_deploy::{Answer, Place, World};
use wellkept_fleet::adhoc;
use wellkept_fleet::helper::Allowed;
use wellkept_fleet::helper::protocol::Order;
use wellkept_fleet::play::Hands;
use wellkept_fleet::pool::Pool;
use wellkept_fleet::reach::Reach;
use wellkept_fleet::values::to_json;
use wellkept_model::{Text, TimestampMs};
use wellkept_modules::Call;
use wellkept_playbook::run::Outcome;
use wellkept_state::freeze_file;

use super::Scene;
use crate::cli::Output;
use crate::client::Client;
use crate::clock::now;
use crate::commands::Context;
use crate::commands::fleet::scene::me;
use crate::commands::fleet::stop_on_interrupt;
use crate::say;

/// A change of the current release: from, to.
type Change = (Option<String>, Option<String>);

/// The hosts of an app, and what is around them.
pub(super) struct Hosts {
    context: Context,
    hands: Hands,
    places: BTreeMap<String, adhoc::Place>,
    client: Client,
    data_dir: PathBuf,
    /// Where changes are recorded when no server takes them.
    change_log: Option<PathBuf>,
    to: String,
    stop: Arc<AtomicBool>,
    /// Changes that were told: one for all hosts.
    told: Mutex<BTreeSet<Change>>,
}

impl Hosts {
    /// Must be called within a runtime.
    pub(super) fn new(context: Context, scene: &Scene, pool: Arc<Pool>, exe: &Path) -> Self {
        Self {
            context,
            hands: Hands::new(pool, Arc::clone(&scene.stage.terminal) as _, exe, false),
            places: scene.places.iter().cloned().collect(),
            client: context.client(&scene.common.remote),
            data_dir: scene.data_dir.clone(),
            change_log: scene.keep.change_logs.first().cloned(),
            to: scene.app.to.display().to_string(),
            stop: stop_on_interrupt(),
            told: Mutex::default(),
        }
    }

    pub(super) async fn close(&self) {
        self.hands.close().await;
    }

    /// One line of JSON for the keep file's change log.
    fn log_change(&self, path: &Path, body: &Value) -> std::io::Result<()> {
        let at = jiff::Timestamp::from_millisecond(now().0).map_err(std::io::Error::other)?;
        let mut record = body.clone();
        if let Some(record) = record.as_object_mut() {
            record.insert("id".to_owned(), format!("deploy-{}-{}", now().0, std::process::id()).into());
            record.insert("time".to_owned(), at.to_string().into());
        }
        let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
        file.write_all(format!("{record}\n").as_bytes())
    }
}

impl World for Hosts {
    async fn module(&self, place: Place<'_>, call: Call, file: Option<&Path>) -> Answer {
        let here = adhoc::Place { reach: Reach::here("localhost"), who: None };
        let place = match place {
            Place::Controller => &here,
            Place::Host(host) => match self.places.get(host) {
                Some(place) => place,
                None => return Answer::Unreachable(format!("{host} is not in the inventory any more")),
            },
        };
        let roots = file.map(Path::to_owned).into_iter().collect();
        let files = Arc::new(Allowed { roots, keep_links: false });
        let order = Order { call, ..Order::default() };
        match self.hands.module(&place.reach, place.who.as_ref(), &order, &files).await {
            Outcome::Unreachable(why) => Answer::Unreachable(why),
            Outcome::Unknown(why) => Answer::Unknown(why),
            Outcome::Done(value) => match to_json(&value) {
                Value::Object(result) => Answer::Done(result),
                other => Answer::Unknown(format!("the host gave no result but {other}")),
            },
        }
    }

    fn address(&self, host: &str) -> String {
        match self.places.get(host) {
            Some(place) if !place.reach.local => place.reach.host.clone(),
            _ => "127.0.0.1".to_owned(),
        }
    }

    async fn query(&self, query: &str) -> Result<Option<f64>, String> {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let answer = self.client.post_form("/api/v1/query", form).await.map_err(|e| e.to_string())?;
        let result = answer.pointer("/data/result").cloned().unwrap_or_default();
        let value = match answer.pointer("/data/resultType").and_then(Value::as_str) {
            Some("scalar") => result.get(1).cloned(),
            Some("vector") => match result.as_array().map(Vec::as_slice) {
                Some([]) => return Ok(None),
                Some([one]) => one.pointer("/value/1").cloned(),
                Some(many) => return Err(format!("the query has {} values; one is accepted", many.len())),
                None => None,
            },
            _ => None,
        };
        let number = value.as_ref().and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok());
        number.map(|n| Some(n).filter(|n| !n.is_nan())).ok_or_else(|| "the query has no number".to_owned())
    }

    fn now(&self) -> TimestampMs {
        now()
    }

    async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    fn halted(&self) -> Option<Text> {
        if freeze_file::is_set(&self.data_dir) {
            return Some(Text::new("deploy.frozen").with("note", freeze_file::note(&self.data_dir)));
        }
        self.stop.load(Ordering::SeqCst).then(|| Text::new("deploy.stopped"))
    }

    async fn changed(&self, _: &str, before: Option<&str>, after: Option<&str>) {
        let change = (before.map(str::to_owned), after.map(str::to_owned));
        if !self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(change) {
            return;
        }
        let link = |version: Option<&str>| version.map(|v| format!("releases/{v}")).unwrap_or_default();
        let what = format!("{}/current", self.to);
        let body = json!({
            "kind": "release", "what": what, "who": me(), "before": link(before), "after": link(after),
        });
        if self.client.post("/api/v1/changes", &body).await.is_ok() {
            return;
        }
        if let Some(path) = &self.change_log
            && let Err(error) = self.log_change(path, &body)
        {
            say::error(&format!("{}: {error}", path.display()));
        }
    }

    fn tell(&self, line: Text) {
        if self.context.output == Output::Table {
            say::line(&say::text(self.context.language, &line));
        }
    }
}

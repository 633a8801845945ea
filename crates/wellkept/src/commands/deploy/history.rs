//! `wellkept deploy history`: what was deployed when, by whom, and how it ended.

use serde_json::json;
use wellkept_deploy::{Past, Status};

use super::args::Common;
use super::{Context, act_word, app_of, house, refused, status_text};
use crate::cli::Output;
use crate::commands::default_data_dir;
use crate::exit::OK;
use crate::say;

pub(super) fn run(context: Context, name: &str, common: &Common) -> anyhow::Result<u8> {
    let (_, app) = app_of(context, name, common)?;
    let data_dir = common.remote.data_dir.clone().unwrap_or_else(default_data_dir);
    let house = house(context, &data_dir, &app.name)?;
    let under_way = house.is_under_way();
    let past = house.past().map_err(|e| refused(context, &e))?;
    if context.output == Output::Json {
        for (number, one) in past.iter().enumerate() {
            say::line(&told(context, one, under_way && number == 0).to_string());
        }
        return Ok(OK);
    }
    let head = ["when", "what", "version", "who", "hosts", "result", "why"];
    let head = head.map(|column| say::word(context.language, &format!("deploy.column.{column}")));
    let rows = past.iter().enumerate().map(|(n, one)| row(context, one, under_way && n == 0));
    say::table(&head, rows.collect());
    Ok(OK)
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |at| at.strftime("%F %T").to_string())
}

fn status(context: Context, one: &Past, under_way: bool) -> String {
    if under_way && one.status == Status::Interrupted {
        return say::word(context.language, "deploy.status.under_way");
    }
    status_text(context, one.status)
}

fn row(context: Context, one: &Past, under_way: bool) -> Vec<String> {
    let head = &one.head;
    let why = one.why.as_ref().map(|why| say::text(context.language, why)).unwrap_or_default();
    let act = say::word(context.language, &format!("deploy.act.{}", act_word(head.act)));
    vec![
        time(head.began_ms),
        act,
        head.version.clone(),
        head.who.clone(),
        (head.hosts.len() + head.already.len()).to_string(),
        status(context, one, under_way),
        why,
    ]
}

fn told(context: Context, one: &Past, under_way: bool) -> serde_json::Value {
    let head = &one.head;
    let hosts: Vec<_> = head.hosts.iter().map(|h| json!({"host": h.name, "before": h.before})).collect();
    let status = if under_way && one.status == Status::Interrupted { "under_way" } else { one.status.word() };
    json!({
        "id": head.id, "act": act_word(head.act), "version": head.version, "who": head.who,
        "controller": head.controller, "began_ms": head.began_ms, "ended_ms": one.ended_ms,
        "status": status, "why": one.why.as_ref().map(|why| say::text(context.language, why)),
        "hosts": hosts, "already": head.already, "sha256": head.sha256, "commit": head.commit,
    })
}

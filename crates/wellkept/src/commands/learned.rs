//! `wellkept learned`: which actions have helped against which causes, and forgetting it.

use serde_json::{Value, json};
use wellkept_model::Text;

use super::Context;
use crate::cli::{Output, Remote};
use crate::exit::OK;
use crate::say::{self, word};

/// `reset`: what to forget, as `KIND` or `KIND/ACTION`; everything when it is empty.
pub(super) async fn run(c: Context, remote: Remote, reset: Option<String>) -> anyhow::Result<u8> {
    let client = c.client(&remote);
    let Some(what) = reset else {
        let answer = client.get("/api/v1/learned").await?;
        show(c, &answer);
        return Ok(OK);
    };
    let answer = client.post("/api/v1/learned/reset", &body(&what)).await?;
    match c.output {
        Output::Json => say::line(&answer.to_string()),
        Output::Table => say::line(&word(c.language, "cli.learned.forgotten")),
    }
    Ok(OK)
}

/// Words that are none are for the server to refuse: it names those that it knows.
fn body(what: &str) -> Value {
    match what.split_once('/') {
        None if what.is_empty() => json!({}),
        None => json!({ "cause": what }),
        Some((cause, action)) => json!({ "cause": cause, "action": action }),
    }
}

fn show(c: Context, answer: &Value) {
    let rows = answer["learned"].as_array().map(Vec::as_slice).unwrap_or_default();
    match c.output {
        Output::Json => say::line(&answer.to_string()),
        Output::Table if rows.is_empty() => say::line(&word(c.language, "cli.learned.none")),
        Output::Table => {
            let head = ["cause", "action", "helped", "failed", "undone", "expected"];
            let head = head.map(|k| word(c.language, &format!("cli.learned.{k}")));
            say::table(&head, rows.iter().map(|r| row(c, r)).collect());
        }
    }
}

fn row(c: Context, r: &Value) -> Vec<String> {
    let name = |text: &str, word: &str| {
        let shown =
            format!("{} ({})", r[text].as_str().unwrap_or_default(), r[word].as_str().unwrap_or_default());
        wellkept_catalogue::harmless(&shown).into_owned()
    };
    let expected = Text::new("cli.percent").with("x", r["expected"].as_f64().unwrap_or(0.0));
    vec![
        name("cause_text", "cause"),
        name("action_text", "action"),
        r["helped"].to_string(),
        r["failed"].to_string(),
        r["undone"].to_string(),
        say::text(c.language, &expected),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_one_kind_or_one_pair_is_asked_to_be_forgotten() {
        assert_eq!(body(""), json!({}));
        assert_eq!(body("bad_setting"), json!({ "cause": "bad_setting" }));
        assert_eq!(body("bad_setting/rollback"), json!({ "cause": "bad_setting", "action": "rollback" }));
    }
}

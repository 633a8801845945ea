//! Tests a service's configuration: when one of its files was changed, and again while something is wrong.

use std::time::{Duration, SystemTime};

use wellkept_model::keep::{Command, Service};
use wellkept_model::observe::ConfigSeen;

use super::{Shared, program};
use crate::{beat, clock};

/// How often the files are looked at; that costs one call of the kernel each.
const EVERY: Duration = Duration::from_secs(1);
/// Longest time that a test may take, whatever is declared.
const WITHIN_MAX: Duration = Duration::from_secs(10);

pub(super) async fn watch(shared: Shared, service: Service, test: Command) {
    let mut closely = shared.closely.subscribe();
    let mut tested: Option<Vec<Option<(SystemTime, u64)>>> = None;
    let mut failed = false;
    loop {
        let now: Vec<_> = service.files.iter().map(|f| signature(&f.path)).collect();
        let asked = closely.has_changed().unwrap_or(false);
        if tested.as_ref() != Some(&now) || asked || failed {
            closely.mark_unchanged();
            if let Ok(ran) = program::run(&test.argv, test.within.min(WITHIN_MAX)).await {
                failed = !ran.good;
                let failure = failed.then(|| reason(&ran));
                let seen = ConfigSeen { at: clock::wall(), failure };
                shared.lock().configs.insert(service.name.clone(), seen);
            }
            tested = Some(now);
            if asked && !failed {
                // It passes: no use in asking again at once.
                tokio::time::sleep(EVERY * 4).await;
            }
        }
        beat::wait(EVERY).await;
    }
}

/// The line that names a place, else the last words.
fn reason(ran: &program::Ran) -> String {
    let all = format!("{}\n{}", ran.output, ran.errors);
    let telling = |l: &&str| l.contains(" in /") || l.contains(".conf:") || l.contains("line ");
    let line = all.lines().find(telling).unwrap_or_default();
    program::last_words(if line.is_empty() { &all } else { line })
}

fn signature(path: &std::path::Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_names_a_place_is_told() {
        let errors = "nginx: [emerg] unknown directive \"x\" in /etc/nginx/a.conf:3\nnginx: test failed\n";
        let ran = program::Ran { good: false, output: String::new(), errors: errors.to_owned() };
        assert!(reason(&ran).ends_with("in /etc/nginx/a.conf:3"));
        let ran = program::Ran { good: false, output: String::new(), errors: "it is bad\n".to_owned() };
        assert_eq!(reason(&ran), "it is bad");
    }
}

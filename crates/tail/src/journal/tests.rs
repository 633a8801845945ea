//! A stand-in for `journalctl` that plays recorded entries, and the arguments that the real one gets.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::testing::{Shelf, wall_clock};

const RECORDED: &str = r#"{"__CURSOR":"s=a;i=1","__REALTIME_TIMESTAMP":"1704164645000001","PRIORITY":"6","_HOSTNAME":"web-1","_SYSTEMD_UNIT":"nginx.service","MESSAGE":"one"}
{"__CURSOR":"s=a;i=2","__REALTIME_TIMESTAMP":"1704164645000002","PRIORITY":"3","_HOSTNAME":"web-1","_SYSTEMD_UNIT":"nginx.service","MESSAGE":[116,119,111,0]}
no entry
{"__CURSOR":"s=a;i=3","__REALTIME_TIMESTAMP":"1704164645000003","MESSAGE":"three"}
"#;

/// A program that prints the file `entries` once, notes its arguments, and then waits or ends.
fn stand_in(folder: &std::path::Path, behind: &str) -> JournalConfig {
    let path = folder.join("journalctl");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {0}/arguments\nmv {0}/entries {0}/printed 2>/dev/null && cat {0}/printed\n{behind}\n",
        folder.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    JournalConfig { journalctl: path, ..JournalConfig::default() }
}

#[tokio::test]
async fn entries_are_read_and_reading_goes_on_behind_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("entries"), RECORDED).unwrap();
    let config = stand_in(folder.path(), "exit 0");
    let shelf = Arc::new(Shelf::default());
    let counts = Arc::new(JournalCounts::default());
    let outlet: Arc<dyn Outlet> = Arc::clone(&shelf) as _;
    let following = tokio::spawn({
        let counts = Arc::clone(&counts);
        async move { follow(config, &[], outlet, wall_clock(), counts).await }
    });
    shelf.holds(3).await;
    let more = r#"{"__CURSOR":"s=a;i=4","MESSAGE":"four"}"#;
    std::fs::write(folder.path().join("new"), format!("{more}\n")).unwrap();
    std::fs::rename(folder.path().join("new"), folder.path().join("entries")).unwrap();
    shelf.holds(4).await;
    following.abort();
    assert_eq!(shelf.texts(), ["one", "two\0", "three", "four"]);
    assert_eq!(
        shelf.lines()[0].labels.to_string(),
        r#"{door="journal", host="web-1", service="nginx", unit="nginx.service"}"#
    );
    assert_eq!(shelf.lines()[0].at_ns, 1_704_164_645_000_001_000);
    assert_eq!(shelf.note(NOTE).as_deref(), Some("s=a;i=4"));
    assert_eq!(counts.refused.load(Ordering::Relaxed), 1);
    let arguments = std::fs::read_to_string(folder.path().join("arguments")).unwrap();
    let arguments: Vec<&str> = arguments.lines().collect();
    assert!(arguments[0].ends_with("--lines=0"), "{arguments:?}");
    assert!(arguments[1].ends_with("--after-cursor=s=a;i=3 --lines=all"), "{arguments:?}");
}

#[tokio::test]
async fn a_lost_cursor_is_counted_and_reading_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = stand_in(folder.path(), "case \"$*\" in *after-cursor*) exit 1;; esac; sleep 600");
    let shelf = Arc::new(Shelf::default());
    let counts = Arc::new(JournalCounts::default());
    let outlet: Arc<dyn Outlet> = Arc::clone(&shelf) as _;
    let notes = [Note { key: NOTE.into(), value: Some("s=gone".into()) }];
    let following = tokio::spawn({
        let counts = Arc::clone(&counts);
        async move { follow(config, &notes, outlet, wall_clock(), counts).await }
    });
    let path = folder.path().join("arguments");
    let started_twice = async {
        while std::fs::read_to_string(&path).unwrap_or_default().lines().count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), started_twice).await.unwrap();
    following.abort();
    assert_eq!(counts.cursor_lost.load(Ordering::Relaxed), 1);
    let arguments = std::fs::read_to_string(&path).unwrap();
    assert!(arguments.lines().nth(1).unwrap().ends_with("--lines=0"), "{arguments}");
}

#[test]
fn what_stands_in_a_cursor_is_one_argument() {
    let config = JournalConfig { directory: Some("/var/log/journal/x".into()), ..JournalConfig::default() };
    let arguments = arguments(&config, Some("s=a --vacuum-size=1; rm"));
    assert!(arguments.contains(&"--after-cursor=s=a --vacuum-size=1; rm".to_owned()));
    assert!(arguments.contains(&"--directory=/var/log/journal/x".to_owned()));
}

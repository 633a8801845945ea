//! The figures that must not get worse, on public data that lies beside the workspace and is not part of it.
//!
//! Where the data is absent a test says so by name and measures nothing.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    dead_code,
    reason = "tests may fail loudly; the examples use the rest"
)]

use std::path::{Path, PathBuf};

#[path = "support/loghub.rs"]
mod loghub;
#[path = "support/sessions.rs"]
mod sessions;

use wellkept_logmine::anomaly::session::SessionConfig;

/// Folder `name` of the public data, if it is there.
fn data(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    let there = folder.is_dir();
    if !there {
        println!("SKIPPED: {name}: no folder {}", folder.display());
    }
    there.then_some(folder)
}

#[test]
fn templates_are_found_on_all_systems_with_one_setting() {
    let Some(folder) = data("loghub2k") else { return };
    let systems = loghub::systems(&folder);
    let [ga, pa, fga, fta] = loghub::mean(&systems);
    assert!(
        ga >= 0.96 && pa >= 0.85 && fga >= 0.93 && fta >= 0.75,
        "GA {ga:.3} PA {pa:.3} FGA {fga:.3} FTA {fta:.3}"
    );
    for system in &systems {
        assert!(system.figures[0] >= 0.9, "{}: GA {:.3}", system.name, system.figures[0]);
    }
}

#[test]
fn odd_sessions_are_found_after_training_on_normal_ones_only() {
    let Some(folder) = data("logseq") else { return };
    let of = |path: &str| sessions::rows(&folder.join(path));
    let (train, test) = (of("hdfs/train.csv.gz"), of("hdfs/test.csv.gz"));
    let scores = sessions::judged(&train, &test, SessionConfig::default().false_alarms);
    let found = sessions::figures(&test, &scores, Some(0.0293));
    assert!(found.f1 >= 0.97, "{found:?}");
    let auc = sessions::auc(&of("hadoop/all.csv.gz"));
    assert!(auc >= 0.65, "{auc}");
}

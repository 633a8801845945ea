//! Prints how well odd sessions are found: HDFS and OpenStack trained on normal sessions only, Hadoop by AUC.
//!
//! `logmine_sessions FOLDER`: FOLDER holds `hdfs/{train,test}.csv.gz`, `openstack/{train,test}.csv.gz` and
//! `hadoop/all.csv.gz`, each `id,label,events`. F1 is given at the natural mix of 2.93 % anomalies on HDFS, which is
//! far below that of the sample. With `OUT=FOLDER2` writes `id,score,flag` for other scorers.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "an example takes its settings from the environment")]

use std::path::Path;

use wellkept_logmine::anomaly::session::SessionConfig;

#[path = "../tests/support/sessions.rs"]
mod sessions;

use sessions::{auc, figures, judged, rows};

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let folder = Path::new(&folder);
    for (system, ratio) in [("hdfs", Some(0.0293)), ("openstack", None)] {
        let (train, test) =
            (rows(&folder.join(system).join("train.csv.gz")), rows(&folder.join(system).join("test.csv.gz")));
        for false_alarms in [0.001, 0.002, SessionConfig::default().false_alarms, 0.005, 0.01] {
            let scores = judged(&train, &test, false_alarms);
            let f = figures(&test, &scores, ratio);
            println!(
                "{system:10} false alarms {false_alarms:.4}: precision {:.4} recall {:.4} F1 {:.4} ({} of {} normal flagged)",
                f.precision, f.recall, f.f1, f.alarms, f.normal
            );
            let chosen = false_alarms == SessionConfig::default().false_alarms;
            if let (true, Ok(out)) = (chosen, std::env::var("OUT")) {
                let lines = test
                    .iter()
                    .zip(&scores)
                    .map(|(r, s)| format!("{},{},{}\n", r.id, s.score, u8::from(s.odd)));
                std::fs::write(
                    Path::new(&out).join(format!("{system}.csv")),
                    format!("id,score,flag\n{}", lines.collect::<String>()),
                )
                .unwrap();
            }
        }
    }
    println!("hadoop     AUC {:.3}", auc(&rows(&folder.join("hadoop/all.csv.gz"))));
}

//! Prints how well odd sessions are found: HDFS and OpenStack trained on normal sessions only, Hadoop by AUC.
//!
//! `logmine_sessions FOLDER`: FOLDER holds `hdfs/{train,test}.csv.gz`, `openstack/{train,test}.csv.gz` and
//! `hadoop/all.csv.gz`, each `id,label,events`. F1 is given at the natural mix of 2.93 % anomalies on HDFS, which is
//! far below that of the sample. With `OUT=FOLDER2` writes `id,score,flag` for other scorers.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::Read;
use std::path::Path;

use wellkept_logmine::anomaly::session::{Session, SessionConfig, SessionModel};

struct Row {
    id: String,
    odd: bool,
    events: Vec<u64>,
}

impl Row {
    fn session(&self) -> Session<'_> {
        Session { parent: self.id.split_once('/').map(|(parent, _)| parent), events: &self.events }
    }
}

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let folder = Path::new(&folder);
    for (system, ratio) in [("hdfs", Some(0.0293)), ("openstack", None)] {
        let (train, test) =
            (rows(&folder.join(system).join("train.csv.gz")), rows(&folder.join(system).join("test.csv.gz")));
        for false_alarms in [0.001, 0.002, SessionConfig::default().false_alarms, 0.005, 0.01] {
            let config = SessionConfig { false_alarms, ..SessionConfig::default() };
            let sessions: Vec<Session<'_>> = train.iter().map(Row::session).collect();
            let model = SessionModel::train(&sessions, config).unwrap();
            let scores = model.judge(&test.iter().map(Row::session).collect::<Vec<_>>());
            let (mut hits, mut alarms, mut odd, mut normal) = (0.0, 0.0, 0.0, 0.0);
            for (row, score) in test.iter().zip(&scores) {
                let flag = f64::from(u8::from(score.odd));
                if row.odd {
                    (odd, hits) = (odd + 1.0, hits + flag)
                } else {
                    (normal, alarms) = (normal + 1.0, alarms + flag)
                }
            }
            let ratio = ratio.unwrap_or(odd / (odd + normal));
            let (recall, false_rate) = (hits / odd, alarms / normal);
            let precision = ratio * recall / (ratio * recall + (1.0 - ratio) * false_rate);
            println!(
                "{system:10} false alarms {false_alarms:.4}: precision {precision:.4} recall {recall:.4} F1 {:.4} ({alarms} of {normal} normal flagged)",
                2.0 * precision * recall / (precision + recall)
            );
            if false_alarms == SessionConfig::default().false_alarms
                && let Ok(out) = std::env::var("OUT")
            {
                let mut csv = String::from("id,score,flag\n");
                for (row, score) in test.iter().zip(&scores) {
                    csv.push_str(&format!("{},{},{}\n", row.id, score.score, u8::from(score.odd)));
                }
                std::fs::write(Path::new(&out).join(format!("{system}.csv")), csv).unwrap();
            }
        }
    }
    hadoop(&rows(&folder.join("hadoop/all.csv.gz")));
}

/// Normal sessions are scored without their own job, the others by all normal ones.
fn hadoop(rows: &[Row]) {
    let normal: Vec<Session<'_>> = rows.iter().filter(|r| !r.odd).map(Row::session).collect();
    let odd: Vec<Session<'_>> = rows.iter().filter(|r| r.odd).map(Row::session).collect();
    let auc = |alone: bool| {
        let model = SessionModel::train(&normal, SessionConfig::default()).unwrap();
        let scores: Vec<f64> = model
            .judge(
                &odd.iter()
                    .map(|s| Session { parent: s.parent.filter(|_| !alone), ..*s })
                    .collect::<Vec<_>>(),
            )
            .iter()
            .map(|s| s.score)
            .collect();
        let normals = if alone { model_alone(&normal) } else { model.normal_scores().to_vec() };
        let mut won = 0.0;
        for score in &scores {
            won += normals
                .iter()
                .map(|n| {
                    if score > n {
                        1.0
                    } else if score == n {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum::<f64>();
        }
        won / (scores.len() * normals.len()) as f64
    };
    println!("hadoop     AUC {:.3} (each container by itself {:.3})", auc(false), auc(true));
}

/// Scores of normal containers without those of their job, each by itself.
fn model_alone(normal: &[Session<'_>]) -> Vec<f64> {
    let mut scores = Vec::new();
    for session in normal {
        let others: Vec<Session<'_>> =
            normal.iter().filter(|o| o.parent != session.parent).copied().collect();
        let model = SessionModel::train(&others, SessionConfig::default()).unwrap();
        scores.push(model.judge(&[Session { parent: None, ..*session }])[0].score);
    }
    scores
}

fn rows(path: &Path) -> Vec<Row> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let mut fields = line.splitn(3, ',');
            let (id, label, events) =
                (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
            let events = events.split_ascii_whitespace().map(|e| e.parse().unwrap()).collect();
            Row { id: id.to_owned(), odd: label != "normal", events }
        })
        .collect()
}

//! Sessions with labels: reads them and gives F1 at the natural mix of anomalies, and AUC.

use std::io::Read;
use std::path::Path;

use wellkept_logmine::anomaly::session::{Session, SessionConfig, SessionModel, SessionScore};

pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) odd: bool,
    pub(crate) events: Vec<u64>,
}

impl Row {
    pub(crate) fn session(&self) -> Session<'_> {
        Session { parent: self.id.split_once('/').map(|(parent, _)| parent), events: &self.events }
    }
}

/// Precision, recall and F1, and how many normal sessions were flagged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub f1: f64,
    pub(crate) alarms: f64,
    pub(crate) normal: f64,
}

/// Trains on `train`, judges `test`.
pub(crate) fn judged(train: &[Row], test: &[Row], false_alarms: f64) -> Vec<SessionScore> {
    let config = SessionConfig { false_alarms, ..SessionConfig::default() };
    let model = SessionModel::train(&train.iter().map(Row::session).collect::<Vec<_>>(), config).unwrap();
    model.judge(&test.iter().map(Row::session).collect::<Vec<_>>())
}

/// Figures when a share `ratio` of sessions is odd; the share in `test` without it.
pub(crate) fn figures(test: &[Row], scores: &[SessionScore], ratio: Option<f64>) -> Figures {
    let (mut hits, mut alarms, mut odd, mut normal) = (0.0, 0.0, 0.0, 0.0);
    for (row, score) in test.iter().zip(scores) {
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
    Figures { precision, recall, f1: 2.0 * precision * recall / (precision + recall), alarms, normal }
}

/// AUC: normal sessions are scored without their own job, the others by all normal ones.
pub(crate) fn auc(rows: &[Row]) -> f64 {
    let normal: Vec<Session<'_>> = rows.iter().filter(|r| !r.odd).map(Row::session).collect();
    let odd: Vec<Session<'_>> = rows.iter().filter(|r| r.odd).map(Row::session).collect();
    let model = SessionModel::train(&normal, SessionConfig::default()).unwrap();
    let won = |score: f64| {
        model
            .normal_scores()
            .iter()
            .map(|n| {
                if score > *n {
                    1.0
                } else if score == *n {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>()
    };
    let wins: f64 = model.judge(&odd).iter().map(|s| won(s.score)).sum();
    wins / (odd.len() * normal.len()) as f64
}

pub(crate) fn rows(path: &Path) -> Vec<Row> {
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

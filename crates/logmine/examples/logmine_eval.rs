//! Prints how well templates are found on Loghub-2k: GA, PA, FGA, FTA per system and their mean.
//!
//! `logmine_eval FOLDER [SYSTEM]`: FOLDER holds `<S>/<S>_2k.log_structured_corrected.csv`. With SYSTEM also prints
//! what is wrong there, costliest first. The figures are those of Jiang et al., ISSTA 2024.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wellkept_logmine::Miner;
use wellkept_model::TemplateMiner;

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let shown = std::env::args().nth(2);
    let mut systems: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    systems.sort();
    let mut all = Vec::new();
    println!("{:12} {:>6} {:>6} {:>6} {:>6}  true found", "system", "GA", "PA", "FGA", "FTA");
    for system in systems {
        let csv = Path::new(&folder).join(&system).join(format!("{system}_2k.log_structured_corrected.csv"));
        let Ok(csv) = std::fs::read_to_string(csv) else { continue };
        let rows = read_csv(&csv);
        let column = |name: &str| rows[0].iter().position(|c| c == name).unwrap();
        let (content, truth) = (column("Content"), column("EventTemplate"));
        let mut miner = Miner::default();
        let mut params = Vec::new();
        let ids: Vec<_> =
            rows[1..].iter().map(|r| miner.split(r[content].as_bytes(), &mut params).template).collect();
        miner.settle();
        let ours: Vec<(u64, String)> =
            ids.iter().map(|&id| (miner.resolve(id).0, miner.text(id).unwrap().to_owned())).collect();
        let truth: Vec<&str> = rows[1..].iter().map(|r| r[truth].as_str()).collect();
        let figures = score(&truth, &ours);
        println!("{system:12} {} {:5} {:5}", row(&figures.0), figures.1, figures.2);
        if let Ok(out) = std::env::var("PRED") {
            let mut csv = String::from("LineId,EventId,EventTemplate\n");
            for (i, (id, text)) in ours.iter().enumerate() {
                csv.push_str(&format!("{},{id},\"{}\"\n", i + 1, text.replace('"', "\"\"")));
            }
            std::fs::write(Path::new(&out).join(format!("{system}.csv")), csv).unwrap();
        }
        all.push(figures.0);
        if shown.as_deref() == Some(&system) {
            let content: Vec<&str> = rows[1..].iter().map(|r| r[content].as_str()).collect();
            faults(&truth, &ours, &content);
        }
    }
    for (name, part) in
        [("first half", &all[..all.len() / 2]), ("second half", &all[all.len() / 2..]), ("mean", &all[..])]
    {
        let mean: Vec<f64> =
            (0..4).map(|i| part.iter().map(|f| f[i]).sum::<f64>() / part.len() as f64).collect();
        println!("{name:12} {}", row(&mean.try_into().unwrap()));
    }
}

fn row(figures: &[f64; 4]) -> String {
    figures.map(|f| format!("{f:6.3}")).join(" ")
}

fn f1(right: usize, found: usize, wanted: usize) -> f64 {
    2.0 * right as f64 / (found + wanted) as f64
}

fn score(truth: &[&str], ours: &[(u64, String)]) -> ([f64; 4], usize, usize) {
    let mut wanted: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let mut found: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    let mut texts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (i, (t, (id, text))) in truth.iter().zip(ours).enumerate() {
        wanted.entry(t).or_default().insert(i);
        found.entry(*id).or_default().insert(i);
        texts.entry(text).or_default().insert(t);
    }
    let right: Vec<&BTreeSet<usize>> =
        found.values().filter(|lines| wanted.get(truth[*lines.first().unwrap()]) == Some(lines)).collect();
    let n = truth.len() as f64;
    let ga = right.iter().map(|l| l.len()).sum::<usize>() as f64 / n;
    let pa = truth.iter().zip(ours).filter(|(t, (_, o))| *t == o).count() as f64 / n;
    let ok = texts.iter().filter(|(text, t)| t.len() == 1 && t.contains(*text)).count();
    (
        [ga, pa, f1(right.len(), found.len(), wanted.len()), f1(ok, texts.len(), wanted.len())],
        wanted.len(),
        found.len(),
    )
}

fn faults(truth: &[&str], ours: &[(u64, String)], content: &[&str]) {
    let mut pairs: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (i, (t, (_, o))) in truth.iter().zip(ours).enumerate() {
        pairs.entry((t, o)).or_default().push(i);
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    for ((t, o), lines) in &pairs {
        let split = pairs.iter().filter(|((t2, _), _)| t2 == t).count();
        let mixed = pairs.iter().filter(|((_, o2), _)| o2 == o).count();
        if t != o || split > 1 || mixed > 1 {
            println!(
                "{:5}  split {split} mixed {mixed}\n   want {t}\n   have {o}\n   line {}",
                lines.len(),
                content[lines[0]]
            );
        }
    }
}

fn read_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field).trim_end_matches('\r').to_owned());
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

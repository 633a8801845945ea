//! Prints how well templates are found on Loghub-2k: GA, PA, FGA, FTA per system and their mean.
//!
//! `logmine_eval FOLDER [SYSTEM]`: FOLDER holds `<S>/<S>_2k.log_structured_corrected.csv`. With SYSTEM also prints
//! what is wrong there, costliest first. With `PRED=FOLDER2` writes `<S>.csv` for other scorers.
#![allow(clippy::print_stdout, clippy::unwrap_used)]
#![expect(clippy::disallowed_methods, reason = "an example takes its settings from the environment")]

use std::collections::BTreeMap;
use std::path::Path;

#[path = "../tests/support/loghub.rs"]
mod loghub;

use loghub::{System, mean, systems};

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    let shown = std::env::args().nth(2);
    println!("{:12} {:>6} {:>6} {:>6} {:>6}  true found", "system", "GA", "PA", "FGA", "FTA");
    let all = systems(Path::new(&folder));
    for system in &all {
        println!(
            "{:12} {} {:5} {:5}",
            system.name,
            row(system.figures),
            system.true_templates,
            system.found_templates
        );
        if let Ok(out) = std::env::var("PRED") {
            write(system, Path::new(&out));
        }
        if shown.as_deref() == Some(&system.name) {
            faults(system);
        }
    }
    for (name, part) in
        [("first half", &all[..all.len() / 2]), ("second half", &all[all.len() / 2..]), ("mean", &all[..])]
    {
        println!("{name:12} {}", row(mean(part)));
    }
}

fn row(figures: [f64; 4]) -> String {
    figures.map(|f| format!("{f:6.3}")).join(" ")
}

fn write(system: &System, folder: &Path) {
    let mut csv = String::from("LineId,EventId,EventTemplate\n");
    for (i, (id, text)) in system.ours.iter().enumerate() {
        csv.push_str(&format!("{},{id},\"{}\"\n", i + 1, text.replace('"', "\"\"")));
    }
    std::fs::write(folder.join(format!("{}.csv", system.name)), csv).unwrap();
}

fn faults(system: &System) {
    let mut pairs: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (i, (t, (_, o))) in system.truth.iter().zip(&system.ours).enumerate() {
        pairs.entry((t, o)).or_default().push(i);
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    for ((t, o), lines) in &pairs {
        let split = pairs.iter().filter(|((t2, _), _)| t2 == t).count();
        let mixed = pairs.iter().filter(|((_, o2), _)| o2 == o).count();
        if t != o || split > 1 || mixed > 1 {
            let line = &system.contents[lines[0]];
            println!(
                "{:5}  split {split} mixed {mixed}\n   want {t}\n   have {o}\n   line {line}",
                lines.len()
            );
        }
    }
}

//! Loghub-2k: reads it, mines it, and gives the figures of Jiang et al., ISSTA 2024.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wellkept_logmine::Miner;
use wellkept_model::TemplateMiner;

/// One system, mined.
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) contents: Vec<String>,
    pub(crate) truth: Vec<String>,
    /// Id and text of the template of each line.
    pub(crate) ours: Vec<(u64, String)>,
    /// GA, PA, FGA, FTA.
    pub(crate) figures: [f64; 4],
    pub(crate) true_templates: usize,
    pub(crate) found_templates: usize,
}

/// All systems below `folder`, in order of their names: each mined in file order, once, by a miner of its own.
pub(crate) fn systems(folder: &Path) -> Vec<System> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.into_iter().filter_map(|name| system(folder, name)).collect()
}

fn system(folder: &Path, name: String) -> Option<System> {
    let csv = folder.join(&name).join(format!("{name}_2k.log_structured_corrected.csv"));
    let rows = read_csv(&std::fs::read_to_string(csv).ok()?);
    let column = |name: &str| {
        let at = rows[0].iter().position(|c| c == name).unwrap();
        rows[1..].iter().map(|row| row[at].clone()).collect::<Vec<String>>()
    };
    let (contents, truth) = (column("Content"), column("EventTemplate"));
    let (mut miner, mut params) = (Miner::default(), Vec::new());
    let ids: Vec<_> = contents.iter().map(|c| miner.split(c.as_bytes(), &mut params).template).collect();
    miner.settle();
    let ours: Vec<_> =
        ids.iter().map(|&id| (miner.resolve(id).0, miner.text(id).unwrap().to_owned())).collect();
    let (figures, true_templates, found_templates) = score(&truth, &ours);
    Some(System { name, contents, truth, ours, figures, true_templates, found_templates })
}

/// Mean of each figure.
pub(crate) fn mean(systems: &[System]) -> [f64; 4] {
    std::array::from_fn(|i| systems.iter().map(|s| s.figures[i]).sum::<f64>() / systems.len() as f64)
}

fn f1(right: usize, found: usize, wanted: usize) -> f64 {
    2.0 * right as f64 / (found + wanted) as f64
}

fn score(truth: &[String], ours: &[(u64, String)]) -> ([f64; 4], usize, usize) {
    let mut wanted: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let mut found: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    let mut texts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (i, (t, (id, text))) in truth.iter().zip(ours).enumerate() {
        wanted.entry(t).or_default().insert(i);
        found.entry(*id).or_default().insert(i);
        texts.entry(text).or_default().insert(t);
    }
    let right: Vec<&BTreeSet<usize>> = found
        .values()
        .filter(|lines| wanted.get(truth[*lines.first().unwrap()].as_str()) == Some(lines))
        .collect();
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

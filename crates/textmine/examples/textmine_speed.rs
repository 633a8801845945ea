//! Lines per second and memory: `textmine_speed [FILE]`; and, for a file of labelled sequences of template numbers
//! (`id,label,events`), how often the most alike other incident has the same label: `textmine_speed --labelled FILE`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use std::collections::BTreeMap;
use std::time::Instant;

use wellkept_model::TemplateId;
use wellkept_textmine::{
    Background, Fingerprint, IncidentLine, Tokeniser, key_terms, similar_from, summarise,
};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--labelled", file] => labelled(file),
        [file] => speed(&std::fs::read(file).expect("the file can be read")),
        _ => {
            let english = "2024-01-02T03:04:05Z ERROR [pool-3] OrderService.save: connection to 10.0.0.5:5432 refused\n";
            let chinese =
                "2024-01-02 03:04:05 错误 订单服务: 数据库连接失败, 磁盘空间不足, 请求 1024 已放弃\n";
            println!("English");
            speed(english.repeat(50_000).as_bytes());
            println!("Chinese");
            speed(chinese.repeat(50_000).as_bytes());
        }
    }
}

fn resident_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|p| p.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0 / 1e6
}

fn speed(text: &[u8]) {
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
    let tokeniser = Tokeniser::new();
    let before = resident_mb();
    let start = Instant::now();
    let _ = tokeniser.terms(lines.first().copied().unwrap_or(b""));
    println!("  first line {:.1} ms, +{:.1} MB", start.elapsed().as_secs_f64() * 1e3, resident_mb() - before);
    let rate = |name: &str, n: usize, start: Instant| {
        println!("  {name}: {:.0} lines/s", n as f64 / start.elapsed().as_secs_f64());
    };
    let start = Instant::now();
    let terms: usize = lines.iter().map(|l| tokeniser.terms(l).len()).sum();
    rate(&format!("terms ({terms})"), lines.len(), start);
    let mut background = Background::default();
    let start = Instant::now();
    lines.iter().for_each(|l| background.add(&tokeniser, l));
    rate("background", lines.len(), start);
    let some = &lines[..lines.len().min(10_000)];
    let start = Instant::now();
    let found = key_terms(&tokeniser, some, &Background::default(), 10);
    rate("key terms", some.len(), start);
    println!("  {:?}", found.iter().map(|t| &t.term).collect::<Vec<_>>());
    let given: Vec<_> = some
        .iter()
        .enumerate()
        .map(|(i, text)| IncidentLine {
            text,
            template: TemplateId(i as u64 % 97),
            at_ns: i as i64,
            level: None,
            is_new: false,
        })
        .collect();
    let start = Instant::now();
    let summary = summarise(&tokeniser, &given, &background, 5);
    rate(&format!("summary of {}", summary.len()), given.len(), start);
    println!("  resident {:.1} MB", resident_mb());
}

fn labelled(file: &str) {
    let text = std::fs::read_to_string(file).expect("the file can be read");
    let mut cases: BTreeMap<String, (String, BTreeMap<u64, u64>)> = BTreeMap::new();
    for row in text.lines().skip(1) {
        let mut cells = row.splitn(3, ',');
        let (Some(id), Some(label), Some(events)) = (cells.next(), cells.next(), cells.next()) else {
            continue;
        };
        let application = id.split('/').next().unwrap_or(id).to_owned();
        let case = cases.entry(application).or_insert_with(|| (label.to_owned(), BTreeMap::new()));
        for event in events.split(' ').filter_map(|e| e.parse().ok()) {
            *case.1.entry(event).or_default() += 1;
        }
    }
    let prints: Vec<_> = cases
        .iter()
        .map(|(id, (_, events))| {
            let events: Vec<_> = events.iter().map(|(id, n)| (TemplateId(*id), *n)).collect();
            (id.clone(), Fingerprint::new(&[], &[], &events, &[]))
        })
        .collect();
    let label = |id: &String| cases.get(id).map(|c| c.0.as_str()).unwrap_or("");
    let mut by_label: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut chance = 0.0;
    for (at, (id, print)) in prints.iter().enumerate() {
        let others: Vec<_> =
            prints.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, p)| p.clone()).collect();
        let right = similar_from(0.0, print, &others, 1).first().is_some_and(|m| label(&m.id) == label(id));
        chance += others.iter().filter(|(o, _)| label(o) == label(id)).count() as f64 / others.len() as f64;
        let entry = by_label.entry(label(id)).or_default();
        *entry = (entry.0 + usize::from(right), entry.1 + 1);
    }
    let right: usize = by_label.values().map(|v| v.0).sum();
    println!(
        "precision at 1: {:.3}, chance {:.3}, {by_label:?}",
        right as f64 / prints.len() as f64,
        chance / prints.len() as f64
    );
}

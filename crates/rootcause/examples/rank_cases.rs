//! Ranks every case below a folder and writes the rankings: `rank_cases FOLDER OUT.json [--signs] [--onset-unknown]
//! [--without-steps]`.
//!
//! `FOLDER` holds `truth.json`, of which only the names of the cases are read. Prints milliseconds a case; files that
//! many cases share are unpacked once.

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::Cases;
use wellkept_rootcause::case::{self, Answer};
use wellkept_rootcause::rank;

#[expect(clippy::disallowed_methods, reason = "an example that measures itself")]
#[expect(clippy::print_stdout, reason = "its output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (folder, out) = (args.get(1).ok_or("FOLDER is missing")?, args.get(2).ok_or("OUT.json is missing")?);
    let unknown_onset = args.iter().any(|a| a == "--onset-unknown");
    let without_steps = args.iter().any(|a| a == "--without-steps");
    let signs = args.iter().any(|a| a == "--signs");
    let truth: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&fs::read(Path::new(folder).join("truth.json"))?)?;
    let cases = Cases::below(folder);
    let mut answer = Answer::default();
    let (mut reading, mut ranking) = (Duration::ZERO, Duration::ZERO);
    for name in truth.keys() {
        let begin = std::time::Instant::now();
        let mut scene = case::read(name, &cases.of(name))?;
        if unknown_onset {
            scene.alarm.at = None;
        }
        if without_steps {
            (scene.normal, scene.since) = Default::default();
        }
        let read = std::time::Instant::now();
        let ranked = rank(&scene);
        reading += read - begin;
        ranking += read.elapsed();
        if signs {
            println!("{name} {:?}", ranked.confidence);
            for c in ranked.candidates.iter().take(6) {
                println!("  {:.3} {}", c.score, c.entity);
                for s in &c.signs {
                    println!(
                        "      {:?} {:.3} {:.4} -> {:.4} {}",
                        s.kind, s.strength, s.before, s.after, s.series
                    );
                }
            }
        }
        answer.add(name, &ranked);
    }
    fs::write(out, serde_json::to_vec(&answer)?)?;
    let n = u32::try_from(truth.len().max(1))?;
    println!("{n} cases; a case: reading {:.1?}, ranking {:.1?}", reading / n, ranking / n);
    Ok(())
}

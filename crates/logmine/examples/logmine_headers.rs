//! Prints how often the message of a raw line is found where Loghub-2k says it begins.
//!
//! `logmine_headers FOLDER`: FOLDER holds `<S>/<S>_2k.log` and `<S>/<S>_2k.log_structured_corrected.csv`.
#![allow(clippy::print_stdout, clippy::unwrap_used, dead_code)]

use std::path::Path;

use wellkept_logmine::header::header;

#[path = "../tests/support/loghub.rs"]
mod loghub;

fn main() {
    let folder = std::env::args().nth(1).unwrap();
    for system in loghub::systems(Path::new(&folder)) {
        let raw =
            std::fs::read(Path::new(&folder).join(&system.name).join(format!("{}_2k.log", system.name)))
                .unwrap();
        let raw = String::from_utf8_lossy(&raw).into_owned();
        let lines: Vec<&str> = raw.lines().collect();
        let found = |(line, content): (&&str, &String)| {
            line[header(line.as_bytes()).message..].trim() == content.trim()
        };
        let right = lines.iter().zip(&system.contents).filter(|&pair| found(pair)).count();
        println!("{:12} {:.3}", system.name, right as f64 / lines.len() as f64);
        for pair in lines.iter().zip(&system.contents).filter(|&pair| !found(pair)).take(2) {
            let message = &pair.0[header(pair.0.as_bytes()).message..];
            println!("    {}\n    found {message}", pair.0);
        }
    }
}

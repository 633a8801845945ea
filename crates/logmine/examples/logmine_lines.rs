//! Reads lines and prints their templates with counts, as a person would want to see them: `logmine_lines < FILE`.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::BufRead;

use wellkept_logmine::Mining;

fn main() {
    let lines: Vec<Vec<u8>> = std::io::stdin().lock().split(b'\n').map(Result::unwrap).collect();
    let mut mining = Mining::default();
    for line in &lines {
        mining.line(line);
    }
    let mined = mining.finish();
    if std::env::args().nth(1).as_deref() == Some("json") {
        for (nth, line) in lines.iter().enumerate() {
            println!("{}", serde_json::to_string(&mined.line(nth, line).unwrap()).unwrap());
        }
        return;
    }
    for template in mined.miner().templates() {
        println!("{:8} {:6} {}", template.lines, template.id.0, template.text);
    }
}

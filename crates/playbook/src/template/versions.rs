//! The test `version`: which of two versions is older.

use std::cmp::Ordering;

use super::args::Args;
use super::error::{Result, bail};

pub(crate) fn judge(value: &str, args: &Args<'_, '_>) -> Result<bool> {
    let other = args.need_text(0, "version")?;
    let operator = args.text(1, "operator", "eq")?;
    let strict = args.truth(2, "strict", false)?;
    let kind = args.maybe_text(3, "version_type")?;
    if value.is_empty() {
        bail!("Input version value cannot be empty");
    }
    if other.is_empty() {
        bail!("Version parameter to compare against cannot be empty");
    }
    let order = match kind.as_deref() {
        None if strict => numbers(value)?.cmp(&numbers(&other)?),
        None | Some("loose") => loose(value, &other)?,
        Some("strict") => numbers(value)?.cmp(&numbers(&other)?),
        Some("semver" | "semantic") => semantic(value, &other),
        Some("pep440") => pep440(value).cmp(&pep440(&other)),
        Some(_) => bail!(
            "Invalid version type ({}). Must be one of loose, strict, semver, semantic, pep440",
            kind.unwrap_or_default()
        ),
    };
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        other => bail!(
            "Invalid operator type ({other}). Must be one of ==, =, eq, <, lt, <=, le, >, gt, >=, ge, !=, <>, ne"
        ),
    })
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Piece {
    Number(u128),
    Word(String),
}

/// Runs of digits and runs of letters; everything else parts them.
fn pieces(text: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let letters = first.is_ascii_lowercase();
        let same = |c: char| {
            if digits {
                c.is_ascii_digit()
            } else if letters {
                c.is_ascii_lowercase()
            } else {
                c != '.' && !c.is_ascii_digit() && !c.is_ascii_lowercase()
            }
        };
        let end = if first == '.' { 1 } else { rest.find(|c| !same(c)).unwrap_or(rest.len()) };
        let (piece, after) = rest.split_at(end);
        match piece.parse() {
            Ok(number) if digits => out.push(Piece::Number(number)),
            _ if piece != "." => out.push(Piece::Word(piece.to_owned())),
            _ => {}
        }
        rest = after;
    }
    out
}

fn loose(a: &str, b: &str) -> Result<Ordering> {
    let (left, right) = (pieces(a), pieces(b));
    for (x, y) in left.iter().zip(&right) {
        match (x, y) {
            (Piece::Number(x), Piece::Number(y)) if x == y => {}
            (Piece::Word(x), Piece::Word(y)) if x == y => {}
            (Piece::Number(x), Piece::Number(y)) => return Ok(x.cmp(y)),
            (Piece::Word(x), Piece::Word(y)) => return Ok(x.cmp(y)),
            _ => bail!("Version comparison failed: '<' not supported between instances of 'str' and 'int'"),
        }
    }
    Ok(left.len().cmp(&right.len()))
}

fn numbers(text: &str) -> Result<Vec<u64>> {
    let mut parts: Vec<u64> = Vec::new();
    for part in text.split('.') {
        match part.parse() {
            Ok(number) => parts.push(number),
            Err(_) => bail!("Version comparison failed: invalid version number '{text}'"),
        }
    }
    if !(2..=3).contains(&parts.len()) {
        bail!("Version comparison failed: invalid version number '{text}'");
    }
    parts.resize(3, 0);
    Ok(parts)
}

fn semantic(a: &str, b: &str) -> Ordering {
    let split = |text: &str| {
        let text = text.split('+').next().unwrap_or_default().to_owned();
        let (core, pre) = text.split_once('-').map_or((text.as_str(), None), |(c, p)| (c, Some(p)));
        let core: Vec<u64> = core.split('.').map(|n| n.parse().unwrap_or_default()).collect();
        (
            core,
            pre.map(|pre| {
                pre.split('.')
                    .map(|p| p.parse().map_or_else(|_| Piece::Word(p.to_owned()), Piece::Number))
                    .collect::<Vec<_>>()
            }),
        )
    };
    let ((core_a, pre_a), (core_b, pre_b)) = (split(a), split(b));
    core_a.cmp(&core_b).then_with(|| match (pre_a, pre_b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => a.cmp(&b),
    })
}

/// Release numbers without trailing zeros, then the phase: dev, a, b, rc, final, post.
fn pep440(text: &str) -> (Vec<u128>, Vec<(u8, u128)>) {
    let mut release = Vec::new();
    let mut phases = Vec::new();
    let mut phase: Option<u8> = None;
    for piece in pieces(&text.to_lowercase()) {
        match (piece, phase) {
            (Piece::Number(number), None) => release.push(number),
            (Piece::Number(number), Some(at)) => {
                phases.push((at, number));
                phase = Some(9);
            }
            (Piece::Word(word), _) => {
                phase = Some(match word.trim_matches(['-', '_']) {
                    "dev" => 0,
                    "a" | "alpha" => 1,
                    "b" | "beta" => 2,
                    "rc" | "c" | "pre" | "preview" => 3,
                    "post" | "r" | "rev" => 6,
                    "v" if release.is_empty() => continue,
                    _ => continue,
                });
            }
        }
    }
    while release.last() == Some(&0) {
        release.pop();
    }
    if phases.is_empty() {
        phases.push((5, 0));
    }
    (release, phases)
}

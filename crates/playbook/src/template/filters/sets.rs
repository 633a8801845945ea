//! Lists as sets: `union`, `difference`, `intersect`, `symmetric_difference`.

use std::collections::HashSet;

use super::super::args::Args;
use super::super::error::Result;
use super::super::session::Session;
use super::super::value::{Key, Val};

pub(crate) const NAMES: &[&str] = &["union", "difference", "intersect", "symmetric_difference"];

/// Values that were there before.
#[derive(Default)]
pub(crate) struct Seen {
    keys: HashSet<Key>,
    /// Lists and maps, which are no keys.
    others: Vec<Val>,
}

impl Seen {
    /// Adds a value; false when it was there.
    pub(crate) fn add(&mut self, session: &Session<'_>, value: &Val) -> Result<bool> {
        if self.has(session, value)? {
            return Ok(false);
        }
        match Key::of(value) {
            Some(key) => {
                self.keys.insert(key);
            }
            None => self.others.push(value.clone()),
        }
        Ok(true)
    }

    pub(crate) fn has(&self, session: &Session<'_>, value: &Val) -> Result<bool> {
        session.charge(1)?;
        if let Some(key) = Key::of(value) {
            return Ok(self.keys.contains(&key));
        }
        for other in &self.others {
            if session.equal(other, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn seen(session: &Session<'_>, items: &[Val]) -> Result<Seen> {
    let mut seen = Seen::default();
    for item in items {
        seen.add(session, item)?;
    }
    Ok(seen)
}

pub(crate) fn apply(name: &str, value: &Val, args: &Args<'_, '_>) -> Result<Val> {
    let session = args.session;
    let left = session.iterate(value)?;
    let right = args.list(0, "b")?;
    let (in_left, in_right) = (seen(session, &left)?, seen(session, &right)?);
    let mut out = Vec::new();
    let mut taken = Seen::default();
    for item in &left {
        let keep = match name {
            "union" => true,
            "intersect" => in_right.has(session, item)?,
            _ => !in_right.has(session, item)?,
        };
        if keep && taken.add(session, item)? {
            out.push(item.clone());
        }
    }
    if matches!(name, "union" | "symmetric_difference") {
        for item in &right {
            if !in_left.has(session, item)? && taken.add(session, item)? {
                out.push(item.clone());
            }
        }
    }
    Ok(Val::list(out))
}

//! Metadata comes with every page and every request, and hardly ever changes: only news is handed on.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use wellkept_model::{Metadata, MetricKind, Sink};

use crate::Limits;

/// Metadata of one family, not yet looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Raw<'a> {
    pub(crate) family: &'a [u8],
    pub(crate) kind: MetricKind,
    pub(crate) help: &'a [u8],
    pub(crate) unit: &'a [u8],
}

impl Raw<'_> {
    /// Nothing when a part is not text, too long, or the family has no name: metadata is help, not data.
    pub(crate) fn checked(&self, limits: &Limits) -> Option<Metadata> {
        let text = |bytes: &[u8], most: usize| {
            (bytes.len() <= most).then(|| std::str::from_utf8(bytes).ok().map(str::to_owned)).flatten()
        };
        let family = text(self.family, limits.name_bytes).filter(|name| !name.is_empty())?;
        let (help, unit) = (text(self.help, limits.value_bytes)?, text(self.unit, limits.name_bytes)?);
        Some(Metadata { family, kind: self.kind, help, unit })
    }
}

/// Remembers which metadata was handed on, as hashes.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hasher: RandomState,
    seen: HashSet<u64>,
}

impl Seen {
    /// Families remembered; beyond that all are handed on anew.
    const FAMILIES_MAX: usize = 1 << 16;

    /// Hands all metadata on again from now on.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Hands metadata on unless it was before. `finish` makes the last changes to what is handed on.
    pub(crate) fn hand_on<S: Sink + ?Sized>(
        &mut self,
        raw: &Raw<'_>,
        limits: &Limits,
        sink: &mut S,
        finish: impl FnOnce(&mut Metadata),
    ) {
        if self.seen.len() >= Self::FAMILIES_MAX {
            self.seen.clear();
        }
        if self.seen.insert(self.hasher.hash_one(raw))
            && let Some(mut metadata) = raw.checked(limits)
        {
            finish(&mut metadata);
            sink.metadata(metadata);
        }
    }
}

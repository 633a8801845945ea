//! The miner: takes lines in order, keeps forms, and answers which template a line has.
//!
//! The fast way is a cache from the hash of a line's words, gaps and value types to its form; a hit costs one pass
//! over the line. A miss looks among the forms with the same gaps; only when none fits a new form is made, and now
//! and then the forms with the same gaps are generalised together. Which forms are one template is decided by
//! their texts, when asked. Memory is bounded: forms beyond the budget make room for new ones, oldest use first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use wellkept_model::{Shape, TemplateId, TemplateMiner};

use crate::form::{self, Form};
use crate::hash::{HashedMap, Hasher};
use crate::lex::{self, Class, Token};
use crate::text;

mod forms;
mod saved;

use forms::Kin;

/// The id of lines that fit no bound.
pub const OVERFLOW: TemplateId = TemplateId(0);

/// Forms at which texts are compared for the first time.
const SETTLE_FIRST: usize = 4096;

/// How much the miner may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Forms.
    pub forms: usize,
    /// Bytes of all forms together, roughly.
    pub bytes: usize,
    /// Lines with their own place in the cache.
    pub cached: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { forms: 50_000, bytes: 64 << 20, cached: 200_000 }
    }
}

/// Two templates became one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The id that is no more.
    pub old: TemplateId,
    /// The id that stands for both from now on.
    pub new: TemplateId,
}

/// One template, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template<'a> {
    /// Its name.
    pub id: TemplateId,
    /// Its text in normal form.
    pub text: &'a str,
    /// Lines seen of it.
    pub lines: u64,
    /// Number of the last of them, counted from 1 over all lines.
    pub last_line: u64,
}

/// What the miner has seen and done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines.
    pub lines: u64,
    /// Lines whose words were seen before.
    pub cache_hits: u64,
    /// Forms thrown out to keep the bounds. Their lines get a new id if they come again.
    pub evicted_forms: u64,
    /// Lines that are one parameter as a whole, because they fit no bound.
    pub overflow_lines: u64,
}

/// Mines templates.
#[derive(Debug)]
pub struct Miner {
    pub(crate) bounds: Bounds,
    pub(crate) forms: Vec<Option<Form>>,
    pub(crate) free: Vec<u32>,
    pub(crate) live: usize,
    pub(crate) bytes: usize,
    kin: HashedMap<Kin>,
    young: HashedMap<u32>,
    old: HashedMap<u32>,
    pub(crate) next_id: u64,
    pub(crate) now_called: BTreeMap<TemplateId, TemplateId>,
    pub(crate) merges: Vec<Merge>,
    renamings: u64,
    settle_at: usize,
    pub(crate) texts: BTreeMap<TemplateId, String>,
    pub(crate) counts: Counts,
    overflow: Arc<Shape>,
    tokens: Vec<Token>,
}

impl Default for Miner {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

impl Miner {
    /// A miner that has seen nothing.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let overflow = Shape {
            template: OVERFLOW,
            literals: vec![Box::default(), Box::default()],
            kinds: vec![wellkept_model::ParamKind::Text],
        };
        Self {
            bounds,
            forms: Vec::new(),
            free: Vec::new(),
            live: 0,
            bytes: 0,
            kin: HashedMap::default(),
            young: HashedMap::default(),
            old: HashedMap::default(),
            next_id: 1,
            now_called: BTreeMap::new(),
            merges: Vec::new(),
            renamings: 0,
            settle_at: SETTLE_FIRST,
            texts: BTreeMap::new(),
            counts: Counts::default(),
            overflow: Arc::new(overflow),
            tokens: Vec::new(),
        }
    }

    /// The same with ids from `first` on: what was known is lost, and the ids that it gave must not name others.
    #[must_use]
    pub fn starting_at(bounds: Bounds, first: TemplateId) -> Self {
        Self { next_id: first.0.max(1), ..Self::new(bounds) }
    }

    /// All ids that stand for the same template as `id`, in order: lines keep the id that they were given.
    #[must_use]
    pub fn aliases(&self, id: TemplateId) -> Vec<TemplateId> {
        let id = self.resolve(id);
        let others = self.now_called.keys().copied().filter(|&old| self.resolve(old) == id);
        let mut all: Vec<TemplateId> = others.chain([id]).collect();
        all.sort_unstable();
        all
    }

    /// The id that stands for `id` now.
    #[must_use]
    pub fn resolve(&self, id: TemplateId) -> TemplateId {
        let mut id = id;
        while let Some(&next) = self.now_called.get(&id) {
            id = next;
        }
        id
    }

    /// Text of a template in normal form, as of the last [`Miner::settle`].
    #[must_use]
    pub fn text(&self, id: TemplateId) -> Option<&str> {
        self.texts.get(&self.resolve(id)).map(String::as_str)
    }

    /// All templates, oldest first, as of the last [`Miner::settle`].
    #[must_use]
    pub fn templates(&self) -> Vec<Template<'_>> {
        let mut lines: BTreeMap<TemplateId, (u64, u64)> = BTreeMap::new();
        for form in self.forms.iter().flatten() {
            let seen = lines.entry(self.resolve(form.id)).or_default();
            *seen = (seen.0 + form.lines, seen.1.max(form.last));
        }
        let seen = |id| lines.get(id).copied().unwrap_or_default();
        self.texts
            .iter()
            .map(|(id, text)| Template { id: *id, text, lines: seen(id).0, last_line: seen(id).1 })
            .collect()
    }

    /// What was seen and done.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Number of forms held now.
    #[must_use]
    pub fn forms(&self) -> usize {
        self.live
    }

    /// The merges since the last call, in order.
    pub fn take_merges(&mut self) -> Vec<Merge> {
        std::mem::take(&mut self.merges)
    }

    /// Whether there are merges that [`Miner::take_merges`] has not given yet.
    #[must_use]
    pub fn has_merges(&self) -> bool {
        !self.merges.is_empty()
    }

    /// Generalises what can be generalised, and decides which forms are one template. Done now and then by itself;
    /// call it before texts are read.
    pub fn settle(&mut self) {
        let mut keys: Vec<u64> = self.kin.iter().filter(|(_, k)| k.changed).map(|(&key, _)| key).collect();
        keys.sort_unstable();
        for key in keys {
            self.generalise(key);
        }
        let mut texts: Vec<(TemplateId, String)> =
            self.forms.iter().flatten().map(|f| (self.resolve(f.id), text::of_form(f))).collect();
        texts.sort();
        let mut settled = BTreeMap::new();
        for (ids, text) in text::agree(texts) {
            let Some((&first, rest)) = ids.split_first() else { continue };
            for &old in rest {
                self.rename(old, first);
            }
            settled.insert(first, text);
        }
        self.texts = settled;
        self.settle_at = (self.live * 2).max(SETTLE_FIRST);
    }

    fn rename(&mut self, old: TemplateId, new: TemplateId) {
        if old == new {
            return;
        }
        self.now_called.insert(old, new);
        self.renamings += 1;
        // Names of long ago are forgotten first; whoever still holds one finds its text in its shape.
        while self.now_called.len() > 4 * self.bounds.forms {
            self.now_called.pop_first();
        }
        if self.merges.len() < 4 * self.bounds.forms {
            self.merges.push(Merge { old, new });
        }
    }

    /// Cuts the line as form `at` says, if the line is one of it.
    fn hit(&mut self, at: u32, text: &[u8], params: &mut Vec<Range<u32>>) -> Option<Arc<Shape>> {
        let line = self.counts.lines;
        let renamings = self.renamings;
        if self.forms.get(at as usize)?.as_ref()?.cut.as_ref().is_none_or(|c| c.renamings != renamings) {
            let id = self.resolve(self.forms.get(at as usize)?.as_ref()?.id);
            self.forms.get_mut(at as usize)?.as_mut()?.make_cut(id, renamings);
        }
        let form = self.forms.get_mut(at as usize)?.as_mut()?;
        let cut = form.cut.as_ref()?;
        if !fits(cut, &self.tokens, text, params) {
            return None;
        }
        form.lines += 1;
        form.last = line;
        Some(Arc::clone(&cut.shape))
    }
}

impl TemplateMiner for Miner {
    fn split(&mut self, text: &[u8], params: &mut Vec<Range<u32>>) -> Arc<Shape> {
        self.counts.lines += 1;
        let mut tokens = std::mem::take(&mut self.tokens);
        lex::tokens(text, &mut tokens);
        let hash = fingerprint(text, &tokens);
        self.tokens = tokens;
        let young = self.young.get(&hash).copied();
        if let Some(at) = young.or_else(|| self.old.get(&hash).copied())
            && let Some(shape) = self.hit(at, text, params)
        {
            if young.is_none() {
                self.remember(hash, at);
            }
            self.counts.cache_hits += 1;
            return shape;
        }
        if let Some(shape) = self.miss(hash, text, params) {
            return shape;
        }
        self.counts.overflow_lines += 1;
        params.clear();
        params.push(0..u32::try_from(text.len()).unwrap_or(u32::MAX));
        Arc::clone(&self.overflow)
    }
}

/// Hash of words, gaps and types of values.
fn fingerprint(text: &[u8], tokens: &[Token]) -> u64 {
    let mut hasher = Hasher::new();
    let mut end = 0usize;
    for token in tokens {
        match token.class {
            // The gap and the word in one go: they stand beside each other.
            Class::Word | Class::Mixed => hasher.word(text.get(end..token.end as usize).unwrap_or_default()),
            Class::Value(kind) => {
                hasher.word(text.get(end..token.start as usize).unwrap_or_default());
                hasher.mark(2 + kind as u64);
            }
        }
        end = token.end as usize;
    }
    hasher.word(text.get(end..).unwrap_or_default());
    hasher.mark(tokens.len() as u64);
    hasher.finish()
}

/// Puts the parameters of a line into `params`; false when the line is not of this form.
fn fits(cut: &form::Cut, tokens: &[Token], text: &[u8], params: &mut Vec<Range<u32>>) -> bool {
    params.clear();
    if tokens.len() != usize::from(cut.tokens) || text.len() > u32::MAX as usize {
        return false;
    }
    let mut end = 0usize;
    for (&place, literal) in cut.vars.iter().zip(&cut.shape.literals) {
        let Some(token) = tokens.get(usize::from(place)) else { return false };
        if text.get(end..token.start as usize) != Some(literal) {
            return false;
        }
        params.push(token.start..token.end);
        end = token.end as usize;
    }
    text.get(end..) == cut.shape.literals.last().map(|l| &**l)
}

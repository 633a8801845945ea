//! The forms the miner holds: found, added, generalised, thrown out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use wellkept_model::{Shape, TemplateId};

use super::Miner;
use crate::form::{Elem, Form, Wild};
use crate::generalise;
use crate::hash::Hasher;

/// Forms with the same gaps at which they are looked at together for the first time.
const KIN_FIRST: usize = 32;

/// Forms with the same gaps that are kept, and sets of places among them: what a line must be compared with at most.
const KIN_FORMS: usize = 4096;
const KIN_WILDS: usize = 64;

/// Forms with the same gaps.
#[derive(Debug, Default)]
pub(super) struct Kin {
    /// Sets of parameter places in use.
    wilds: Vec<Wild>,
    /// Form by hash of its words outside of its parameters.
    forms: BTreeMap<(u16, u64), u32>,
    /// Number of forms at which they are generalised together again.
    due: usize,
    /// Whether a form came since.
    pub(super) changed: bool,
}

impl Miner {
    /// A line whose words were not seen like this before.
    pub(super) fn miss(
        &mut self,
        hash: u64,
        text: &[u8],
        params: &mut Vec<Range<u32>>,
    ) -> Option<Arc<Shape>> {
        if self.live >= self.bounds.forms || self.bytes >= self.bounds.bytes {
            self.evict();
        }
        let form = Form::of(text, &self.tokens, TemplateId(self.next_id));
        let key = gaps_key(&form.gaps);
        let at = match self.known(key, &form) {
            Some(at) => at,
            None => self.add(key, form),
        };
        let shape = self.hit(at, text, params)?;
        self.remember(hash, at);
        if self.kin.get(&key).is_some_and(|k| {
            k.forms.len() >= k.due.clamp(KIN_FIRST, KIN_FORMS + 1) || k.wilds.len() > KIN_WILDS
        }) {
            self.generalise(key);
        }
        if self.live >= self.settle_at {
            self.settle();
        }
        Some(shape)
    }

    /// The form that covers `line`, if there is one.
    fn known(&mut self, key: u64, line: &Form) -> Option<u32> {
        let kin = self.kin.get(&key)?;
        for (nth, wild) in kin.wilds.iter().enumerate() {
            let Some(&at) = kin.forms.get(&(nth as u16, line.key(wild))) else { continue };
            let Some(form) = self.forms.get_mut(at as usize).and_then(Option::as_mut) else { continue };
            if form.covers(line) {
                form.widen(line);
                return Some(at);
            }
        }
        None
    }

    fn add(&mut self, key: u64, form: Form) -> u32 {
        self.next_id = self.next_id.max(form.id.0 + 1);
        self.live += 1;
        self.bytes += form.bytes();
        let (wild, words) = (form.wild(), form.key(&form.wild()));
        let at = match self.free.pop() {
            Some(at) => {
                self.forms[at as usize] = Some(form);
                at
            }
            None => {
                self.forms.push(Some(form));
                (self.forms.len() - 1) as u32
            }
        };
        let kin = self.kin.entry(key).or_default();
        kin.changed = true;
        let nth = kin.wilds.iter().position(|w| *w == wild).unwrap_or_else(|| {
            kin.wilds.push(wild);
            kin.wilds.len() - 1
        });
        kin.forms.insert((nth as u16, words), at);
        at
    }

    /// Adds a form from a saved state.
    pub(super) fn add_known(&mut self, form: Form) {
        self.add(gaps_key(&form.gaps), form);
    }

    /// Generalises the forms with the gaps `key` together.
    pub(super) fn generalise(&mut self, key: u64) {
        let Some(mut kin) = self.kin.remove(&key) else { return };
        let mut places: Vec<u32> =
            kin.forms.values().copied().filter(|&at| self.form(at).is_some()).collect();
        places.sort_by_key(|&at| self.form(at).map(|f| f.id));
        let forms: Vec<&Form> = places.iter().filter_map(|&at| self.form(at)).collect();
        for (members, elems) in generalise::groups(&forms) {
            let members: Vec<u32> = members.into_iter().map(|i| places[i]).collect();
            self.unite(&members, elems);
        }
        places.retain(|&at| self.form(at).is_some());
        loop {
            self.index(&mut kin, &places);
            if places.len() <= KIN_FORMS && kin.wilds.len() <= KIN_WILDS {
                break;
            }
            places.sort_by_key(|&at| self.form(at).map(|f| f.last));
            for at in places.drain(..places.len().div_ceil(2)) {
                self.throw_out(at);
            }
        }
        kin.due = (2 * kin.forms.len()).max(KIN_FIRST);
        kin.changed = false;
        self.kin.insert(key, kin);
    }

    /// Makes `kin` know the forms at `places`, and no others.
    fn index(&self, kin: &mut Kin, places: &[u32]) {
        kin.wilds.clear();
        kin.forms.clear();
        for &at in places {
            let Some(form) = self.form(at) else { continue };
            let wild = form.wild();
            let words = form.key(&wild);
            let nth = kin.wilds.iter().position(|w| *w == wild).unwrap_or(kin.wilds.len());
            if nth == kin.wilds.len() {
                kin.wilds.push(wild);
            }
            kin.forms.insert((nth as u16, words), at);
        }
    }

    fn throw_out(&mut self, at: u32) {
        if let Some(form) = self.forms.get_mut(at as usize).and_then(Option::take) {
            self.bytes -= form.bytes();
            self.live -= 1;
            self.counts.evicted_forms += 1;
            self.free.push(at);
        }
    }

    fn form(&self, at: u32) -> Option<&Form> {
        self.forms.get(at as usize)?.as_ref()
    }

    /// Makes the first of `members` the form of all, with `elems`.
    fn unite(&mut self, members: &[u32], elems: Vec<Elem>) {
        let Some((&first, rest)) = members.split_first() else { return };
        let Some(mut form) = self.forms.get_mut(first as usize).and_then(Option::take) else { return };
        self.bytes -= form.bytes();
        form.elems = elems;
        form.cut = None;
        for &at in rest {
            let Some(other) = self.forms.get_mut(at as usize).and_then(Option::take) else { continue };
            self.bytes -= other.bytes();
            self.live -= 1;
            self.free.push(at);
            form.lines += other.lines;
            form.last = form.last.max(other.last);
            let (old, new) = (self.resolve(other.id), self.resolve(form.id));
            // Ids are given in order: the smaller one is the older one, and stays.
            self.rename(old.max(new), old.min(new));
        }
        self.bytes += form.bytes();
        self.forms[first as usize] = Some(form);
    }

    pub(super) fn remember(&mut self, hash: u64, at: u32) {
        if self.young.len() * 2 >= self.bounds.cached {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, at);
    }

    /// Throws out the half of the forms that was not seen for the longest time.
    fn evict(&mut self) {
        let mut last: Vec<u64> = self.forms.iter().flatten().map(|f| f.last).collect();
        let middle = last.len() / 2;
        if last.is_empty() {
            return;
        }
        let (_, &mut limit, _) = last.select_nth_unstable(middle);
        for (at, place) in self.forms.iter_mut().enumerate() {
            if let Some(form) = place.take_if(|f| f.last < limit) {
                self.bytes -= form.bytes();
                self.live -= 1;
                self.counts.evicted_forms += 1;
                self.free.push(at as u32);
            }
        }
        let forms = &self.forms;
        for kin in self.kin.values_mut() {
            kin.forms.retain(|_, at| forms[*at as usize].is_some());
        }
        self.kin.retain(|_, kin| !kin.forms.is_empty());
        let alive: BTreeSet<TemplateId> = self.forms.iter().flatten().map(|f| self.resolve(f.id)).collect();
        self.texts.retain(|id, _| alive.contains(id));
    }
}

fn gaps_key(gaps: &[Box<[u8]>]) -> u64 {
    let mut hasher = Hasher::new();
    for gap in gaps {
        hasher.word(gap);
    }
    hasher.finish()
}

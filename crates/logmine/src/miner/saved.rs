//! What the miner knows as bytes, so that ids stay the same across restarts.

use wellkept_model::TemplateId;

use super::{Bounds, Counts, Miner};
use crate::form::{Elem, Form};

use crate::state::{Reader, StateError, Writer};

const NAME: &[u8; 8] = b"wklogmin";

/// Raised when the layout changes, or when lines are cut in another way: old forms would never match again.
const VERSION: u32 = 1;

impl Miner {
    /// Everything needed to go on after a restart with the same ids. The cache is not part of it.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(self.next_id);
        for count in
            [self.counts.lines, self.counts.cache_hits, self.counts.evicted_forms, self.counts.overflow_lines]
        {
            out.number(count);
        }
        out.number(self.now_called.len() as u64);
        for (old, new) in &self.now_called {
            out.number(old.0);
            out.number(new.0);
        }
        out.number(self.live as u64);
        for form in self.forms.iter().flatten() {
            write_form(&mut out, form);
        }
        out.sealed(NAME, VERSION)
    }

    /// A miner that goes on where the saved one was.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are cut off, damaged, of another version, or no state of a miner.
    pub fn load(state: &[u8], bounds: Bounds) -> Result<Self, StateError> {
        let mut input = Reader::open(state, NAME, "miner", VERSION)?;
        let mut miner = Self::new(bounds);
        miner.next_id = input.number("next id")?;
        miner.counts = Counts {
            lines: input.number("lines")?,
            cache_hits: input.number("cache hits")?,
            evicted_forms: input.number("evicted forms")?,
            overflow_lines: input.number("overflow lines")?,
        };
        for _ in 0..input.count("merges")? {
            let (old, new) = (input.number("merge")?, input.number("merge")?);
            // Ids only ever become smaller; a chain upwards could run in a circle.
            if new >= old {
                return Err(StateError::Senseless { what: "merge" });
            }
            miner.now_called.insert(TemplateId(old), TemplateId(new));
        }
        for _ in 0..input.count("forms")? {
            let form = read_form(&mut input)?;
            miner.add_known(form);
        }
        input.end()?;
        miner.settle();
        miner.take_merges();
        Ok(miner)
    }
}

fn write_form(out: &mut Writer, form: &Form) {
    out.number(form.id.0);
    out.number(form.lines);
    out.number(form.last);
    out.number(form.elems.len() as u64);
    for (gap, elem) in form.gaps.iter().zip(&form.elems) {
        out.bytes(gap);
        match elem {
            Elem::Word(word) => {
                out.number(0);
                out.bytes(word);
            }
            Elem::Var(kind) => {
                out.number(1);
                out.kind(*kind);
            }
        }
    }
    out.bytes(form.gaps.last().map_or(&[], |g| g));
}

fn read_form(input: &mut Reader<'_>) -> Result<Form, StateError> {
    let id = TemplateId(input.number("form")?);
    let (lines, last) = (input.number("form")?, input.number("form")?);
    let places = input.count("places")?;
    if places > crate::lex::MAX_TOKENS + 1 {
        return Err(StateError::Senseless { what: "places" });
    }
    let (mut gaps, mut elems) = (Vec::with_capacity(places + 1), Vec::with_capacity(places));
    for _ in 0..places {
        gaps.push(input.bytes("gap")?.into());
        elems.push(match input.number("place")? {
            0 => Elem::Word(input.bytes("word")?.into()),
            1 => Elem::Var(input.kind("kind")?),
            _ => return Err(StateError::Senseless { what: "place" }),
        });
    }
    gaps.push(input.bytes("gap")?.into());
    Ok(Form { id, elems, gaps, lines, last, cut: None })
}

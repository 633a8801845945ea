//! Which words of forms with the same gaps are parameters.
//!
//! Forms that are the same but for one place are looked at together. How many different words at that place make it
//! a parameter depends on where it stands: what follows `=` or stands in quotes is a value as soon as it differs; a
//! word in a sentence needs more witnesses, the first word of a line many, for it names the event. So a place with
//! two or three words splits (`session opened`, `session closed`), one with many does not.

use std::collections::BTreeMap;

use wellkept_model::ParamKind;

use crate::form::{Elem, Form, UNITS, Wild, var_key};
use crate::hash::HashedMap;

/// Different words that make a place of a sentence a parameter.
const WITNESSES: usize = 5;

/// The same for words in capitals or words of what was done (`started`, `stopping`): those name states, and a state
/// is an event of its own.
const STATE_WITNESSES: usize = 8;

/// The same for the first word of a line.
const FIRST_WITNESSES: usize = 16;

/// The same for a word behind a colon.
const COLON_WITNESSES: usize = 4;

/// The same for names with a number (`en0`, `IPv6`): two or three are kinds, many are a series.
const NUMBERED_WITNESSES: usize = 4;

/// The same for a word in quotes.
const QUOTED_WITNESSES: usize = 3;

/// Words of a sentence that are followed by a name.
const NAMERS: [&[u8]; 6] = [b"user", b"host", b"from", b"by", b"device", b"domain"];

/// A form as it may become.
#[derive(Debug, Clone)]
struct Candidate {
    form: Form,
    /// Key of the form as it is.
    key: u64,
    /// Which of the given forms it stands for.
    members: Vec<usize>,
}

impl Candidate {
    fn new(form: Form, members: Vec<usize>) -> Self {
        Self { key: form.key(&Wild::none(0)), form, members }
    }
}

/// Groups of forms (as indices into `forms`) that are one, each with what stands at their places then.
pub(crate) fn groups(forms: &[&Form]) -> Vec<(Vec<usize>, Vec<Elem>)> {
    let Some(first) = forms.first() else { return Vec::new() };
    let mut live: Vec<Candidate> =
        forms.iter().enumerate().map(|(i, f)| Candidate::new((*f).clone(), vec![i])).collect();
    live = units(live);
    for _ in 0..3 {
        let before = live.len();
        for place in 0..first.elems.len() {
            live = at_place(live, place);
        }
        if live.len() == before {
            break;
        }
    }
    live.into_iter().filter(|c| c.members.len() > 1).map(|c| (c.members, c.form.elems)).collect()
}

/// Merges forms that differ in units only, at however many places.
fn units(live: Vec<Candidate>) -> Vec<Candidate> {
    let is_unit = |elem: &Elem| {
        matches!(elem, Elem::Word(w) if UNITS.contains(&&**w)) || *elem == Elem::Var(ParamKind::Size)
    };
    let mut buckets: BTreeMap<(usize, u64), Vec<Candidate>> = BTreeMap::new();
    for (nth, candidate) in live.into_iter().enumerate() {
        let form = &candidate.form;
        let places: Vec<usize> = (0..form.elems.len()).filter(|&p| is_unit(&form.elems[p])).collect();
        let key = places.iter().fold(candidate.key, |key, &place| without(key, form, place));
        // Forms without units have a bucket of their own each.
        let nth = if places.is_empty() { nth + 1 } else { 0 };
        buckets.entry((nth, key)).or_default().push(candidate);
    }
    let mut out: Vec<Candidate> = buckets.into_values().filter_map(united).collect();
    out.sort_by(|a, b| a.members.cmp(&b.members));
    out
}

/// The key of a form if `place` were a parameter.
fn without(key: u64, form: &Form, place: usize) -> u64 {
    key.wrapping_sub(form.place_key(place)).wrapping_add(var_key(place))
}

/// Forms that differ in units, as one.
fn united(bucket: Vec<Candidate>) -> Option<Candidate> {
    let mut bucket = bucket.into_iter();
    let Candidate { mut form, mut members, .. } = bucket.next()?;
    for other in bucket {
        for (mine, theirs) in form.elems.iter_mut().zip(&other.form.elems) {
            if mine != theirs && matches!(mine, Elem::Word(_)) {
                *mine = Elem::Var(ParamKind::Size);
            }
        }
        form.widen(&other.form);
        members.extend(other.members);
    }
    members.sort_unstable();
    Some(Candidate::new(form, members))
}

/// Merges forms that differ in `place` only, where the words at the place allow it.
fn at_place(live: Vec<Candidate>, place: usize) -> Vec<Candidate> {
    let keys: Vec<u64> = live.iter().map(|c| without(c.key, &c.form, place)).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    if sorted.windows(2).all(|pair| pair[0] != pair[1]) {
        return live;
    }
    let mut bucket_of: HashedMap<usize> = HashedMap::default();
    let mut buckets: Vec<Vec<Candidate>> = Vec::new();
    for (candidate, key) in live.into_iter().zip(keys) {
        let nth = *bucket_of.entry(key).or_insert(buckets.len());
        match buckets.get_mut(nth) {
            // Equal hashes of different forms are rare, and harmless: the form waits for the next time.
            Some(bucket)
                if bucket
                    .first()
                    .is_some_and(|first| differ_only_at(&first.form, &candidate.form, place)) =>
            {
                bucket.push(candidate);
            }
            _ => buckets.push(vec![candidate]),
        }
    }
    let mut out = Vec::new();
    for bucket in buckets {
        let merges = match bucket.as_slice() {
            [] | [_] => false,
            [first, ..] => says_something(&first.form, place) && is_parameter(&bucket, place),
        };
        if merges { out.extend(joined(bucket, place)) } else { out.extend(bucket) }
    }
    out
}

fn differ_only_at(a: &Form, b: &Form, place: usize) -> bool {
    let same = |(at, (a, b)): (usize, (&Elem, &Elem))| {
        at == place || a == b || (matches!(a, Elem::Var(_)) && matches!(b, Elem::Var(_)))
    };
    a.elems.len() == b.elems.len() && a.elems.iter().zip(&b.elems).enumerate().all(same)
}

fn joined(bucket: Vec<Candidate>, place: usize) -> Option<Candidate> {
    let mut bucket = bucket.into_iter();
    let Candidate { mut form, mut members, .. } = bucket.next()?;
    let parameter = |form: &mut Form| {
        if let Some(elem @ Elem::Word(_)) = form.elems.get_mut(place) {
            *elem = Elem::Var(ParamKind::Text);
        }
    };
    parameter(&mut form);
    for mut other in bucket {
        parameter(&mut other.form);
        form.widen(&other.form);
        members.extend(other.members);
    }
    members.sort_unstable();
    Some(Candidate::new(form, members))
}

/// Whether words are left without `place`: a template of parameters only says nothing.
fn says_something(form: &Form, place: usize) -> bool {
    let says = |elem: &Elem| matches!(elem, Elem::Word(word) if word.iter().any(|b| b.is_ascii_alphabetic() || *b >= 0x80));
    form.elems.iter().enumerate().any(|(at, elem)| at != place && says(elem))
}

/// Whether the words at `place` are values.
fn is_parameter(bucket: &[Candidate], place: usize) -> bool {
    let Some(Candidate { form, .. }) = bucket.first() else { return false };
    let words: Vec<&[u8]> = bucket.iter().filter_map(|c| word(&c.form, place)).collect();
    let n = bucket.len();
    if let Some(needed) = value_place(form, place) {
        return n >= needed;
    }
    let values = words.iter().filter(|w| looks_like_value(w)).count();
    if words.len() < n {
        // One of them is a parameter already.
        return values > 0 || n >= 3;
    }
    if values == n || (place > 0 && word(form, place - 1).is_some_and(|w| NAMERS.contains(&w))) {
        return true;
    }
    let behind_colon = form.gaps.get(place).is_some_and(|g| g.starts_with(b":"));
    let needed = if place == 0 {
        FIRST_WITNESSES
    } else if behind_colon {
        COLON_WITNESSES
    } else if words.iter().all(|w| numbered(w)) {
        NUMBERED_WITNESSES
    } else if words.iter().all(|w| names_state(w)) {
        STATE_WITNESSES
    } else {
        WITNESSES
    };
    n >= needed
}

fn word(form: &Form, place: usize) -> Option<&[u8]> {
    match form.elems.get(place) {
        Some(Elem::Word(word)) => Some(word),
        _ => None,
    }
}

/// Whether the value of a field with this name is the message itself: its words name the event.
pub(crate) fn names_message(field: &[u8]) -> bool {
    matches!(field, b"msg" | b"message" | b"event" | b"log" | b"MESSAGE" | b"Message" | b"error" | b"err")
}

/// How many different words make a place behind `=` or alone in quotes a parameter; `None` for other places.
fn value_place(form: &Form, place: usize) -> Option<usize> {
    let before = form.gaps.get(place).map_or(&[][..], |g| g.trim_ascii_end());
    let after = form.gaps.get(place + 1).map_or(&[][..], |g| g);
    let field = place.checked_sub(1).and_then(|at| word(form, at)).unwrap_or_default();
    let to_field = before.first().is_some_and(|b| matches!(b, b'=' | b':' | b'"'));
    if to_field && names_message(field) {
        return Some(FIRST_WITNESSES);
    }
    match before {
        [.., b'=', b'='] => None,
        [.., b'='] => Some(2),
        [.., sign, quote @ (b'"' | b'\'')] if after.first() == Some(quote) => {
            Some(if *sign == b'=' { 2 } else { QUOTED_WITNESSES })
        }
        [quote @ (b'"' | b'\'')] if after.first() == Some(quote) => Some(QUOTED_WITNESSES),
        _ => None,
    }
}

fn names_state(word: &[u8]) -> bool {
    word.ends_with(b"ed") || word.ends_with(b"ing") || word.iter().all(|b| !b.is_ascii_lowercase())
}

/// A name with a number: an interface, a slot, a version of a protocol.
fn numbered(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_digit)
}

/// Is put together by signs.
fn looks_like_value(word: &[u8]) -> bool {
    word.iter().any(|b| matches!(b, b'.' | b'/' | b'\\' | b'@'))
}

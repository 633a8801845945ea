//! Loki's JSON: `{"streams":[{"stream":{…},"values":[["<ns>","<line>",{…}],…]}]}`, and the form before it with
//! `labels` and `entries`.
//!
//! The keys of a stream may come in any order, and lists are long, so a body's parts are first found as raw text and
//! then read one element at a time. Nothing is built that is larger than one stream's labels.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use wellkept_model::Labels;

use super::{Push, labels};
use crate::json::{Members, Value, unescaped};
use crate::tally::readable;
use crate::{DecodeError, Field, Refusal, stamp};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    streams: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    stream: Option<&'a RawValue>,
    #[serde(borrow, default)]
    values: Option<&'a RawValue>,
    #[serde(borrow, default)]
    labels: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    entries: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OldEntry<'a> {
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(borrow)]
    line: Cow<'a, str>,
}

fn wrong(e: &serde_json::Error) -> DecodeError {
    DecodeError::Json(readable(&e.to_string()))
}

pub(super) fn decode(body: &[u8], push: &mut Push<'_>) -> Result<(), DecodeError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(DecodeError::Json("expected an object with `streams`".to_owned()));
    }
    let body: Body<'_> = serde_json::from_slice(body).map_err(|e| wrong(&e))?;
    let Some(streams) = body.streams else { return Ok(()) };
    each(streams, |stream: Stream<'_>| {
        let labels = labels_of(&stream, push)?;
        if let Some(values) = stream.values {
            each(values, |entry: Entry<'_>| entry.emit(&labels, push))?;
        }
        if let Some(entries) = stream.entries {
            each(entries, |entry: OldEntry<'_>| entry.emit(&labels, push))?;
        }
        Ok(())
    })
}

/// Names and values of an object whose values are all texts.
fn pairs(raw: &RawValue, max: usize) -> Result<Vec<Field<'_>>, DecodeError> {
    let not_texts = || DecodeError::Json("labels and metadata are objects of texts".to_owned());
    let members = Members::of(raw.get().as_bytes()).ok_or_else(not_texts)?;
    // One more than allowed is kept, so that whoever bounds the list sees it.
    let texts = members.take(max.saturating_add(1)).map(|(name, value)| match value {
        Value::Text(raw) => Ok((unescaped(name), unescaped(raw))),
        _ => Err(not_texts()),
    });
    texts.collect()
}

fn borrowed<'a>(pairs: &'a [Field<'_>]) -> Vec<(&'a str, &'a str)> {
    pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect()
}

fn labels_of(stream: &Stream<'_>, push: &mut Push<'_>) -> Result<Result<Labels, Refusal>, DecodeError> {
    if let Some(text) = &stream.labels {
        let pairs = labels::parse(text.as_bytes(), push.emitter.limits);
        return Ok(pairs.and_then(|pairs| {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (*n, v.as_ref())).collect();
            push.stream(&pairs)
        }));
    }
    let pairs =
        stream.stream.map(|raw| pairs(raw, push.emitter.limits.labels)).transpose()?.unwrap_or_default();
    Ok(push.stream(&borrowed(&pairs)))
}

impl OldEntry<'_> {
    fn emit(&self, labels: &Result<Labels, Refusal>, push: &mut Push<'_>) -> Result<(), DecodeError> {
        let arrival = push.emitter.arrival;
        let stamp = stamp::at_start(self.ts.as_bytes(), arrival.now_ns, arrival.zone);
        match (labels, stamp) {
            (Ok(labels), Some(stamp)) => push.entry(labels, Some(stamp.at_ns), self.line.as_bytes(), &[]),
            (Err(why), _) => push.emitter.refuse(why.clone()),
            (_, None) => push.emitter.refuse(Refusal::Time { expected: "RFC 3339" }),
        }
    }
}

/// `["<ns>", "<line>"]` or `["<ns>", "<line>", {…}]`.
struct Entry<'a> {
    at: Cow<'a, str>,
    line: Cow<'a, str>,
    fields: Option<&'a RawValue>,
}

impl Entry<'_> {
    fn emit(&self, labels: &Result<Labels, Refusal>, push: &mut Push<'_>) -> Result<(), DecodeError> {
        let labels = match labels {
            Ok(labels) => labels,
            Err(why) => return push.emitter.refuse(why.clone()),
        };
        let Ok(at_ns) = self.at.parse::<i64>() else {
            return push.emitter.refuse(Refusal::Time { expected: "a number of nanoseconds, as text" });
        };
        let fields =
            self.fields.map(|raw| pairs(raw, push.emitter.limits.fields)).transpose()?.unwrap_or_default();
        push.entry(labels, Some(at_ns), self.line.as_bytes(), &borrowed(&fields))
    }
}

impl<'de> Deserialize<'de> for Entry<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = Entry<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[\"<nanoseconds>\", \"<line>\"]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry<'de>, A::Error> {
                let missing = || A::Error::invalid_length(1, &"[\"<nanoseconds>\", \"<line>\"]");
                let at = seq.next_element::<Text<'de>>()?.ok_or_else(missing)?.0;
                let line = seq.next_element::<Text<'de>>()?.ok_or_else(missing)?.0;
                let fields = seq.next_element()?;
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Entry { at, line, fields })
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// A text that borrows when it can.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Calls `take` with one element of a list after the other.
fn each<'de, T: Deserialize<'de>>(
    list: &'de RawValue,
    take: impl FnMut(T) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut broken = None;
    let list_of = Each { take, broken: &mut broken, element: std::marker::PhantomData };
    let outcome = list_of.deserialize(&mut serde_json::Deserializer::from_str(list.get()));
    match broken {
        Some(error) => Err(error),
        None => outcome.map_err(|e| wrong(&e)),
    }
}

struct Each<'p, T, F> {
    take: F,
    /// An error of ours on its way through the parser.
    broken: &'p mut Option<DecodeError>,
    element: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), DecodeError>> DeserializeSeed<'de>
    for Each<'_, T, F>
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), DecodeError>> Visitor<'de> for Each<'_, T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            if let Err(error) = (self.take)(element) {
                *self.broken = Some(error);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

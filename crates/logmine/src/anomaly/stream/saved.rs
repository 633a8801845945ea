//! What a watch knows as bytes: what is new, usual and harmless must not be forgotten by a restart.

use wellkept_model::TemplateId;

use super::{Kind, Track, Watch, WatchConfig};
use crate::state::{Reader, StateError, Writer};

const NAME: &[u8; 8] = b"wklogwat";
const VERSION: u32 = 2;

impl Watch {
    /// Everything learned and marked.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(u64::from(self.first_ns.is_some()));
        out.signed(self.first_ns.unwrap_or_default());
        out.number(self.silenced);
        out.number(self.known.len() as u64);
        for id in &self.known {
            out.number(id.0);
        }
        out.number(self.harmless.len() as u64);
        for (id, kind) in &self.harmless {
            out.number(id.0);
            out.number(number_of(*kind));
        }
        out.number(self.tracks.len() as u64);
        for (id, track) in &self.tracks {
            out.number(id.0);
            track.rate.write(&mut out);
            track.beat.write(&mut out);
            out.number(track.values.len() as u64);
            for values in &track.values {
                values.write(&mut out);
            }
        }
        out.sealed(NAME, VERSION)
    }

    /// A watch that goes on where the saved one was.
    ///
    /// # Errors
    /// [`StateError`] when the bytes are cut off, damaged, of another version, or no state of a watch.
    pub fn load(state: &[u8], config: WatchConfig) -> Result<Self, StateError> {
        let mut input = Reader::open(state, NAME, "watch", VERSION)?;
        let mut watch = Self::new(config);
        let started = input.number("start")? != 0;
        let first_ns = input.signed("start")?;
        watch.first_ns = started.then_some(first_ns);
        watch.silenced = input.number("silenced")?;
        for _ in 0..input.count("templates")? {
            watch.known.insert(TemplateId(input.number("template")?));
        }
        for _ in 0..input.count("marks")? {
            let id = TemplateId(input.number("mark")?);
            let kind = kind_of(input.number("mark")?).ok_or(StateError::Senseless { what: "mark" })?;
            watch.harmless.insert((id, kind));
        }
        for _ in 0..input.count("tracks")? {
            let id = TemplateId(input.number("track")?);
            let (rate, beat) =
                (super::Rate::read(&mut input, config.bucket_ns)?, super::Beat::read(&mut input)?);
            let mut values = Vec::new();
            for _ in 0..input.count("values")?.min(super::WATCHED_PARAMS) {
                values.push(super::Values::read(&mut input)?);
            }
            watch.tracks.insert(id, Track { rate, beat, values });
        }
        input.end()?;
        Ok(watch)
    }
}

fn number_of(kind: Kind) -> u64 {
    match kind {
        Kind::NewTemplate => 0,
        Kind::Rate => 1,
        Kind::MissingBeat => 2,
        Kind::Value(place) => 3 + u64::from(place),
        Kind::Session => 1000,
    }
}

fn kind_of(number: u64) -> Option<Kind> {
    Some(match number {
        0 => Kind::NewTemplate,
        1 => Kind::Rate,
        2 => Kind::MissingBeat,
        1000 => Kind::Session,
        _ => Kind::Value(u8::try_from(number - 3).ok()?),
    })
}

//! Saved state: bytes with a name, a version and a checksum around numbers and byte strings.
//!
//! Layout: eight bytes of name, version (4 bytes, little endian), length of the body (8), body, CRC-32 of everything
//! before it (4). Numbers in the body are LEB128. A damaged or cut-off state is refused as a whole: a miner that
//! starts empty is better than one that gives old ids to other templates.

use thiserror::Error;
use wellkept_model::ParamKind;

/// Why a saved state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StateError {
    /// Fewer bytes than were written.
    #[error("the state is cut off: {found} bytes, at least {needed} needed")]
    CutOff {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        needed: usize,
    },
    /// Another kind of file.
    #[error("these bytes are no {wanted} state")]
    OtherKind {
        /// What was asked for.
        wanted: &'static str,
    },
    /// Written by another version.
    #[error("the state has version {found}; this program reads version {known}")]
    Version {
        /// Version of the state.
        found: u32,
        /// Version that can be read.
        known: u32,
    },
    /// The checksum does not fit.
    #[error("the state is damaged: its checksum does not fit")]
    Damaged,
    /// The checksum fits, the content makes no sense.
    #[error("the state makes no sense at its {what}")]
    Senseless {
        /// Where.
        what: &'static str,
    },
}

const HEAD: usize = 20;

/// Writes a body.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    pub(crate) fn float(&mut self, number: f64) {
        self.0.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    /// A number as lines of logs have them: few digits, few of them behind the point; any other one costs more.
    pub(crate) fn decimal(&mut self, number: f64) {
        match (0..PLACES).find_map(|places| Some((places, as_decimal(number, places)?))) {
            Some((places, digits)) => {
                self.number(places);
                self.signed(digits);
            }
            None => {
                self.number(PLACES);
                self.float(number);
            }
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn kind(&mut self, kind: ParamKind) {
        self.number(KINDS.iter().position(|k| *k == kind).unwrap_or_default() as u64);
    }

    /// The whole state.
    pub(crate) fn sealed(self, name: &[u8; 8], version: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() + HEAD + 4);
        out.extend_from_slice(name);
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&(self.0.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.0);
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }
}

/// All kinds in the order of their numbers in a state: append only.
const KINDS: [ParamKind; 9] = [
    ParamKind::Number,
    ParamKind::Hex,
    ParamKind::Address,
    ParamKind::Path,
    ParamKind::Id,
    ParamKind::Duration,
    ParamKind::Size,
    ParamKind::Time,
    ParamKind::Text,
];

/// Digits behind the point of what [`Writer::decimal`] writes short; this number itself stands for a whole float.
const PLACES: u64 = 7;

fn power(places: u64) -> f64 {
    (0..places).fold(1.0, |p, _| p * 10.0)
}

/// All digits as one number, when it gives back exactly the same float.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded to what is exact")]
fn as_decimal(number: f64, places: u64) -> Option<i64> {
    let scaled = (number * power(places)).round();
    let digits = (scaled.abs() < 9e15).then_some(scaled as i64)?;
    (digits as f64 / power(places)).to_bits().eq(&number.to_bits()).then_some(digits)
}

/// Reads a body.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Checks name, version and sum, and opens the body.
    pub(crate) fn open(
        state: &'a [u8],
        name: &[u8; 8],
        wanted: &'static str,
        version: u32,
    ) -> Result<Self, StateError> {
        let needed = |needed| StateError::CutOff { found: state.len(), needed };
        let (head, _) = state.split_at_checked(HEAD).ok_or_else(|| needed(HEAD + 4))?;
        if !head.starts_with(name) {
            return Err(StateError::OtherKind { wanted });
        }
        let found = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if found != version {
            return Err(StateError::Version { found, known: version });
        }
        let mut length = [0; 8];
        length.copy_from_slice(&head[12..]);
        let whole = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX).saturating_add(HEAD);
        let (sealed, rest) = state.split_at_checked(whole).ok_or_else(|| needed(whole.saturating_add(4)))?;
        let (sum, rest) = rest.split_first_chunk::<4>().ok_or_else(|| needed(whole.saturating_add(4)))?;
        if !rest.is_empty() || crc32fast::hash(sealed).to_le_bytes() != *sum {
            return Err(StateError::Damaged);
        }
        Ok(Self(&sealed[HEAD..]))
    }

    pub(crate) fn number(&mut self, what: &'static str) -> Result<u64, StateError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(StateError::Senseless { what })?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(StateError::Senseless { what })
    }

    /// A number of things, each at least a byte: never more than there is left to read.
    pub(crate) fn count(&mut self, what: &'static str) -> Result<usize, StateError> {
        let count = self.number(what)?;
        usize::try_from(count).ok().filter(|&c| c <= self.0.len()).ok_or(StateError::Senseless { what })
    }

    pub(crate) fn signed(&mut self, what: &'static str) -> Result<i64, StateError> {
        let number = self.number(what)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    #[expect(clippy::cast_precision_loss, reason = "bounded to what is exact when it was written")]
    pub(crate) fn decimal(&mut self, what: &'static str) -> Result<f64, StateError> {
        match self.number(what)? {
            places if places < PLACES => Ok(self.signed(what)? as f64 / power(places)),
            PLACES => self.float(what),
            _ => Err(StateError::Senseless { what }),
        }
    }

    pub(crate) fn float(&mut self, what: &'static str) -> Result<f64, StateError> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(StateError::Senseless { what })?;
        self.0 = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], StateError> {
        let length = self.count(what)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(StateError::Senseless { what })?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn kind(&mut self, what: &'static str) -> Result<ParamKind, StateError> {
        let number = self.number(what)? as usize;
        KINDS.get(number).copied().ok_or(StateError::Senseless { what })
    }

    pub(crate) fn end(self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::Senseless { what: "end" }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn back(numbers: &[f64]) -> (usize, Vec<u64>) {
        let mut out = Writer::default();
        numbers.iter().for_each(|&n| out.decimal(n));
        let mut input = Reader(&out.0);
        let read = numbers.iter().map(|_| input.decimal("number").unwrap().to_bits()).collect();
        assert!(input.0.is_empty());
        (out.0.len(), read)
    }

    fn bits(numbers: &[f64]) -> Vec<u64> {
        numbers.iter().map(|n| n.to_bits()).collect()
    }

    #[test]
    fn numbers_of_few_digits_take_few_bytes() {
        let short = [0.0, 15.0, -3.0, 0.25, 12.345];
        assert_eq!(back(&short), (12, bits(&short)));
        let odd = [-0.0, f64::NAN, f64::INFINITY, 1e300, 0.1 + 0.2, f64::MIN_POSITIVE];
        assert_eq!(back(&odd), (6 * 9, bits(&odd)));
    }

    proptest! {
        #[test]
        fn every_number_comes_back(numbers in prop::collection::vec(prop::num::f64::ANY, 0..20)) {
            prop_assert_eq!(back(&numbers).1, bits(&numbers));
        }
    }
}

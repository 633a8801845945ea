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

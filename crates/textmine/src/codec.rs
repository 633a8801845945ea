//! Bytes of what is kept: a magic word, a version, the content, a checksum. Lengths are checked before memory is given.

use crate::shown::boundary;

/// Why bytes cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BytesError {
    /// Something else, or of another version.
    #[error("not a {what} of a version that this program reads (it reads version {version})")]
    Foreign {
        /// What was expected.
        what: &'static str,
        /// The version that is read.
        version: u8,
    },
    /// Cut off or altered.
    #[error("the bytes of this {what} are cut off or damaged; leave it out and let it be learned again")]
    Damaged {
        /// What was expected.
        what: &'static str,
    },
}

/// What kind of thing the bytes are.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u8,
    pub(crate) what: &'static str,
}

impl Kind {
    pub(crate) fn damaged(self) -> BytesError {
        BytesError::Damaged { what: self.what }
    }
}

pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(kind: Kind) -> Self {
        let mut out = kind.magic.to_vec();
        out.push(kind.version);
        Self(out)
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        // Terms are bounded far below 64 KiB; a longer one is cut rather than written with a wrong length.
        let text = text.get(..boundary(text, usize::from(u16::MAX))).unwrap_or("");
        self.0.extend_from_slice(&(text.len() as u16).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let sum = crc32fast::hash(&self.0);
        self.0.extend_from_slice(&sum.to_le_bytes());
        self.0
    }
}

pub(crate) struct Reader<'a> {
    kind: Kind,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(kind: Kind, bytes: &'a [u8]) -> Result<Self, BytesError> {
        let foreign = BytesError::Foreign { what: kind.what, version: kind.version };
        let rest = bytes.strip_prefix(&kind.magic).ok_or(foreign)?;
        let rest = rest.strip_prefix(&[kind.version]).ok_or(foreign)?;
        let (rest, sum) = rest.split_last_chunk::<4>().ok_or(kind.damaged())?;
        let body = bytes.get(..bytes.len() - sum.len()).ok_or(kind.damaged())?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(kind.damaged());
        }
        Ok(Self { kind, rest })
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BytesError> {
        let (head, rest) = self.rest.split_first_chunk::<8>().ok_or(self.kind.damaged())?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*head))
    }

    /// A number of entries, each of which takes at least `bytes` of what is left.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<usize, BytesError> {
        let n = usize::try_from(self.u64()?).map_err(|_| self.kind.damaged())?;
        if n > self.rest.len() / bytes.max(1) { Err(self.kind.damaged()) } else { Ok(n) }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, BytesError> {
        let (head, rest) = self.rest.split_first_chunk::<2>().ok_or(self.kind.damaged())?;
        let (text, rest) =
            rest.split_at_checked(usize::from(u16::from_le_bytes(*head))).ok_or(self.kind.damaged())?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| self.kind.damaged())
    }

    pub(crate) fn finish(self) -> Result<(), BytesError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.kind.damaged()) }
    }
}

//! Packs: the columns of many shapes, compressed together.
//!
//! A segment has tens of thousands of small columns. Compressed one by one they would not shrink; so their texts
//! share one zstd frame and short columns of numbers share one `pco` page for each width. Long columns of numbers
//! have a page of their own.

use pco::standalone::{simple_compress, simple_decompress};
use pco::{ChunkConfig, DeltaSpec};

use crate::codec::{Corrupt, Reader, put_bytes, put_squeezed, put_varint, read_squeezed};

/// Most bytes of one part of a pack. Its writer stops far below, except for one line's own length.
const PART_MAX: usize = 1 << 30;

/// Most numbers in one page.
const NUMBERS_MAX: usize = 1 << 26;

/// Columns of numbers with fewer rows than this share a page with others.
const ALONE_MIN: usize = 512;

/// How hard zstd tries: segments are written once and kept for weeks.
const ZSTD_LEVEL: i32 = 19;

/// Widths of shared pages: 0 to 64 bits.
const CLASSES: usize = 65;

/// A pack that is being made.
#[derive(Debug)]
pub(crate) struct PackWriter {
    /// Headers, texts and dictionaries.
    pub(crate) text: Vec<u8>,
    numbers: Vec<u8>,
    pools: Vec<Vec<u64>>,
}

impl Default for PackWriter {
    fn default() -> Self {
        Self { text: Vec::new(), numbers: Vec::new(), pools: vec![Vec::new(); CLASSES] }
    }
}

/// Where something begins in a pack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PackPlace {
    pub(crate) text: usize,
    pub(crate) numbers: usize,
}

impl PackWriter {
    pub(crate) fn place(&self) -> PackPlace {
        PackPlace { text: self.text.len(), numbers: self.numbers.len() }
    }

    /// Bytes gathered, roughly.
    pub(crate) fn size(&self) -> usize {
        self.text.len() + self.numbers.len() + self.pools.iter().map(Vec::len).sum::<usize>() * 2
    }

    /// Puts numbers into a page: a shared one, or their own when they are many. What [`Pack::numbers`] needs to find
    /// them goes to `text`.
    pub(crate) fn put_numbers(&mut self, values: &[u64]) -> std::io::Result<()> {
        let min = values.iter().copied().min().unwrap_or(0);
        put_varint(&mut self.text, min);
        if values.len() >= ALONE_MIN {
            let page = squeeze(values, true)?;
            self.text.push(u8::MAX);
            put_varint(&mut self.text, page.len() as u64);
            self.numbers.extend_from_slice(&page);
            return Ok(());
        }
        let widest = values.iter().map(|v| v - min).max().unwrap_or(0);
        let class = (u64::BITS - widest.leading_zeros()) as u8;
        if let Some(pool) = self.pools.get_mut(usize::from(class)) {
            self.text.push(class);
            put_varint(&mut self.text, pool.len() as u64);
            pool.extend(values.iter().map(|v| v - min));
        }
        Ok(())
    }

    /// The pack's bytes; the writer is empty again.
    pub(crate) fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        let done = std::mem::take(self);
        let mut out = Vec::new();
        put_squeezed(&mut out, &done.text, ZSTD_LEVEL)?;
        put_bytes(&mut out, &done.numbers);
        let used: Vec<(usize, &Vec<u64>)> =
            done.pools.iter().enumerate().filter(|(_, p)| !p.is_empty()).collect();
        put_varint(&mut out, used.len() as u64);
        for (class, pool) in used {
            out.push(class as u8);
            put_varint(&mut out, pool.len() as u64);
            put_bytes(&mut out, &squeeze(pool, false)?);
        }
        Ok(out)
    }
}

/// Numbers as one `pco` page. `delta`: whether neighbours may be related.
pub(crate) fn squeeze(values: &[u64], delta: bool) -> std::io::Result<Vec<u8>> {
    let spec = if delta { DeltaSpec::Auto } else { DeltaSpec::NoOp };
    let config = ChunkConfig::default().with_compression_level(8).with_delta_spec(spec);
    simple_compress(values, &config).map_err(std::io::Error::other)
}

/// Reads what [`squeeze`] made.
pub(crate) fn expand(bytes: &[u8], n: usize) -> Result<Vec<u64>, Corrupt> {
    if n > NUMBERS_MAX {
        return Err(Corrupt("a page claims too many numbers"));
    }
    let values: Vec<u64> =
        simple_decompress(bytes).map_err(|_| Corrupt("a page of numbers does not decode"))?;
    if values.len() == n { Ok(values) } else { Err(Corrupt("a page has another count of numbers")) }
}

/// A pack that was read.
#[derive(Debug, Default)]
pub(crate) struct Pack {
    text: Vec<u8>,
    numbers: Vec<u8>,
    pools: Vec<Vec<u64>>,
}

impl Pack {
    /// Unpacks.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut r = Reader::new(bytes);
        let text = read_squeezed(&mut r, PART_MAX)?;
        let numbers = r.bytes()?.to_vec();
        let mut pools = vec![Vec::new(); CLASSES];
        for _ in 0..r.count()? {
            let class = usize::from(r.u8()?);
            let n = r.size()?;
            let page = expand(r.bytes()?, n)?;
            *pools.get_mut(class).ok_or(Corrupt("a shared page has an unknown width"))? = page;
        }
        if r.is_empty() { Ok(Self { text, numbers, pools }) } else { Err(Corrupt("a pack is too long")) }
    }

    /// Memory, bytes.
    pub(crate) fn memory(&self) -> usize {
        self.text.len() + self.numbers.len() + self.pools.iter().map(|p| p.len() * 8).sum::<usize>()
    }

    /// Reads from a place on.
    pub(crate) fn cursor(&self, at: PackPlace) -> Result<PackCursor<'_>, Corrupt> {
        let bad = Corrupt("a place lies outside its pack");
        Ok(PackCursor {
            text: Reader::new(self.text.get(at.text..).ok_or(bad)?),
            numbers: self.numbers.get(at.numbers..).ok_or(bad)?,
            pack: self,
        })
    }
}

/// Reads a pack forward.
pub(crate) struct PackCursor<'a> {
    pub(crate) text: Reader<'a>,
    numbers: &'a [u8],
    pack: &'a Pack,
}

impl PackCursor<'_> {
    /// What [`PackWriter::put_numbers`] put: `n` numbers.
    pub(crate) fn numbers(&mut self, n: usize) -> Result<Vec<u64>, Corrupt> {
        let min = self.text.varint()?;
        let class = self.text.u8()?;
        let at = self.text.size()?;
        let mut values = if class == u8::MAX {
            let (page, rest) =
                self.numbers.split_at_checked(at).ok_or(Corrupt("a page lies outside its pack"))?;
            self.numbers = rest;
            return expand(page, n);
        } else {
            let pool = self.pack.pools.get(usize::from(class)).ok_or(Corrupt("unknown width"))?;
            let end = at.checked_add(n).ok_or(Corrupt("a count is too large"))?;
            pool.get(at..end).ok_or(Corrupt("numbers lie outside their page"))?.to_vec()
        };
        values.iter_mut().for_each(|v| *v = v.wrapping_add(min));
        Ok(values)
    }
}

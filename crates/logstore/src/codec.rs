//! The bytes that every file of the store is made of: variable-length integers and bounded reading.
//!
//! All reading goes through [`Reader`], which never trusts a length: it gives [`Corrupt`] where the bytes end, and
//! takes no memory that a claimed length alone would ask for.

use zstd::bulk::Decompressor;

/// Bytes that do not mean what they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are damaged: {0}")]
pub(crate) struct Corrupt(pub(crate) &'static str);

/// CRC-32 (IEEE) over several pieces.
pub(crate) fn crc32(pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize()
}

/// Appends `value` in 7-bit groups, lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number; small sizes stay small.
#[expect(clippy::cast_sign_loss, reason = "the bit pattern is what is wanted")]
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends bytes with their length.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads forward over bytes that may be damaged.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Corrupt("they end too early"))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        self.take(N)?.try_into().map_err(|_| Corrupt("they end too early"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Corrupt> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Corrupt> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Corrupt> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Corrupt> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Corrupt("a number is too long"))
    }

    #[expect(clippy::cast_possible_wrap, reason = "the bit pattern is what is wanted")]
    pub(crate) fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.varint()?;
        Ok(((value >> 1) as i64) ^ -((value & 1) as i64))
    }

    /// A count of things that take at least one byte each: never more than bytes are left.
    pub(crate) fn count(&mut self) -> Result<usize, Corrupt> {
        let count = self.size()?;
        if count > self.rest.len() {
            Err(Corrupt("a count is larger than the bytes left"))
        } else {
            Ok(count)
        }
    }

    /// A number that must fit into memory addresses; the caller bounds it.
    pub(crate) fn size(&mut self) -> Result<usize, Corrupt> {
        usize::try_from(self.varint()?).map_err(|_| Corrupt("a size is too large"))
    }

    /// Bytes with their length before them.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let len = self.count()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Corrupt("a text is not UTF-8"))
    }
}

/// Appends `plain` compressed, with both lengths before it.
pub(crate) fn put_squeezed(out: &mut Vec<u8>, plain: &[u8], level: i32) -> std::io::Result<()> {
    let packed = zstd::bulk::compress(plain, level)?;
    put_varint(out, plain.len() as u64);
    put_bytes(out, &packed);
    Ok(())
}

/// Reads what [`put_squeezed`] wrote; never more than `limit` bytes.
pub(crate) fn read_squeezed(r: &mut Reader<'_>, limit: usize) -> Result<Vec<u8>, Corrupt> {
    read_squeezed_with(&mut decompressor()?, r, limit)
}

/// What unpacks; worth keeping for several parts, because making it costs more than unpacking a small one.
pub(crate) fn decompressor() -> Result<Decompressor<'static>, Corrupt> {
    Decompressor::new().map_err(|_| Corrupt("there is no memory to unpack them"))
}

/// As [`read_squeezed`].
pub(crate) fn read_squeezed_with(
    unpack: &mut Decompressor<'_>,
    r: &mut Reader<'_>,
    limit: usize,
) -> Result<Vec<u8>, Corrupt> {
    let len = r.size()?;
    if len > limit {
        return Err(Corrupt("a compressed part claims to be larger than it may be"));
    }
    let packed = r.bytes()?;
    let plain = unpack.decompress(packed, len).map_err(|_| Corrupt("compressed bytes do not decompress"))?;
    if plain.len() == len { Ok(plain) } else { Err(Corrupt("a compressed part is too short")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_and_bytes_come_back(
            ints in prop::collection::vec(any::<u64>(), 0..50),
            signed in prop::collection::vec(any::<i64>(), 0..50),
            bytes in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut out = Vec::new();
            ints.iter().for_each(|&i| put_varint(&mut out, i));
            signed.iter().for_each(|&i| put_signed(&mut out, i));
            put_bytes(&mut out, &bytes);
            put_squeezed(&mut out, &bytes, 1).unwrap();
            let mut r = Reader::new(&out);
            for &i in &ints {
                prop_assert_eq!(r.varint().unwrap(), i);
            }
            for &i in &signed {
                prop_assert_eq!(r.signed().unwrap(), i);
            }
            prop_assert_eq!(r.bytes().unwrap(), &bytes[..]);
            prop_assert_eq!(read_squeezed(&mut r, 50).unwrap(), bytes);
            prop_assert!(r.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut r = Reader::new(&bytes);
            while r.text().is_ok() && r.signed().is_ok() && r.count().is_ok() {}
            let _ = read_squeezed(&mut Reader::new(&bytes), 1000);
        }
    }
}

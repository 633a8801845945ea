//! Protobuf without generated code: a reader that borrows everything, and a writer.
//!
//! Remote write spends most of its time here. So the reader walks over a message field by field, hands out slices of
//! the body and never allocates; what it does not know is skipped. Every length is checked against what is left, so
//! no claim reaches beyond the body. Nesting is the caller's: each level is one more reader in their code.

mod write;

pub use write::Writer;

/// The bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// The message ends inside a field.
    #[error("it ends inside a field")]
    Truncated,
    /// A variable-length number has more than 10 bytes or more than 64 bits.
    #[error("a number is too long")]
    LongVarint,
    /// A field number or wire type that the format does not have (or the long deprecated groups).
    #[error("a field has an unknown wire type")]
    WireType,
    /// A field has another type than its message says.
    #[error("field {0} has an unexpected type")]
    Unexpected(u32),
    /// Messages inside messages, deeper than is allowed.
    #[error("it is nested too deeply")]
    Depth,
}

/// One field's content.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// A field with its number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// Number in the message's definition, at least 1.
    pub number: u32,
    /// What stood there.
    pub value: Value<'a>,
}

/// Walks over the fields of one message.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over the bytes of one message.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field, or nothing at the end.
    ///
    /// # Errors
    /// [`ProtoError`] when the bytes are not a message; the reader is of no more use then.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>, ProtoError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtoError::WireType)?;
        if number == 0 {
            return Err(ProtoError::WireType);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.fixed64()?),
            2 => Value::Bytes(self.bytes()?),
            5 => Value::Fixed32(self.fixed32()?),
            _ => return Err(ProtoError::WireType),
        };
        Ok(Some(Field { number, value }))
    }

    /// A number of variable length.
    ///
    /// # Errors
    /// [`ProtoError::Truncated`] or [`ProtoError::LongVarint`].
    #[inline]
    pub fn varint(&mut self) -> Result<u64, ProtoError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, ProtoError> {
        let mut number = 0_u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && byte > 1 {
                return Err(ProtoError::LongVarint);
            }
            number |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = self.rest.get(i + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 { ProtoError::Truncated } else { ProtoError::LongVarint })
    }

    #[inline]
    fn fixed64(&mut self) -> Result<u64, ProtoError> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(ProtoError::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    fn fixed32(&mut self) -> Result<u32, ProtoError> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(ProtoError::Truncated)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], ProtoError> {
        let length = usize::try_from(self.varint()?).map_err(|_| ProtoError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(ProtoError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next message of a sequence in which each stands after its length; nothing at the end.
    ///
    /// # Errors
    /// [`ProtoError::Truncated`] or [`ProtoError::LongVarint`].
    pub fn delimited(&mut self) -> Result<Option<&'a [u8]>, ProtoError> {
        if self.rest.is_empty() { Ok(None) } else { self.bytes().map(Some) }
    }

    /// Skips fields of number `number` with content of wire type 2 and returns the bytes they took, tags included.
    ///
    /// `number` is below 16, so that its tag is a single byte.
    ///
    /// # Errors
    /// [`ProtoError::Truncated`] when such a field reaches beyond the message.
    #[inline]
    pub fn run_of(&mut self, number: u8) -> Result<&'a [u8], ProtoError> {
        debug_assert!(number < 16, "a tag of one byte");
        let start = self.rest;
        let tag = number << 3 | 2;
        while let [first, rest @ ..] = self.rest
            && *first == tag
        {
            self.rest = rest;
            self.bytes()?;
        }
        Ok(start.get(..start.len() - self.rest.len()).unwrap_or_default())
    }
}

impl<'a> Field<'a> {
    /// The bytes of a string, a byte string or a message.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type.
    #[inline]
    pub fn bytes(&self) -> Result<&'a [u8], ProtoError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtoError::Unexpected(self.number)),
        }
    }

    /// A reader over a message inside this one.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type.
    #[inline]
    pub fn message(&self) -> Result<Reader<'a>, ProtoError> {
        self.bytes().map(Reader::new)
    }

    /// `uint64`, `uint32`, `bool`, `enum`.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type.
    #[inline]
    pub fn uint(&self) -> Result<u64, ProtoError> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(ProtoError::Unexpected(self.number)),
        }
    }

    /// `int64`, `int32`.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type.
    #[inline]
    pub fn int(&self) -> Result<i64, ProtoError> {
        self.uint().map(u64::cast_signed)
    }

    /// `sint32`: what does not fit is cut as the format demands.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type.
    #[inline]
    pub fn sint32(&self) -> Result<i32, ProtoError> {
        self.uint().map(|n| unzigzag(n) as i32)
    }

    /// `double`.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type.
    #[inline]
    pub fn double(&self) -> Result<f64, ProtoError> {
        self.fixed64().map(f64::from_bits)
    }

    /// `fixed64`, `sfixed64`.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type.
    #[inline]
    pub fn fixed64(&self) -> Result<u64, ProtoError> {
        match self.value {
            Value::Fixed64(bits) => Ok(bits),
            _ => Err(ProtoError::Unexpected(self.number)),
        }
    }

    /// The numbers of a repeated `uint64`, `uint32` or `sint64` field, packed or single.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type; whatever `each` returns.
    pub fn each_varint<E: From<ProtoError>>(
        &self,
        mut each: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.value {
            Value::Varint(number) => each(number),
            Value::Bytes(bytes) => {
                let mut reader = Reader::new(bytes);
                while !reader.rest.is_empty() {
                    each(reader.varint()?)?;
                }
                Ok(())
            }
            _ => Err(ProtoError::Unexpected(self.number).into()),
        }
    }

    /// The numbers of a repeated `double` or `fixed64` field as bits, packed or single.
    ///
    /// # Errors
    /// [`ProtoError::Unexpected`] for another wire type; whatever `each` returns.
    pub fn each_fixed64<E: From<ProtoError>>(
        &self,
        mut each: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.value {
            Value::Fixed64(bits) => each(bits),
            Value::Bytes(bytes) => {
                let mut reader = Reader::new(bytes);
                while !reader.rest.is_empty() {
                    each(reader.fixed64()?)?;
                }
                Ok(())
            }
            _ => Err(ProtoError::Unexpected(self.number).into()),
        }
    }
}

/// The signed number behind a `sint64`'s varint.
#[must_use]
#[inline]
pub fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wire_types_come_back_as_written_and_unknown_fields_are_skipped() {
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes);
        w.uint(1, 300);
        w.double(2, -0.5);
        w.bytes(3, b"name");
        w.sint(4, -7);
        w.int(5, -1);
        bytes.extend([0x35, 1, 0, 0, 0]); // field 6, 32 bits
        let mut r = Reader::new(&bytes);
        let mut next = || r.next_field().unwrap().unwrap();
        assert_eq!(next().uint(), Ok(300));
        assert_eq!(next().double(), Ok(-0.5));
        assert_eq!(next().bytes(), Ok(&b"name"[..]));
        assert_eq!(next().sint32(), Ok(-7));
        assert_eq!(next().int(), Ok(-1));
        assert_eq!(next(), Field { number: 6, value: Value::Fixed32(1) });
        assert_eq!(r.next_field(), Ok(None));
    }

    #[test]
    fn a_length_beyond_the_message_is_an_error_and_takes_no_memory() {
        for bytes in [&[0x0a, 5, 1][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert_eq!(Reader::new(bytes).next_field(), Err(ProtoError::Truncated));
        }
        assert_eq!(Reader::new(&[0x09, 1, 2]).next_field(), Err(ProtoError::Truncated));
        assert_eq!(Reader::new(&[0x80]).next_field(), Err(ProtoError::Truncated));
    }

    #[test]
    fn a_number_of_more_than_64_bits_a_group_and_field_0_are_errors() {
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(ProtoError::LongVarint));
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(),
            Err(ProtoError::LongVarint)
        );
        assert_eq!(Reader::new(&[0x0b]).next_field(), Err(ProtoError::WireType));
        assert_eq!(Reader::new(&[0x02, 0]).next_field(), Err(ProtoError::WireType));
    }

    #[test]
    fn the_extremes_of_64_bits_survive() {
        for n in [0, 1, 127, 128, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).varint(n);
            assert_eq!(Reader::new(&bytes).varint(), Ok(n));
        }
        for n in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(write::zigzag(n)), n);
        }
    }

    #[test]
    fn repeated_numbers_are_read_packed_and_single() {
        let mut seen = Vec::new();
        let mut each = |n| {
            seen.push(n);
            Ok::<_, ProtoError>(())
        };
        Field { number: 1, value: Value::Bytes(&[1, 0x80, 1]) }.each_varint(&mut each).unwrap();
        Field { number: 1, value: Value::Varint(9) }.each_varint(&mut each).unwrap();
        assert_eq!(seen, [1, 128, 9]);
    }

    #[test]
    fn a_run_of_one_field_is_found_with_its_tags() {
        let bytes = [0x0a, 1, b'x', 0x0a, 0, 0x12, 0, 0x0a, 0];
        let mut r = Reader::new(&bytes);
        assert_eq!(r.run_of(1), Ok(&bytes[..5]));
        assert_eq!(r.rest(), &bytes[5..]);
        assert_eq!(Reader::new(&[0x0a, 9]).run_of(1), Err(ProtoError::Truncated));
    }
}

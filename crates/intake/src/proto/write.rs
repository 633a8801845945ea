//! Writing protobuf: for the sender, for answers and for tests.

/// Appends fields to a buffer. Zero values are written like any other: leaving them out is the caller's choice.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A number of variable length, without a tag.
    pub fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    fn tag(&mut self, number: u32, wire: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire));
    }

    /// `uint64`, `uint32`, `bool`, `enum`.
    pub fn uint(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.varint(value);
    }

    /// `int64`, `int32`.
    pub fn int(&mut self, number: u32, value: i64) {
        self.uint(number, value.cast_unsigned());
    }

    /// `sint64`, `sint32`.
    pub fn sint(&mut self, number: u32, value: i64) {
        self.uint(number, zigzag(value));
    }

    /// `double`.
    pub fn double(&mut self, number: u32, value: f64) {
        self.fixed64(number, value.to_bits());
    }

    /// `fixed64`, `sfixed64`.
    pub fn fixed64(&mut self, number: u32, bits: u64) {
        self.tag(number, 1);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    /// `string`, `bytes`, or a message that is encoded already.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        self.tag(number, 2);
        self.varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// A `string` that is put together from parts.
    pub fn bytes_of(&mut self, number: u32, parts: &[&[u8]]) {
        self.tag(number, 2);
        self.varint(parts.iter().map(|p| p.len() as u64).sum());
        parts.iter().for_each(|p| self.out.extend_from_slice(p));
    }

    /// A message, written by `body` straight into the buffer; its length is put before it afterwards.
    pub fn message(&mut self, number: u32, body: impl FnOnce(&mut Writer<'_>)) {
        self.tag(number, 2);
        let start = self.out.len();
        self.out.push(0);
        body(&mut Writer::new(self.out));
        let length = self.out.len() - start - 1;
        if length < 0x80 {
            if let Some(place) = self.out.get_mut(start) {
                *place = length as u8;
            }
            return;
        }
        let mut head = Vec::with_capacity(10);
        Writer::new(&mut head).varint(length as u64);
        self.out.splice(start..=start, head);
    }

    /// Begins a message whose length is not known yet; what follows is its content. To be ended with [`Self::close`].
    pub(crate) fn open(&mut self, number: u32) {
        self.tag(number, 2);
        self.out.extend_from_slice(&[0; Self::PADDED]);
    }

    /// Ends a message: `start` is where its content began. Its length takes five bytes whatever it is.
    pub(crate) fn close(&mut self, start: usize) {
        let length = self.out.len().saturating_sub(start);
        let place = self.out.get_mut(start.saturating_sub(Self::PADDED)..start).unwrap_or_default();
        for (i, byte) in place.iter_mut().enumerate() {
            let more = if i + 1 < Self::PADDED { 0x80 } else { 0 };
            *byte = (length >> (7 * i)) as u8 & 0x7f | more;
        }
    }

    /// Bytes of a length that is filled in later: enough for 32 GiB.
    const PADDED: usize = 5;

    /// A repeated `double` field, packed; nothing when there are none.
    pub fn packed_doubles(&mut self, number: u32, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        self.tag(number, 2);
        self.varint(values.len() as u64 * 8);
        self.out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    }

    /// A repeated varint field, packed; nothing when there are none.
    pub fn packed(&mut self, number: u32, values: impl IntoIterator<Item = u64>) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_some() {
            self.message(number, |w| values.for_each(|v| w.varint(v)));
        }
    }
}

/// The varint behind a `sint64`.
pub(crate) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

//! How much of what a stranger sends is looked at.

/// Bounds for one body, one message or one line. They protect memory and time of the decoders; what may be stored is
/// the sink's to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body after decompression.
    pub unpacked_bytes: usize,
    /// Lines of one body.
    pub lines: usize,
    /// Bytes of one line. Longer ones are handed on in pieces, and counted.
    pub line_bytes: usize,
    /// Labels of one stream, those of the door included.
    pub labels: usize,
    /// Bytes of the name of a label or field.
    pub name_bytes: usize,
    /// Bytes of the value of a label.
    pub label_bytes: usize,
    /// Fields of one line.
    pub fields: usize,
    /// Bytes of the value of a field.
    pub field_bytes: usize,
    /// Objects inside objects, of which fields are made; what lies deeper stays one field.
    pub depth: usize,
    /// Bytes to which the fields and labels of all lines of a body may expand, because some formats say a text once
    /// for many lines.
    pub expanded_bytes: usize,
    /// How far ahead of `now` a time stamp may be, in nanoseconds. Lines from farther ahead get the time of their
    /// arrival, and are counted.
    pub ahead_ns: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 64 << 20,
            lines: 1_000_000,
            line_bytes: 256 << 10,
            labels: 32,
            name_bytes: 256,
            label_bytes: 2 << 10,
            fields: 128,
            field_bytes: 32 << 10,
            depth: 8,
            expanded_bytes: 512 << 20,
            ahead_ns: 86_400_000_000_000,
        }
    }
}

impl Limits {
    /// The bounds for decompression.
    #[must_use]
    pub fn unpacking(&self) -> wellkept_intake::Limits {
        wellkept_intake::Limits::with_unpacked_bytes(self.unpacked_bytes)
    }
}

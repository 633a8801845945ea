//! How much of what a stranger sends is looked at.

/// Bounds for one body. They protect memory and time of the decoder; what may be stored is the sink's to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body after decompression.
    pub unpacked_bytes: usize,
    /// Bytes that one compressed byte may become, for gzip and zstd; bodies below 1 MiB are not judged by it.
    ///
    /// Real pages of metrics reach about 30, a page that repeats one line reaches 250.
    pub ratio: usize,
    /// Labels of one series, its name included.
    pub labels: usize,
    /// Bytes of one metric or label name.
    pub name_bytes: usize,
    /// Bytes of one label value.
    pub value_bytes: usize,
    /// Bytes of one line of a text format.
    pub line_bytes: usize,
    /// Samples of one body: floats and histograms together.
    pub samples: usize,
    /// Bytes to which the labels of all series of a body may expand.
    ///
    /// Some formats say a text once and refer to it often (symbols, resource attributes, tags before many fields), so
    /// a small body could ask for endless copying.
    pub expanded_bytes: usize,
    /// Buckets and spans of one native histogram, each kind for itself.
    pub buckets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 64 << 20,
            ratio: 400,
            labels: 256,
            name_bytes: 1 << 10,
            value_bytes: 32 << 10,
            line_bytes: 256 << 10,
            samples: 2_000_000,
            expanded_bytes: 1 << 30,
            buckets: 10_000,
        }
    }
}

impl Limits {
    /// Limits that differ from the default only in the size of an unpacked body.
    #[must_use]
    pub fn with_unpacked_bytes(bytes: usize) -> Self {
        Self { unpacked_bytes: bytes, ..Self::default() }
    }
}

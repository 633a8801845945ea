//! What the HTTP headers of remote write say.

use crate::DecodeError;
use crate::unpack::Encoding;

/// Which message a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// Reads the `Content-Type` header. An absent one means 1.0, as its first clients sent it.
    ///
    /// # Errors
    /// [`DecodeError::Header`], to be answered with 415.
    pub fn from_content_type(value: Option<&str>) -> Result<Self, DecodeError> {
        let text = value.unwrap_or("").trim();
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or("");
        let proto = parts.find_map(|p| {
            let (name, value) = p.split_once('=')?;
            name.trim().eq_ignore_ascii_case("proto").then(|| value.trim().trim_matches('"'))
        });
        match proto {
            _ if !media.is_empty() && !media.eq_ignore_ascii_case("application/x-protobuf") => {}
            None | Some("prometheus.WriteRequest") => return Ok(Self::V1),
            Some("io.prometheus.write.v2.Request") => return Ok(Self::V2),
            Some(_) => {}
        }
        Err(DecodeError::Header {
            header: "Content-Type",
            value: crate::error::readable(text),
            accepted: "application/x-protobuf, with proto=prometheus.WriteRequest or \
                       proto=io.prometheus.write.v2.Request",
        })
    }

    /// The `Content-Type` header of a request.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::V1 => "application/x-protobuf",
            Self::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// The `X-Prometheus-Remote-Write-Version` header of a request.
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Self::V1 => "0.1.0",
            Self::V2 => "2.0.0",
        }
    }
}

/// Reads the `Content-Encoding` header. An absent one means Snappy, which 1.0 prescribes.
///
/// # Errors
/// [`DecodeError::Header`], to be answered with 415.
pub fn encoding(value: Option<&str>) -> Result<Encoding, DecodeError> {
    match value.map(str::trim) {
        None | Some("") => Ok(Encoding::Snappy),
        some => Encoding::from_header(some),
    }
}

/// What was stored of a request: a 2.0 sender asks for it in the answer, whether that is good or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Floats stored.
    pub samples: u64,
    /// Native histograms stored.
    pub histograms: u64,
    /// Exemplars stored.
    pub exemplars: u64,
}

impl Written {
    /// Names and values of the answer's headers.
    #[must_use]
    pub fn headers(self) -> [(&'static str, String); 3] {
        [
            ("X-Prometheus-Remote-Write-Samples-Written", self.samples.to_string()),
            ("X-Prometheus-Remote-Write-Histograms-Written", self.histograms.to_string()),
            ("X-Prometheus-Remote-Write-Exemplars-Written", self.exemplars.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_chosen_by_the_content_type() {
        for (value, version) in [
            (None, Some(Version::V1)),
            (Some("application/x-protobuf"), Some(Version::V1)),
            (Some("application/x-protobuf;proto=prometheus.WriteRequest"), Some(Version::V1)),
            (Some("Application/X-Protobuf; Proto=io.prometheus.write.v2.Request"), Some(Version::V2)),
            (Some("application/x-protobuf;proto=io.prometheus.write.v3.Request"), None),
            (Some("application/json"), None),
            (Some("application/json;proto=io.prometheus.write.v2.Request"), None),
        ] {
            assert_eq!(Version::from_content_type(value).ok(), version, "{value:?}");
        }
        for version in [Version::V1, Version::V2] {
            assert_eq!(Version::from_content_type(Some(version.content_type())), Ok(version));
        }
    }

    #[test]
    fn an_absent_encoding_means_snappy() {
        assert_eq!(encoding(None), Ok(Encoding::Snappy));
        assert_eq!(encoding(Some("zstd")), Ok(Encoding::Zstd));
        assert!(encoding(Some("lz4")).is_err());
    }
}

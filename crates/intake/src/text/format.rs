//! Which format a page has, and which ones a scraper asks for.

use crate::DecodeError;

/// `Accept` header of a scraper that wants text.
pub const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

/// `Accept` header of a scraper that wants native histograms, which only the protobuf format carries.
pub const ACCEPT_NATIVE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
encoding=delimited;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

/// `Accept-Encoding` header of a scraper.
pub const ACCEPT_ENCODING: &str = "gzip";

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus' text format 0.0.4, and 1.0.0, which adds quoted names.
    Prometheus,
    /// OpenMetrics 0.0.1 and 1.0 text.
    OpenMetrics,
    /// `io.prometheus.client.MetricFamily` messages, each after its length.
    Protobuf,
}

impl Format {
    /// Reads the `Content-Type` header of a page. `fallback` is for a missing header and for types that nobody reads
    /// (some exporters say `text/html`); it corresponds to Prometheus' `fallback_scrape_protocol`.
    ///
    /// # Errors
    /// [`DecodeError::Header`] when the type is none of ours and there is no fallback.
    pub fn from_content_type(value: Option<&str>, fallback: Option<Self>) -> Result<Self, DecodeError> {
        let text = value.unwrap_or("").trim();
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or("").to_ascii_lowercase();
        let parameter = |wanted: &str| {
            parts.clone().find_map(|p| {
                let (name, value) = p.split_once('=')?;
                name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
            })
        };
        let found = match media.as_str() {
            "text/plain" => Some(Self::Prometheus),
            "application/openmetrics-text" => Some(Self::OpenMetrics),
            "application/vnd.google.protobuf"
                if parameter("proto").is_none_or(|p| p == "io.prometheus.client.MetricFamily")
                    && parameter("encoding").is_none_or(|e| e == "delimited") =>
            {
                Some(Self::Protobuf)
            }
            _ => None,
        };
        found.or(fallback).ok_or_else(|| DecodeError::Header {
            header: "Content-Type",
            value: crate::error::readable(text),
            accepted: "text/plain, application/openmetrics-text, application/vnd.google.protobuf with delimited \
                       io.prometheus.client.MetricFamily",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_chosen_by_the_content_type() {
        for (value, format) in [
            (Some("text/plain; version=0.0.4; charset=utf-8"), Some(Format::Prometheus)),
            (Some("Application/OpenMetrics-Text; version=1.0.0"), Some(Format::OpenMetrics)),
            (
                Some(
                    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                ),
                Some(Format::Protobuf),
            ),
            (Some("application/vnd.google.protobuf; proto=other; encoding=delimited"), None),
            (Some("application/vnd.google.protobuf; encoding=text"), None),
            (Some("text/html"), None),
            (None, None),
        ] {
            assert_eq!(Format::from_content_type(value, None).ok(), format, "{value:?}");
        }
        let fallback = Some(Format::Prometheus);
        assert_eq!(Format::from_content_type(None, fallback), Ok(Format::Prometheus));
        assert_eq!(Format::from_content_type(Some("text/html"), fallback), Ok(Format::Prometheus));
    }
}

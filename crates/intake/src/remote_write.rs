//! Prometheus remote write, both halves: requests of 1.0 and 2.0 in, and the sender's requests out.
//!
//! Speed matters here more than anywhere else: this is the door through which a fleet speaks. So nothing is copied,
//! the labels of a series that the sink knows are not even looked at, and buffers live from request to request.
//! Source: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and `remote_write_spec_2_0`.

mod encode;
mod headers;
mod v1;
mod v2;

pub use encode::{Encoder, OutgoingSeries};
pub use headers::{Version, Written, encoding};

#[cfg(test)]
mod tests;

use wellkept_model::Sink;

use crate::unpack::{Encoding, Unpacker};
use crate::{DecodeError, Limits, Tally};

/// Decodes one request after the other and keeps its buffers. One per connection or worker.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    unpacker: Unpacker,
    key: crate::key::KeyBuffer,
    metadata_seen: crate::metadata::Seen,
}

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Unpacks and decodes one request.
    ///
    /// # Errors
    /// [`DecodeError`]: the request as a whole is to be answered with 400 (or 413 for [`DecodeError::TooLarge`]), and
    /// what the sink was given of it is to be thrown away.
    pub fn decode<S: Sink + ?Sized>(
        &mut self,
        version: Version,
        encoding: Encoding,
        body: &[u8],
        sink: &mut S,
    ) -> Result<Tally, DecodeError> {
        let outcome = self.decode_message(version, encoding, body, sink);
        if outcome.is_err() {
            self.forget_metadata();
        }
        outcome
    }

    /// Hands all metadata on again from now on, as if nothing had been seen. To be called when what the sink was given
    /// could not be stored; after an error of [`Self::decode`] it happens by itself.
    pub fn forget_metadata(&mut self) {
        self.metadata_seen.forget();
    }

    fn decode_message<S: Sink + ?Sized>(
        &mut self,
        version: Version,
        encoding: Encoding,
        body: &[u8],
        sink: &mut S,
    ) -> Result<Tally, DecodeError> {
        let message = self.unpacker.unpack(encoding, body, &self.limits)?;
        match version {
            Version::V1 => v1::decode(message, &self.limits, sink),
            Version::V2 => v2::decode(message, &self.limits, &mut self.key, &mut self.metadata_seen, sink),
        }
    }
}

/// Adds to a count of samples and errs beyond the limit.
fn count(counter: &mut u64, so_far: u64, limits: &Limits) -> Result<(), DecodeError> {
    *counter += 1;
    if so_far >= limits.samples as u64 {
        return Err(DecodeError::TooManySamples { limit: limits.samples });
    }
    Ok(())
}

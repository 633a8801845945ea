//! Decompression that cannot be made to take more memory than it was allowed.
//!
//! Snappy and zstd say beforehand how long the result is, and may lie: the claim is checked before memory is given,
//! and the result must agree with it. Gzip says nothing that could be trusted: its output is counted while it grows.

use std::io::Read;

use crate::{DecodeError, Limits};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// Snappy's block format, as remote write uses it (not the framed one).
    Snappy,
    /// Zstandard.
    Zstd,
    /// Gzip, one or more members.
    Gzip,
}

impl Encoding {
    /// Reads a `Content-Encoding` header; absent and empty mean identity.
    ///
    /// # Errors
    /// [`DecodeError::Header`] names what is accepted.
    pub fn from_header(value: Option<&str>) -> Result<Self, DecodeError> {
        let value = value.unwrap_or("").trim();
        match value.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "snappy" => Ok(Self::Snappy),
            "zstd" => Ok(Self::Zstd),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            _ => Err(DecodeError::Header {
                header: "Content-Encoding",
                value: crate::error::readable(value),
                accepted: "snappy, zstd, gzip, identity",
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    fn damaged(self) -> DecodeError {
        DecodeError::Compression { encoding: self.name() }
    }
}

/// Bytes that no ratio is asked of: small bodies are harmless whatever they become.
const RATIO_FREE_BYTES: usize = 1 << 20;
/// Largest window that a zstd frame may ask for when it does not tell its length: 8 MiB, as RFC 8878 recommends.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Buffers are kept between bodies up to this size; a rare giant body does not hold its memory for ever.
const KEPT_BYTES: usize = 8 << 20;

/// Decompresses bodies into one buffer that is used again and again.
#[derive(Default)]
pub struct Unpacker {
    buffer: Vec<u8>,
    snappy: snap::raw::Decoder,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").field("kept_bytes", &self.buffer.capacity()).finish_non_exhaustive()
    }
}

impl Unpacker {
    /// The unpacked body; valid until the next call. An identity body is returned as it is.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`], [`DecodeError::Implausible`] or [`DecodeError::Compression`].
    pub fn unpack<'a>(
        &'a mut self,
        encoding: Encoding,
        body: &'a [u8],
        limits: &Limits,
    ) -> Result<&'a [u8], DecodeError> {
        self.buffer.truncate(KEPT_BYTES);
        self.buffer.shrink_to(KEPT_BYTES);
        match encoding {
            Encoding::Identity if body.len() > limits.unpacked_bytes => {
                Err(DecodeError::TooLarge { limit: limits.unpacked_bytes })
            }
            Encoding::Identity => Ok(body),
            Encoding::Snappy => self.snappy(body, limits),
            Encoding::Zstd => self.zstd(body, limits),
            Encoding::Gzip => {
                gunzip(body, limits, &mut self.buffer)?;
                Ok(&self.buffer)
            }
        }
    }

    fn snappy(&mut self, body: &[u8], limits: &Limits) -> Result<&[u8], DecodeError> {
        let damaged = |_| Encoding::Snappy.damaged();
        let claimed = snap::raw::decompress_len(body).map_err(damaged)?;
        if claimed > limits.unpacked_bytes {
            return Err(DecodeError::TooLarge { limit: limits.unpacked_bytes });
        }
        // The densest element of the format is a copy of 64 bytes in 3.
        if claimed / 22 > body.len() {
            return Err(DecodeError::Implausible { encoding: Encoding::Snappy.name() });
        }
        // Only what is new is filled with zeros; the rest still holds the body before, and is written over.
        if self.buffer.len() < claimed {
            self.buffer.resize(claimed, 0);
        }
        let room = self.buffer.get_mut(..claimed).ok_or_else(|| Encoding::Snappy.damaged())?;
        let length = self.snappy.decompress(body, room).map_err(damaged)?;
        Ok(self.buffer.get(..length).unwrap_or_default())
    }

    fn zstd(&mut self, body: &[u8], limits: &Limits) -> Result<&[u8], DecodeError> {
        let damaged = || Encoding::Zstd.damaged();
        self.buffer.clear();
        let Ok(claimed) = zstd::zstd_safe::get_frame_content_size(body) else { return Err(damaged()) };
        let Some(claimed) = claimed else {
            let stream = zstd::stream::read::Decoder::with_buffer(body).map_err(|_| damaged())?;
            return self.zstd_stream(body, stream, limits);
        };
        let claimed = usize::try_from(claimed).unwrap_or(usize::MAX);
        if claimed > limits.unpacked_bytes {
            return Err(DecodeError::TooLarge { limit: limits.unpacked_bytes });
        }
        check_ratio(Encoding::Zstd, body.len(), claimed, limits)?;
        let decoder = match &mut self.zstd {
            Some(decoder) => decoder,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| damaged())?),
        };
        self.buffer.reserve_exact(claimed);
        decoder.decompress_to_buffer(body, &mut self.buffer).map_err(|_| damaged())?;
        Ok(&self.buffer)
    }

    fn zstd_stream(
        &mut self,
        body: &[u8],
        mut stream: zstd::stream::read::Decoder<'_, &[u8]>,
        limits: &Limits,
    ) -> Result<&[u8], DecodeError> {
        stream.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| Encoding::Zstd.damaged())?;
        fill(Encoding::Zstd, body.len(), stream, limits, &mut self.buffer)?;
        Ok(&self.buffer)
    }
}

/// Decompresses gzip into `out`, which is emptied first.
///
/// # Errors
/// [`DecodeError::TooLarge`], [`DecodeError::Implausible`] or [`DecodeError::Compression`].
pub fn gunzip(body: &[u8], limits: &Limits, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    out.clear();
    fill(Encoding::Gzip, body.len(), flate2::bufread::MultiGzDecoder::new(body), limits, out)
}

/// Reads `stream` to its end, a mebibyte at a time, while the bounds hold.
fn fill(
    encoding: Encoding,
    packed: usize,
    mut stream: impl Read,
    limits: &Limits,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    loop {
        let step = RATIO_FREE_BYTES as u64;
        let before = out.len();
        stream.by_ref().take(step).read_to_end(out).map_err(|_| encoding.damaged())?;
        if out.len() > limits.unpacked_bytes {
            return Err(DecodeError::TooLarge { limit: limits.unpacked_bytes });
        }
        check_ratio(encoding, packed, out.len(), limits)?;
        if out.len() == before {
            return Ok(());
        }
    }
}

fn check_ratio(
    encoding: Encoding,
    packed: usize,
    unpacked: usize,
    limits: &Limits,
) -> Result<(), DecodeError> {
    if unpacked > RATIO_FREE_BYTES && unpacked / limits.ratio.max(1) > packed {
        return Err(DecodeError::Implausible { encoding: encoding.name() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const PAGE: &[u8] = b"up{job=\"a\"} 1\nup{job=\"b\"} 1\nup{job=\"c\"} 0\n";

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        w.write_all(data).unwrap();
        w.finish().unwrap()
    }

    fn snappy(data: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(data).unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(data, 3).unwrap()
    }

    /// A frame that does not tell how long its content is.
    fn zstd_streamed(data: &[u8]) -> Vec<u8> {
        let mut w = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        w.write_all(data).unwrap();
        w.finish().unwrap()
    }

    fn unpack(encoding: Encoding, body: &[u8], limits: &Limits) -> Result<Vec<u8>, DecodeError> {
        Unpacker::default().unpack(encoding, body, limits).map(<[u8]>::to_vec)
    }

    #[test]
    fn every_encoding_gives_back_what_was_packed() {
        let mut unpacker = Unpacker::default();
        for data in [PAGE, b"", &PAGE.repeat(1000), PAGE] {
            for (encoding, body) in [
                (Encoding::Identity, data.to_vec()),
                (Encoding::Snappy, snappy(data)),
                (Encoding::Zstd, zstd(data)),
                (Encoding::Zstd, zstd_streamed(data)),
                (Encoding::Gzip, gzip(data)),
                (Encoding::Gzip, [gzip(data), gzip(b"")].concat()),
            ] {
                assert_eq!(unpacker.unpack(encoding, &body, &Limits::default()), Ok(data), "{encoding:?}");
            }
        }
    }

    #[test]
    fn what_unpacks_to_more_than_allowed_is_refused() {
        let limits = Limits { unpacked_bytes: PAGE.len() * 10, ..Limits::default() };
        let data = PAGE.repeat(11);
        for (encoding, body) in [
            (Encoding::Identity, data.clone()),
            (Encoding::Snappy, snappy(&data)),
            (Encoding::Zstd, zstd(&data)),
            (Encoding::Zstd, zstd_streamed(&data)),
            (Encoding::Gzip, gzip(&data)),
        ] {
            let limit = limits.unpacked_bytes;
            assert_eq!(
                unpack(encoding, &body, &limits),
                Err(DecodeError::TooLarge { limit }),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio_before_it_reaches_the_size_limit() {
        let zeros = vec![0; 4 << 20];
        for (encoding, body) in [
            (Encoding::Zstd, zstd(&zeros)),
            (Encoding::Zstd, zstd_streamed(&zeros)),
            (Encoding::Gzip, gzip(&zeros)),
        ] {
            let mut unpacker = Unpacker::default();
            let answer = unpacker.unpack(encoding, &body, &Limits::default()).map(<[u8]>::len);
            assert_eq!(answer, Err(DecodeError::Implausible { encoding: encoding.name() }));
            assert!(unpacker.buffer.capacity() <= 4 << 20, "{}", unpacker.buffer.capacity());
        }
    }

    #[test]
    fn a_snappy_length_that_lies_gets_no_memory() {
        for claim in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80, 0x80, 0x80, 0x10]] {
            let mut unpacker = Unpacker::default();
            let body = [claim, b"\x00x"].concat();
            assert!(unpacker.unpack(Encoding::Snappy, &body, &Limits::default()).is_err());
            assert_eq!(unpacker.buffer.capacity(), 0);
        }
    }

    #[test]
    fn damaged_bodies_are_errors() {
        for encoding in [Encoding::Snappy, Encoding::Zstd, Encoding::Gzip] {
            for body in [&b"garbage, not packed"[..], b"\x28\xb5\x2f\xfd\xff", b"\x1f\x8b\x08"] {
                assert!(unpack(encoding, body, &Limits::default()).is_err(), "{encoding:?} {body:?}");
            }
        }
        assert!(unpack(Encoding::Snappy, &[], &Limits::default()).is_err());
        let mut cut = gzip(&PAGE.repeat(50));
        cut.truncate(cut.len() - 9);
        assert!(unpack(Encoding::Gzip, &cut, &Limits::default()).is_err());
    }

    #[test]
    fn a_giant_body_does_not_hold_its_memory_for_ever() {
        let mut unpacker = Unpacker::default();
        let noise: Vec<u8> =
            (0..20_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        unpacker.unpack(Encoding::Snappy, &snappy(&noise), &Limits::default()).unwrap();
        assert!(unpacker.buffer.capacity() > KEPT_BYTES);
        unpacker.unpack(Encoding::Snappy, &snappy(PAGE), &Limits::default()).unwrap();
        assert!(unpacker.buffer.capacity() <= KEPT_BYTES + PAGE.len());
    }

    #[test]
    fn the_header_is_read_as_http_writes_it() {
        assert_eq!(Encoding::from_header(None), Ok(Encoding::Identity));
        assert_eq!(Encoding::from_header(Some(" Snappy")), Ok(Encoding::Snappy));
        let error = Encoding::from_header(Some("br")).unwrap_err().to_string();
        assert!(error.contains("`br`") && error.contains("snappy"), "{error}");
    }
}

//! Messages with bounds over a program's stdio: how we talk with the helper that is sent to a host.
//!
//! A frame is four bytes of length, big end first, and so many bytes. Both sides begin with a hello: eight bytes that
//! no shell or motd prints, and a version of two bytes. A login script that prints something before it is found at
//! once, and a helper of another version is refused before anything is believed. What is in the frames is left to who
//! uses them.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::text::harmless;

/// What a conversation begins with.
const HELLO: [u8; 8] = *b"\x00wkfrm\xff\n";
/// The largest frame that can be allowed, bytes.
pub const FRAME_MAX: usize = 64 * 1024 * 1024;

/// A conversation that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side says something else than a hello, such as the words of a login script.
    #[error("no helper answers; it says {said:?} instead")]
    NoHello {
        /// Its first bytes, harmless.
        said: String,
    },
    /// Another version.
    #[error("the other side speaks version {theirs}, we speak {ours}")]
    Version {
        /// Ours.
        ours: u16,
        /// Theirs.
        theirs: u16,
    },
    /// A frame is longer than agreed.
    #[error("a frame of {bytes} bytes is longer than the agreed {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The other side ended in the middle of a frame or of its hello.
    #[error("the other side ended in the middle of a message")]
    Torn,
    /// The streams.
    #[error("the line to the other side broke")]
    Io(#[from] io::Error),
}

/// A conversation in frames.
#[derive(Debug)]
pub struct Frames<R, W> {
    reader: R,
    writer: W,
    frame_max: usize,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Frames<R, W> {
    /// Says hello and waits for the other side's. `frame_max`: the longest frame in either direction, at most
    /// [`FRAME_MAX`]. The caller sets a time limit around it.
    ///
    /// # Errors
    /// [`FrameError`] when the other side is none, or of another version.
    pub async fn greet(reader: R, writer: W, version: u16, frame_max: usize) -> Result<Self, FrameError> {
        let mut frames = Self { reader, writer, frame_max: frame_max.min(FRAME_MAX) };
        frames.writer.write_all(&[&HELLO[..], &version.to_be_bytes()].concat()).await?;
        frames.writer.flush().await?;
        let mut heard = [0; HELLO.len() + 2];
        let mut length = 0;
        while length < heard.len() {
            let rest = heard.get_mut(length..).unwrap_or_default();
            let read = frames.reader.read(rest).await?;
            length += read;
            let said = heard.get(..length).unwrap_or_default();
            let begun = said.len().min(HELLO.len());
            if said.get(..begun) != HELLO.get(..begun) {
                return Err(FrameError::NoHello { said: harmless(&String::from_utf8_lossy(said)) });
            }
            if read == 0 {
                return Err(FrameError::Torn);
            }
        }
        let [.., high, low] = heard;
        let theirs = u16::from_be_bytes([high, low]);
        if theirs != version {
            return Err(FrameError::Version { ours: version, theirs });
        }
        Ok(frames)
    }

    /// Sends one frame and flushes it.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] before anything is sent, or a broken line.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), FrameError> {
        let length = u32::try_from(frame.len()).ok().filter(|_| frame.len() <= self.frame_max);
        let length = length.ok_or(FrameError::TooLong { bytes: frame.len(), max: self.frame_max })?;
        // In one piece: over SSH each write is a packet of its own.
        let mut bytes = Vec::with_capacity(frame.len() + 4);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(frame);
        self.writer.write_all(&bytes).await?;
        Ok(self.writer.flush().await?)
    }

    /// The next frame; `None` when the other side has ended between two. Memory is given as bytes arrive, not as a
    /// length is claimed.
    ///
    /// # Errors
    /// [`FrameError`]; the conversation is over then.
    pub async fn receive(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let mut length = [0; 4];
        let first = self.reader.read(&mut length).await?;
        if first == 0 {
            return Ok(None);
        }
        let rest = length.get_mut(first..).unwrap_or_default();
        self.reader.read_exact(rest).await.map_err(torn)?;
        let bytes = u32::from_be_bytes(length) as usize;
        if bytes > self.frame_max {
            return Err(FrameError::TooLong { bytes, max: self.frame_max });
        }
        let mut frame = Vec::with_capacity(bytes.min(64 * 1024));
        let read = (&mut self.reader).take(bytes as u64).read_to_end(&mut frame).await?;
        if read < bytes {
            return Err(FrameError::Torn);
        }
        Ok(Some(frame))
    }

    /// Both directions apart, for who sends and receives at once.
    pub fn split(self) -> (Frames<R, tokio::io::Sink>, Frames<tokio::io::Empty, W>) {
        let frame_max = self.frame_max;
        (
            Frames { reader: self.reader, writer: tokio::io::sink(), frame_max },
            Frames { reader: tokio::io::empty(), writer: self.writer, frame_max },
        )
    }

    /// The streams, for who ends the program.
    pub fn into_parts(self) -> (R, W) {
        (self.reader, self.writer)
    }
}

fn torn(error: io::Error) -> FrameError {
    if error.kind() == io::ErrorKind::UnexpectedEof { FrameError::Torn } else { FrameError::Io(error) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{DuplexStream, ReadHalf, WriteHalf, duplex, split};

    use super::*;

    type Half = Frames<ReadHalf<DuplexStream>, WriteHalf<DuplexStream>>;

    async fn pair(buffer: usize) -> (Half, Half) {
        let (a, b) = duplex(buffer);
        let ((ar, aw), (br, bw)) = (split(a), split(b));
        let (a, b) = tokio::join!(Frames::greet(ar, aw, 1, 1000), Frames::greet(br, bw, 1, 1000));
        (a.expect("a"), b.expect("b"))
    }

    /// What we say to bytes that come from elsewhere.
    async fn to(bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut frames = Frames::greet(bytes, tokio::io::sink(), 1, 1000).await?;
        let mut all = Vec::new();
        while let Some(frame) = frames.receive().await? {
            all.push(frame);
        }
        Ok(all)
    }

    fn said(frames: &[&[u8]]) -> Vec<u8> {
        let mut bytes = [&HELLO[..], &[0, 1]].concat();
        for frame in frames {
            bytes.extend((frame.len() as u32).to_be_bytes());
            bytes.extend_from_slice(frame);
        }
        bytes
    }

    #[tokio::test]
    async fn frames_arrive_whole_and_in_order_through_any_buffer() {
        for buffer in [16, 37, 4096] {
            let (mut a, mut b) = pair(buffer).await;
            let sent: Vec<Vec<u8>> = (0..20).map(|n| vec![n; usize::from(n) * 13]).collect();
            let sending = async {
                for frame in &sent {
                    a.send(frame).await.expect("sent");
                }
                drop(a);
            };
            let receiving = async {
                let mut got = Vec::new();
                while let Some(frame) = b.receive().await.expect("whole") {
                    got.push(frame);
                }
                got
            };
            let ((), got) = tokio::join!(sending, receiving);
            assert_eq!(got, sent);
        }
    }

    #[tokio::test]
    async fn words_before_the_hello_are_told() {
        let error = to(b"Welcome to db1!\n").await.expect_err("no hello");
        assert!(error.to_string().contains("Welcome to"), "{error}");
        assert!(matches!(to(b"").await, Err(FrameError::Torn)));
        assert!(matches!(to(&HELLO).await, Err(FrameError::Torn)));
        let other = [&HELLO[..], &[0, 2]].concat();
        assert!(matches!(to(&other).await, Err(FrameError::Version { ours: 1, theirs: 2 })));
    }

    #[tokio::test]
    async fn a_claimed_length_gets_no_memory_and_a_torn_frame_is_no_frame() {
        let long = [said(&[]), u32::MAX.to_be_bytes().to_vec()].concat();
        assert!(matches!(to(&long).await, Err(FrameError::TooLong { max: 1000, .. })));
        let whole = said(&[b"one", b"two"]);
        let start = HELLO.len() + 2;
        for cut in start..whole.len() {
            let between = cut == start || cut == start + 7;
            assert_eq!(to(&whole[..cut]).await.is_ok(), between, "cut at {cut}");
        }
        let (mut a, _b) = pair(64).await;
        assert!(matches!(a.send(&[0; 1001]).await, Err(FrameError::TooLong { bytes: 1001, max: 1000 })));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
        #[test]
        fn any_bytes_end_without_a_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _ = runtime.block_on(to(&tail));
            let _ = runtime.block_on(to(&[said(&[b"x"]), tail].concat()));
        }
    }
}

//! One connection over TCP or a socket file.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::reply::{ANSWER_MAX, Bad, Reply, parse};

/// Longest time for one command or for connecting.
const WITHIN: Duration = Duration::from_secs(3);

/// Where a server listens: `127.0.0.1:6379`, `cache.example:6379` or `/run/redis.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String),
    /// A socket file.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = RespError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('/') {
            return Ok(Self::Unix(text.into()));
        }
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, p)| p.parse::<u16>());
        if matches!(port, Some(Ok(_))) {
            Ok(Self::Tcp(text.to_owned()))
        } else {
            Err(RespError::Address(text.to_owned()))
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RespError {
    /// Neither host and port nor a path.
    #[error("`{0}` is no address: write HOST:PORT or the path of a socket")]
    Address(String),
    /// The connection failed.
    #[error("the server cannot be reached or went away")]
    Io(#[from] std::io::Error),
    /// It took too long.
    #[error("no answer within {} s", WITHIN.as_secs())]
    Late,
    /// Not the protocol, or more than is taken.
    #[error("the answer is not RESP, or longer than {ANSWER_MAX} bytes")]
    Answer,
    /// The server said no.
    #[error("refused: {0}")]
    Refused(String),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection. After an error it is of no more use: an answer may still be under way.
pub struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects, and says who it is when there is a password.
    ///
    /// # Errors
    /// When the server cannot be reached in time or refuses the password.
    pub async fn connect(
        at: &Address,
        user: Option<&str>,
        password: Option<&[u8]>,
    ) -> Result<Self, RespError> {
        let connecting = async {
            Ok::<Box<dyn Stream>, std::io::Error>(match at {
                Address::Tcp(address) => Box::new(TcpStream::connect(address).await?),
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            })
        };
        let stream = timeout(WITHIN, connecting).await.map_err(|_| RespError::Late)??;
        let mut client = Self { stream, buffer: Vec::new() };
        if let Some(password) = password {
            let words: Vec<&[u8]> = match user {
                Some(user) => vec![b"AUTH", user.as_bytes(), password],
                None => vec![b"AUTH", password],
            };
            client.call(&words).await?;
        }
        Ok(client)
    }

    /// Sends one command and waits for its answer.
    ///
    /// # Errors
    /// When the connection fails, no answer comes in time, it is too long, or the server refuses.
    pub async fn call(&mut self, words: &[&[u8]]) -> Result<Reply, RespError> {
        match timeout(WITHIN, self.exchange(words)).await {
            Err(_) => Err(RespError::Late),
            Ok(Ok(Reply::Refused(why))) => Err(RespError::Refused(why)),
            Ok(answer) => answer,
        }
    }

    async fn exchange(&mut self, words: &[&[u8]]) -> Result<Reply, RespError> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&request).await?;
        loop {
            match parse(&self.buffer) {
                Ok((reply, length)) => {
                    self.buffer.drain(..length);
                    return Ok(reply);
                }
                Err(Bad::Broken) => return Err(RespError::Answer),
                Err(Bad::Short) if self.buffer.len() > ANSWER_MAX => return Err(RespError::Answer),
                Err(Bad::Short) => {}
            }
            let mut chunk = [0; 16 << 10];
            let read = self.stream.read(&mut chunk).await?;
            if read == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            self.buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[test]
    fn addresses_are_hosts_with_a_port_or_paths() {
        for good in ["127.0.0.1:6379", "[::1]:6379", "cache.example:1", "/run/redis.sock"] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for bad in ["", "6379", ":6379", "host", "host:0x1", "host:70000"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    /// What a client makes of this answer, sent in pieces.
    async fn answered(pieces: &'static [&'static [u8]]) -> Result<Reply, RespError> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).expect("bound");
        let serve = async move {
            let (mut peer, _) = listener.accept().await.expect("a peer");
            let mut request = [0; 64];
            let read = peer.read(&mut request).await.expect("a request");
            assert_eq!(&request[..read], b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n", "arguments have lengths");
            for piece in pieces {
                peer.write_all(piece).await.expect("written");
                tokio::task::yield_now().await;
            }
        };
        let ask = async {
            let mut client = Client::connect(&Address::Unix(path), None, None).await?;
            client.call(&[b"GET", b"a\r\nb"]).await
        };
        tokio::join!(serve, ask).1
    }

    #[tokio::test]
    async fn an_answer_may_come_in_pieces() {
        assert!(matches!(answered(&[b"$3\r", b"\nab", b"c\r\n"]).await, Ok(Reply::Text(t)) if t == b"abc"));
    }

    #[tokio::test]
    async fn a_refusal_a_stranger_and_an_end_are_errors() {
        assert!(matches!(answered(&[b"-ERR no\r\n"]).await, Err(RespError::Refused(w)) if w == "ERR no"));
        assert!(matches!(answered(&[b"HTTP/1.1 400\r\n"]).await, Err(RespError::Answer)));
        assert!(matches!(answered(&[b"$3\r\nab"]).await, Err(RespError::Io(_))));
    }
}

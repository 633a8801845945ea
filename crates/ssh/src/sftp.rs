//! Files to and from a host: whole or not at all, with checksums.
//!
//! An upload goes into a new file beside its destination, is synced, read back when that is wanted, and then renamed
//! over it in one step. Whoever reads the destination sees the old content or the new one, and when anything fails the
//! old one stays.

use futures_util::stream::{FuturesOrdered, FuturesUnordered, StreamExt};
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::rawsession::Limits;
use russh_sftp::client::{Config, RawSftpSession};
use russh_sftp::protocol::{FileAttributes, OpenFlags, Packet, StatusCode};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::connection::Connection;
use crate::pipe::Rest;
use crate::text::harmless;
use crate::transfer::{About, Destination, Placing, TransferError, Transferred};

/// One request's data, bytes; all servers take this much.
const CHUNK: u32 = 32 * 1024;
/// How many requests are on the way at once.
const WINDOW: usize = 32;
/// The longest path, bytes.
const PATH_MAX: usize = 4096;

/// An SFTP session. It takes one of the connection's channels until it is dropped.
pub struct Sftp {
    raw: RawSftpSession,
    posix_rename: bool,
    fsync: bool,
    /// The program there ends with us.
    _rest: Rest,
}

impl Connection {
    /// Opens an SFTP session.
    ///
    /// # Errors
    /// [`TransferError::NoSftp`].
    pub async fn sftp(&self) -> Result<Sftp, TransferError> {
        let pipe = self.subsystem("sftp").await.map_err(TransferError::NoSftp)?;
        let (reader, writer, rest) = pipe.into_parts();
        let config = Config {
            max_packet_len: 256 * 1024,
            request_timeout_secs: self.target().times.request.as_secs().max(1),
            ..Config::default()
        };
        let mut raw = RawSftpSession::new_with_config(tokio::io::join(reader, writer), config);
        let version = raw.init().await.map_err(|e| host("/", "begin", &e))?;
        let has = |name: &str| version.extensions.contains_key(name);
        // The session's own bound on packets; ours are far below it.
        raw.set_limits(Limits::default());
        Ok(Sftp {
            posix_rename: has("posix-rename@openssh.com"),
            fsync: has("fsync@openssh.com"),
            raw,
            _rest: rest,
        })
    }
}

fn host(path: &str, attempt: &'static str, error: &SftpError) -> TransferError {
    let absent = matches!(error, SftpError::Status(s) if s.status_code == StatusCode::NoSuchFile);
    TransferError::Host {
        path: path.to_owned(),
        attempt,
        reason: harmless(&error.to_string()),
        absent,
        destination: Destination::Unchanged,
    }
}

fn checked(path: &str) -> Result<(), TransferError> {
    let why = match path {
        "" => "it is empty",
        p if p.contains('\0') => "it holds a zero byte",
        p if p.len() > PATH_MAX => "it has more than 4096 bytes",
        p if p.ends_with('/') => "it ends with `/`",
        _ => return Ok(()),
    };
    Err(TransferError::Path { path: path.chars().take(100).collect(), why })
}

impl Sftp {
    /// Writes a file from `source` and puts it at `path`. A link there is replaced, not followed.
    ///
    /// # Errors
    /// [`TransferError`]; unless it says otherwise the destination is what it was.
    pub async fn upload(
        &self,
        source: &mut (dyn AsyncRead + Send + Unpin),
        path: &str,
        placing: &Placing,
    ) -> Result<Transferred, TransferError> {
        checked(path)?;
        let temporary =
            beside(path).map_err(|source| TransferError::Ours { path: path.to_owned(), source })?;
        let result = self.upload_over(source, path, &temporary, placing).await;
        if result.is_err() {
            // It may be the line that broke; then nothing can be tidied, and the name says whose it was.
            let _ = self.raw.remove(temporary).await;
        }
        result
    }

    async fn upload_over(
        &self,
        source: &mut (dyn AsyncRead + Send + Unpin),
        path: &str,
        temporary: &str,
        placing: &Placing,
    ) -> Result<Transferred, TransferError> {
        let failed = |attempt, error: &SftpError| host(path, attempt, error);
        let mode = self.mode(path, placing.mode).await?;
        let new = OpenFlags::CREATE | OpenFlags::EXCLUDE | OpenFlags::WRITE | OpenFlags::READ;
        let private = FileAttributes { permissions: Some(0o600), ..FileAttributes::empty() };
        let opened = self.raw.open(temporary, new, private).await;
        let handle = opened.map_err(|e| failed("create a file beside it", &e))?.handle;
        let written = async {
            let sent = self.write(&handle, source, path, placing.max_bytes).await?;
            let (uid, gid) = placing.owner.unzip();
            let attributes = FileAttributes { permissions: Some(mode), uid, gid, ..FileAttributes::empty() };
            self.raw.fsetstat(&*handle, attributes).await.map_err(|e| failed("set mode and owner", &e))?;
            if self.fsync {
                self.raw.fsync(&*handle).await.map_err(|e| failed("write it to disk", &e))?;
            }
            if placing.read_back {
                let arrived = self.read(&handle, &mut tokio::io::sink(), path, placing.max_bytes).await?;
                if arrived != sent {
                    let (path, sent, arrived) = (path.to_owned(), sent.sha256, arrived.sha256);
                    return Err(TransferError::Mismatch { path, sent, arrived });
                }
            }
            Ok(sent)
        };
        let written = written.await;
        let closed = self.raw.close(&*handle).await;
        let sent = written?;
        closed.map_err(|e| failed("close it", &e))?;
        self.rename_over(temporary, path).await?;
        Ok(sent)
    }

    async fn mode(&self, path: &str, wanted: Option<u32>) -> Result<u32, TransferError> {
        if let Some(mode) = wanted {
            return Ok(mode & 0o7777);
        }
        match self.raw.lstat(path).await {
            Ok(found) if !found.attrs.is_symlink() => Ok(found.attrs.permissions.unwrap_or(0o644) & 0o7777),
            Ok(_) => Ok(0o644),
            Err(SftpError::Status(s)) if s.status_code == StatusCode::NoSuchFile => Ok(0o644),
            Err(e) => Err(host(path, "look at it", &e)),
        }
    }

    /// In one step, over whatever is there.
    async fn rename_over(&self, from: &str, to: &str) -> Result<(), TransferError> {
        let result = if self.posix_rename {
            let mut data = Vec::new();
            for name in [from, to] {
                data.extend((name.len() as u32).to_be_bytes());
                data.extend_from_slice(name.as_bytes());
            }
            match self.raw.extended("posix-rename@openssh.com", data).await {
                Ok(Packet::Status(s)) if s.status_code == StatusCode::Ok => Ok(()),
                Ok(Packet::Status(s)) => Err(SftpError::Status(s)),
                Ok(_) => Err(SftpError::UnexpectedPacket),
                Err(e) => Err(e),
            }
        } else {
            // Such servers rename only where nothing is yet, which is no reason to leave a gap in between.
            self.raw.rename(from, to).await.map(drop)
        };
        result.map_err(|e| {
            let certain = matches!(e, SftpError::Status(_));
            let mut error = host(to, "put it in place", &e);
            if let TransferError::Host { destination, .. } = &mut error
                && !certain
            {
                *destination = Destination::Unknown;
            }
            error
        })
    }

    async fn write(
        &self,
        handle: &str,
        source: &mut (dyn AsyncRead + Send + Unpin),
        path: &str,
        max: u64,
    ) -> Result<Transferred, TransferError> {
        let mut hash = Sha256::new();
        let mut offset = 0;
        let mut on_the_way = FuturesUnordered::new();
        loop {
            let mut chunk = Vec::with_capacity(CHUNK as usize);
            let read = (&mut *source).take(u64::from(CHUNK)).read_to_end(&mut chunk).await;
            let read = read.map_err(|source| TransferError::Ours { path: path.to_owned(), source })?;
            if read > 0 {
                hash.update(&chunk);
                on_the_way.push(self.raw.write(handle, offset, chunk));
                offset += read as u64;
                if offset > max {
                    return Err(TransferError::TooLong { path: path.to_owned(), max });
                }
            }
            while on_the_way.len() >= WINDOW || (read == 0 && !on_the_way.is_empty()) {
                if let Some(Err(e)) = on_the_way.next().await {
                    return Err(host(path, "write", &e));
                }
            }
            if read == 0 {
                return Ok(Transferred { bytes: offset, sha256: hex(hash) });
            }
        }
    }

    /// Reads a file into `sink`, which takes it piece by piece.
    ///
    /// # Errors
    /// [`TransferError`]; `sink` may have got a part of it.
    pub async fn download(
        &self,
        path: &str,
        sink: &mut (dyn AsyncWrite + Send + Unpin),
        max_bytes: u64,
    ) -> Result<Transferred, TransferError> {
        checked(path)?;
        let opened = self.raw.open(path, OpenFlags::READ, FileAttributes::empty()).await;
        let handle = opened.map_err(|e| host(path, "open it", &e))?.handle;
        let read = self.read(&handle, sink, path, max_bytes).await;
        // It was only read: how closing it goes changes nothing.
        let _ = self.raw.close(handle).await;
        read
    }

    async fn read(
        &self,
        handle: &str,
        sink: &mut (dyn AsyncWrite + Send + Unpin),
        path: &str,
        max: u64,
    ) -> Result<Transferred, TransferError> {
        let mut hash = Sha256::new();
        let (mut asked, mut offset) = (0u64, 0u64);
        let mut on_the_way = FuturesOrdered::new();
        // Most files are small: only those that go on are asked for ahead.
        let mut window = 2;
        loop {
            while on_the_way.len() < window {
                on_the_way.push_back(self.raw.read(handle, asked, CHUNK));
                asked += u64::from(CHUNK);
            }
            let data = match on_the_way.next().await {
                None => break,
                Some(Ok(data)) => data.data,
                Some(Err(SftpError::Status(s))) if s.status_code == StatusCode::Eof => break,
                Some(Err(e)) => return Err(host(path, "read", &e)),
            };
            if data.is_empty() {
                break;
            }
            if data.len() < CHUNK as usize {
                // Less than asked for: what was asked after it has a gap before it, and is asked for again.
                on_the_way = FuturesOrdered::new();
                asked = offset + data.len() as u64;
            }
            offset += data.len() as u64;
            if offset > max || data.len() > CHUNK as usize {
                return Err(TransferError::TooLong { path: path.to_owned(), max });
            }
            window = (window * 2).min(WINDOW);
            hash.update(&data);
            let written = sink.write_all(&data).await;
            written.map_err(|source| TransferError::Ours { path: path.to_owned(), source })?;
        }
        let flushed = sink.flush().await;
        flushed.map_err(|source| TransferError::Ours { path: path.to_owned(), source })?;
        Ok(Transferred { bytes: offset, sha256: hex(hash) })
    }

    /// What is at a path; `None` when nothing is. Links are not followed.
    ///
    /// # Errors
    /// [`TransferError::Host`].
    pub async fn about(&self, path: &str) -> Result<Option<About>, TransferError> {
        checked(path)?;
        match self.raw.lstat(path).await {
            Ok(found) => Ok(Some(About {
                size: found.attrs.size.unwrap_or(0),
                mode: found.attrs.permissions.unwrap_or(0),
                uid: found.attrs.uid.unwrap_or(0),
                gid: found.attrs.gid.unwrap_or(0),
                modified_seconds: found.attrs.mtime.unwrap_or(0),
            })),
            Err(SftpError::Status(s)) if s.status_code == StatusCode::NoSuchFile => Ok(None),
            Err(e) => Err(host(path, "look at it", &e)),
        }
    }

    /// Makes a directory with these permission bits.
    ///
    /// # Errors
    /// [`TransferError::Host`], also when something is there already.
    pub async fn make_directory(&self, path: &str, mode: u32) -> Result<(), TransferError> {
        checked(path)?;
        let attributes = FileAttributes { permissions: Some(mode & 0o7777), ..FileAttributes::empty() };
        self.raw.mkdir(path, attributes).await.map(drop).map_err(|e| host(path, "make a directory", &e))
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// [`TransferError::Host`].
    pub async fn remove(&self, path: &str) -> Result<(), TransferError> {
        checked(path)?;
        self.raw.remove(path).await.map(drop).map_err(|e| host(path, "remove it", &e))
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// A new name in the same directory, which says whose it is.
fn beside(path: &str) -> Result<String, std::io::Error> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(std::io::Error::other)?;
    let random: String = random.iter().map(|b| format!("{b:02x}")).collect();
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(f, n)| (f, n));
    let slash = if path.contains('/') { "/" } else { "" };
    // A name may have 255 bytes; ours is not to become longer than that by its addition.
    let name: String = name.chars().take(40).collect();
    Ok(format!("{folder}{slash}.{name}.wellkept-{random}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_in_the_same_directory() {
        for (path, begins) in
            [("/etc/hosts", "/etc/.hosts.wellkept-"), ("x", ".x.wellkept-"), ("/x", "/.x.wellkept-")]
        {
            assert!(beside(path).expect("random").starts_with(begins), "{path}");
        }
        assert!(beside(&format!("/{}", "ü".repeat(120))).expect("random").len() < 255);
    }

    #[test]
    fn what_is_no_path_of_a_file_is_refused() {
        for path in ["", "a\0b", "/etc/", &"x".repeat(5000)] {
            assert!(matches!(checked(path), Err(TransferError::Path { .. })), "{path:?}");
        }
    }
}

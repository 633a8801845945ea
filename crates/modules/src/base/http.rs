//! A small HTTP/1.1 client for modules: blocking, streaming, over TCP, TLS or a Unix socket.
//!
//! Modules need what the service's own client does not offer: bodies larger than memory, sockets of the host's
//! services, certificates that a task says not to check. Redirects are followed as Ansible's `follow_redirects` says.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::tls;

/// Longest head of an answer, bytes.
const HEAD_MAX: u64 = 256 << 10;
/// Redirects that are followed one after the other.
const REDIRECTS_MAX: usize = 10;

/// Which redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Follow {
    /// Of `GET` and `HEAD`.
    #[default]
    Safe,
    /// Also of other methods, as Python's library does it.
    Usual,
    /// All, keeping the method where the standard allows it.
    All,
    None,
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// A file that is sent instead of the body, as it is read.
    pub(crate) upload: Option<PathBuf>,
    /// Time that one step (connecting, one piece of the answer) may take.
    pub(crate) within: Option<Duration>,
    pub(crate) follow: Follow,
    pub(crate) trust: tls::Trust,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) account: Option<(String, String)>,
    /// Send name and password before they are asked for.
    pub(crate) basic_at_once: bool,
    /// Proxies by scheme (`http`, `https`).
    pub(crate) proxies: Vec<(String, String)>,
}

/// What came back; the body is read as it comes.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// Names in lower case; a name that came twice has its values joined.
    pub(crate) headers: Vec<(String, String)>,
    /// The address that answered in the end.
    pub(crate) url: String,
    /// Whether something else than the asked address answered.
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) body: Box<dyn Read>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The whole body, when it has at most this many bytes.
    pub(crate) fn whole(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        self.body.by_ref().take(most + 1).read_to_end(&mut out)?;
        if out.len() as u64 > most {
            return Err(io::Error::other(format!("the answer is longer than {most} bytes")));
        }
        Ok(out)
    }
}

/// An address in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    pub(crate) account: Option<(String, String)>,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Path and query.
    pub(crate) path: String,
}

impl Url {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("unknown url type: '{url}'"));
        };
        let scheme = scheme.to_lowercase();
        let port = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            other => return Err(format!("Request failed: <urlopen error unknown url type: {other}>")),
        };
        if url.chars().any(|c| c.is_control() || c == ' ') {
            return Err(format!("URL can't contain control characters. '{url}'"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (account, place) = match authority.rsplit_once('@') {
            Some((account, place)) => (Some(account), place),
            None => (None, authority),
        };
        let account = account.map(|account| {
            let (user, password) = account.split_once(':').unwrap_or((account, ""));
            (unescaped(user), unescaped(password))
        });
        let bracket = place.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match place.get(bracket..).and_then(|rest| rest.rfind(':')) {
            Some(colon) => {
                let (host, digits) = place.split_at(bracket + colon);
                let digits = digits.trim_start_matches(':');
                (
                    host,
                    if digits.is_empty() {
                        port
                    } else {
                        digits.parse().map_err(|_| format!("nonnumeric port: '{digits}'"))?
                    },
                )
            }
            None => (place, port),
        };
        if host.is_empty() {
            return Err("Request failed: <urlopen error no host given>".to_owned());
        }
        Ok(Self { scheme, account, host: host.to_owned(), port, path })
    }

    fn usual_port(&self) -> bool {
        self.port == if self.scheme == "https" { 443 } else { 80 }
    }

    fn place(&self) -> String {
        if self.usual_port() { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Where `to`, found on this page, leads.
    pub(crate) fn join(&self, to: &str) -> String {
        if to.contains("://") {
            return to.to_owned();
        }
        let base = format!("{}://{}", self.scheme, self.place());
        if let Some(rest) = to.strip_prefix("//") {
            return format!("{}://{rest}", self.scheme);
        }
        if to.starts_with('/') {
            return format!("{base}{to}");
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or("/");
        format!("{base}{folder}{to}")
    }
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digits = (byte == b'%').then(|| bytes.clone().take(2).map(char::from).collect::<String>());
        match digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok()) {
            Some(value) => {
                out.push(value);
                bytes.nth(1);
            }
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Asks, following redirects.
///
/// # Errors
/// Why no answer came, in words for people.
pub(crate) fn ask(ask: &Ask) -> Result<Answer, String> {
    let mut now = ask.clone();
    let mut cookies: Vec<(String, String)> = Vec::new();
    let mut account = false;
    for _ in 0..=REDIRECTS_MAX {
        let url = Url::parse(&now.url)?;
        let mut answer = once(&now, &url, &cookies, account || ask.basic_at_once)?;
        for (name, value) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let _ = name;
            if let Some((key, value)) = value.split(';').next().and_then(|pair| pair.split_once('=')) {
                cookies.retain(|(name, _)| name != key.trim());
                cookies.insert(0, (key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        joined(&mut answer.headers);
        let asked = answer.header("www-authenticate").is_some_and(|way| way.to_lowercase().contains("basic"));
        if answer.status == 401 && asked && !account && (ask.account.is_some() || url.account.is_some()) {
            account = true;
            continue;
        }
        let target =
            answer.header("location").filter(|_| matches!(answer.status, 301 | 302 | 303 | 307 | 308));
        let Some(target) = target.map(|target| url.join(target)) else {
            answer.cookies = cookies;
            return Ok(answer);
        };
        match next_method(ask.follow, &now.method, answer.status) {
            None => {
                answer.cookies = cookies;
                return Ok(answer);
            }
            Some(method) => {
                if method != now.method {
                    now.body.clear();
                    now.upload = None;
                    now.headers.retain(|(name, _)| {
                        !matches!(
                            name.to_lowercase().as_str(),
                            "content-length" | "content-type" | "transfer-encoding"
                        )
                    });
                }
                let other = Url::parse(&target)?;
                if other.host != url.host {
                    // Secrets are for the host that they were given for.
                    now.headers.retain(|(name, _)| {
                        !matches!(name.to_lowercase().as_str(), "authorization" | "cookie")
                    });
                    now.account = None;
                    cookies.clear();
                }
                now.method = method;
                now.url = target;
            }
        }
    }
    Err("Request failed: the server redirects in a circle".to_owned())
}

/// The method after a redirect, when it is followed.
fn next_method(follow: Follow, method: &str, status: u16) -> Option<String> {
    let safe = matches!(method, "GET" | "HEAD");
    let followed = match follow {
        Follow::None => false,
        Follow::Safe => safe,
        Follow::Usual => safe || (method == "POST" && matches!(status, 301..=303)),
        Follow::All => true,
    };
    let change = (matches!(status, 302 | 303) && method != "HEAD") || (status == 301 && method == "POST");
    followed.then(|| if change { "GET".to_owned() } else { method.to_owned() })
}

fn joined(headers: &mut Vec<(String, String)>) {
    let mut out: Vec<(String, String)> = Vec::new();
    for (name, value) in headers.drain(..) {
        match out.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => {
                old.push_str(", ");
                old.push_str(&value);
            }
            None => out.push((name, value)),
        }
    }
    *headers = out;
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn once(ask: &Ask, url: &Url, cookies: &[(String, String)], account: bool) -> Result<Answer, String> {
    let failed = |error: &io::Error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "Connection failure: timed out".to_owned(),
        _ => format!("Request failed: <urlopen error {}>", super::python::errno(error)),
    };
    let proxy = ask.proxies.iter().find(|(scheme, _)| *scheme == url.scheme).map(|(_, proxy)| proxy);
    let proxy = proxy.filter(|_| ask.socket.is_none()).map(|proxy| Url::parse(proxy)).transpose()?;
    let mut stream: Box<dyn Stream> = match (&ask.socket, &proxy) {
        (Some(path), _) => {
            let stream = UnixStream::connect(path).map_err(|error| failed(&error))?;
            stream.set_read_timeout(ask.within).map_err(|error| failed(&error))?;
            Box::new(stream)
        }
        (None, proxy) => {
            let near = proxy.as_ref().unwrap_or(url);
            let mut tcp = connect(&near.host, near.port, ask.within).map_err(|error| failed(&error))?;
            if url.scheme == "https" {
                if proxy.is_some() {
                    tunnel(&mut tcp, url).map_err(|error| failed(&error))?;
                }
                Box::new(tls::client(tcp, url.host.trim_matches(['[', ']']), &ask.trust)?)
            } else {
                Box::new(tcp)
            }
        }
    };
    let through_proxy = proxy.is_some() && url.scheme == "http";
    let mut sent = Body::of(ask).map_err(|error| failed(&error))?;
    let head = head(ask, sent.length(), url, cookies, account, through_proxy);
    stream
        .write_all(head.as_bytes())
        .and_then(|()| sent.send(&mut stream))
        .map_err(|error| failed(&error))?;
    stream.flush().map_err(|error| failed(&error))?;
    let mut reader = BufReader::new(stream);
    let (status, reason, headers) = read_head(&mut reader).map_err(|error| failed(&error))?;
    let body = body(&ask.method, status, &headers, reader);
    Ok(Answer { status, reason, headers, url: ask.url.clone(), cookies: Vec::new(), body })
}

fn connect(host: &str, port: u16, within: Option<Duration>) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (host.trim_matches(['[', ']']), port).to_socket_addrs()? {
        let tried = match within {
            Some(within) => TcpStream::connect_timeout(&address, within),
            None => TcpStream::connect(address),
        };
        match tried {
            Ok(stream) => {
                stream.set_read_timeout(within)?;
                stream.set_write_timeout(within)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn tunnel(tcp: &mut TcpStream, url: &Url) -> io::Result<()> {
    let place = format!("{}:{}", url.host, url.port);
    tcp.write_all(format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n").as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() as u64 > HEAD_MAX || tcp.read(&mut byte)? == 0 {
            return Err(io::Error::other("the proxy gave no answer"));
        }
        head.extend_from_slice(&byte);
    }
    let line = String::from_utf8_lossy(&head);
    match line.split(' ').nth(1) {
        Some("200") => Ok(()),
        other => Err(io::Error::other(format!("Tunnel connection failed: {}", other.unwrap_or("no status")))),
    }
}

/// What is sent after the head.
enum Body<'a> {
    Bytes(&'a [u8]),
    File(File, u64),
}

impl<'a> Body<'a> {
    fn of(ask: &'a Ask) -> io::Result<Self> {
        let Some(path) = &ask.upload else { return Ok(Self::Bytes(&ask.body)) };
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self::File(file, length))
    }

    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    fn send(&mut self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => to.write_all(bytes),
            Self::File(file, length) => match io::copy(&mut file.take(*length), to)? {
                sent if sent == *length => Ok(()),
                _ => Err(io::Error::other("the file became shorter while it was sent")),
            },
        }
    }
}

fn head(
    ask: &Ask,
    length: u64,
    url: &Url,
    cookies: &[(String, String)],
    account: bool,
    absolute: bool,
) -> String {
    let given = |name: &str| ask.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    let target =
        if absolute { format!("{}://{}{}", url.scheme, url.place(), url.path) } else { url.path.clone() };
    let mut head = format!("{} {target} HTTP/1.1\r\n", ask.method);
    let mut line = |name: &str, value: &str| {
        let value: String = value.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        head.push_str(&format!("{name}: {value}\r\n"));
    };
    for (name, value) in &ask.headers {
        line(name, value);
    }
    if !given("host") {
        line("Host", &url.place());
    }
    if !given("content-length") && (length > 0 || matches!(ask.method.as_str(), "POST" | "PUT" | "PATCH")) {
        line("Content-Length", &length.to_string());
    }
    if length > 0 && !given("content-type") {
        line("Content-Type", "application/x-www-form-urlencoded");
    }
    if let Some((user, password)) = ask.account.as_ref().or(url.account.as_ref()).filter(|_| account) {
        line("Authorization", &format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    }
    if !cookies.is_empty() && !given("cookie") {
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        line("Cookie", &all.join("; "));
    }
    line("Connection", "close");
    head.push_str("\r\n");
    head
}

type Head = (u16, String, Vec<(String, String)>);

fn read_head(reader: &mut impl BufRead) -> io::Result<Head> {
    loop {
        let mut bounded = reader.take(HEAD_MAX);
        let first = line(&mut bounded)?;
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| status.parse::<u16>().ok());
        let Some(status) = status.filter(|_| version.starts_with("HTTP/1.")) else {
            return Err(io::Error::other("connection was closed before a valid response was received"));
        };
        let reason = words.next().unwrap_or_default().trim().to_owned();
        let mut headers = Vec::new();
        loop {
            let text = line(&mut bounded)?;
            if text.is_empty() {
                break;
            }
            if let Some((name, value)) = text.split_once(':') {
                headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
            }
        }
        if status >= 200 || status == 101 {
            return Ok((status, reason, headers));
        }
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes)?;
    if !bytes.ends_with(b"\n") {
        return Err(io::Error::other("the head of the answer is not complete or too long"));
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

fn body(
    method: &str,
    status: u16,
    headers: &[(String, String)],
    reader: impl BufRead + 'static,
) -> Box<dyn Read> {
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if method == "HEAD" || matches!(status, 204 | 304) {
        return Box::new(io::empty());
    }
    if header("transfer-encoding").is_some_and(|way| way.to_lowercase().contains("chunked")) {
        return Box::new(Chunks { from: reader, left: 0, first: true, done: false });
    }
    match header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => Box::new(reader.take(length)),
        None => Box::new(reader),
    }
}

/// A body in pieces that each tell their length.
struct Chunks<R> {
    from: R,
    left: u64,
    first: bool,
    done: bool,
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 && !self.done {
            if !self.first {
                line(&mut (&mut self.from).take(HEAD_MAX))?;
            }
            self.first = false;
            let size = line(&mut (&mut self.from).take(HEAD_MAX))?;
            let digits = size.split(';').next().unwrap_or_default().trim();
            self.left =
                u64::from_str_radix(digits, 16).map_err(|_| io::Error::other("a chunk has no length"))?;
            if self.left == 0 {
                self.done = true;
                while !line(&mut (&mut self.from).take(HEAD_MAX))?.is_empty() {}
            }
        }
        if self.done {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let got = self.from.read(into.get_mut(..most).unwrap_or_default())?;
        if got == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let url = Url::parse("https://me:p%40ss@[::1]:8443/a/b?c=d#e").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("[::1]", 8443, "/a/b?c=d"));
        assert_eq!(url.account, Some(("me".to_owned(), "p@ss".to_owned())));
        assert_eq!(url.join("x"), "https://[::1]:8443/a/x");
        assert_eq!(url.join("/x"), "https://[::1]:8443/x");
        assert_eq!(url.join("http://o/"), "http://o/");
        assert!(
            Url::parse("ftp://x/").is_err()
                && Url::parse("x").is_err()
                && Url::parse("http://a/\nb").is_err()
        );
    }

    #[test]
    fn chunks_are_joined_and_a_cut_body_is_an_error() {
        let read = |text: &'static [u8]| {
            let mut out = Vec::new();
            let mut chunks = Chunks { from: text, left: 0, first: true, done: false };
            chunks.read_to_end(&mut out).map(|_| out)
        };
        assert_eq!(read(b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n").unwrap(), b"abcde");
        assert!(read(b"3\r\nab").is_err());
        assert!(read(b"zz\r\n").is_err());
    }
}

//! A small HTTP server of a test's own: a page that is scraped, a list of targets, a receiver.
//!
//! One request per connection. When it is dropped, nobody listens at its address any more.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    head: String,
    pub body: Vec<u8>,
}

impl Seen {
    /// A header; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let fits = |line: &&str| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.head.lines().skip(1).find(fits).and_then(|l| l.split_once(':')).map_or("", |(_, v)| v.trim())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A page of metrics.
    pub fn metrics(text: impl Into<Vec<u8>>) -> Self {
        Self::of("text/plain; version=0.0.4", text)
    }

    pub fn json(text: impl Into<Vec<u8>>) -> Self {
        Self::of("application/json", text)
    }

    pub fn of(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: vec![("content-type", kind.to_owned())], body: body.into() }
    }

    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// The server.
pub struct Site {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    pub fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    pub fn start_at(address: SocketAddr, answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (book, end, answer) = (Arc::clone(&seen), Arc::clone(&ended), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let (book, answer) = (Arc::clone(&book), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &book, answer.as_ref()));
            }
        });
        Self { address, seen, ended, thread: Some(thread) }
    }

    /// Always the same page of metrics.
    pub fn page(text: &'static str) -> Self {
        Self::start(move |_| Reply::metrics(text))
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(mut stream: TcpStream, book: &Mutex<Vec<Seen>>, answer: &dyn Fn(&Seen) -> Reply) {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let Some(seen) = read(&mut stream) else { return };
    let reply = answer(&seen);
    book.lock().unwrap().push(seen);
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    if reply.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    reply.headers.iter().for_each(|(n, v)| head.push_str(&format!("{n}: {v}\r\n")));
    // The client may be gone already.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(&reply.body);
}

fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut part = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let path = head.split_whitespace().nth(1)?.to_owned();
            let mut seen = Seen { path, head, body: bytes.split_off(end + 4) };
            let length = seen.header("content-length").parse().unwrap_or(0);
            while seen.body.len() < length {
                let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
                seen.body.extend_from_slice(&part[..n]);
            }
            return Some(seen);
        }
        let n = stream.read(&mut part).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&part[..n]);
    }
}

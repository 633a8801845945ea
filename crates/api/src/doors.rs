//! Doors through which samples are pushed, and what else the store can be asked to do. The binary implements them.

use axum::body::Bytes;
use wellkept_model::TimestampMs;

use crate::Refusal;

/// A wire format that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// Prometheus remote write 1.0 and 2.0.
    RemoteWrite,
    /// Prometheus text with or without time stamps.
    Import,
    /// OTLP metrics, protobuf or JSON.
    Otlp,
    /// Influx line protocol.
    Influx,
}

/// What one client pushed. A body that comes in parts is pushed in parts, each of whole lines.
#[derive(Debug, Clone)]
pub struct Push {
    /// How it is to be read.
    pub door: Door,
    /// Who sends: the address of the client.
    pub source: String,
    /// `Content-Type`, empty when there is none.
    pub content_type: String,
    /// `Content-Encoding`, empty when there is none.
    pub content_encoding: String,
    /// Parameters of the URL.
    pub parameters: Vec<(String, String)>,
    /// The content.
    pub body: Bytes,
    /// When it came; the time of samples that bring none.
    pub now: TimestampMs,
}

/// What the client is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PushReply {
    /// HTTP status: 2xx once all is on disk, 4xx when the client shall not send it again, 5xx or 429 when it shall.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// `Content-Type` of the body.
    pub content_type: &'static str,
    /// The body, often empty.
    pub body: Vec<u8>,
}

/// The store's doors. Blocking: called from threads that may wait for the disk.
pub trait Doors: Send + Sync {
    /// Takes samples; when it returns with 2xx they are on disk.
    fn push(&self, push: Push) -> PushReply;

    /// Brings everything to its final form on disk.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people.
    fn flush(&self) -> Result<(), Refusal>;

    /// Makes a copy of the store that can be opened by itself, and gives the name of its folder.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people.
    fn snapshot(&self) -> Result<String, Refusal>;

    /// Puts the samples of a snapshot back into the store; gives how many were taken and how many refused.
    ///
    /// # Errors
    /// A [`Refusal`] in words for people, also for a name that no snapshot has.
    fn restore(&self, snapshot: &str) -> Result<(u64, u64), Refusal>;

    /// Removes a snapshot.
    ///
    /// # Errors
    /// As [`Self::restore`].
    fn remove_snapshot(&self, snapshot: &str) -> Result<(), Refusal>;
}

/// A server without such doors: everything is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDoors;

impl NoDoors {
    fn refusal() -> Refusal {
        Refusal { kind: crate::RefusalKind::NotFound, text: wellkept_model::Text::new("api.no_route") }
    }
}

impl Doors for NoDoors {
    fn push(&self, _: Push) -> PushReply {
        PushReply { status: 404, ..PushReply::default() }
    }

    fn flush(&self) -> Result<(), Refusal> {
        Err(Self::refusal())
    }

    fn snapshot(&self) -> Result<String, Refusal> {
        Err(Self::refusal())
    }

    fn restore(&self, _: &str) -> Result<(u64, u64), Refusal> {
        Err(Self::refusal())
    }

    fn remove_snapshot(&self, _: &str) -> Result<(), Refusal> {
        Err(Self::refusal())
    }
}

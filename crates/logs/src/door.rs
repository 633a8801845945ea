//! Bodies over HTTP: decoded, limited by source, stored, and answered as each protocol wants it.

use wellkept_intake::otlp::Format as OtlpFormat;
use wellkept_intake::unpack::{Encoding, Unpacker};
use wellkept_logintake::elastic::handshake;
use wellkept_logintake::mapping::Mapped;
use wellkept_logintake::{Arrival, DecodeError, Tally, elastic, loki, otlp};
use wellkept_logstore::{LogBatch, LogStoreError};
use wellkept_model::{LogLine, LogSink};

use crate::Logs;

/// A wire format that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFormat {
    /// Loki's push, protobuf or JSON.
    Loki,
    /// OTLP logs, protobuf or JSON.
    Otlp,
    /// Elasticsearch's `_bulk`, with the index of the path if there is one.
    Bulk(Option<String>),
    /// What Elasticsearch's shippers ask besides: method and path.
    Handshake(String, String),
}

/// What one client sent.
#[derive(Debug, Clone)]
pub struct LogBody<'a> {
    /// How it is to be read.
    pub format: LogFormat,
    /// `Content-Type`, empty when there is none.
    pub content_type: &'a str,
    /// `Content-Encoding`, empty when there is none.
    pub content_encoding: &'a str,
    /// The client's address.
    pub source: &'a str,
    /// The content.
    pub bytes: &'a [u8],
    /// When it came, nanoseconds since the epoch.
    pub now_ns: i64,
}

/// What the client is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReply {
    /// 2xx once all is on disk, 4xx when it shall not be sent again, 429 and 503 when it shall.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Media type of the body.
    pub content_type: &'static str,
    /// Often empty.
    pub body: Vec<u8>,
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const PROTOBUF: &str = "application/x-protobuf";

/// A body that was decoded: lines, and what the client is told once they are on disk.
struct Decoded {
    batch: LogBatch,
    reply: LogReply,
}

/// Lines into a batch; those that are too large for it are counted by it.
struct Filling(LogBatch);

impl LogSink for Filling {
    fn line(&mut self, line: &LogLine<'_>) {
        self.0.push(line);
    }
}

enum Failure {
    Decode(DecodeError),
    Busy { lines: u64 },
    Store(LogStoreError),
}

impl Logs {
    /// Takes a body. When the answer is 2xx its lines are on disk.
    pub fn push(&self, body: &LogBody<'_>) -> LogReply {
        if let LogFormat::Handshake(method, path) = &body.format {
            return shake_hands(method, path);
        }
        let taken = self.decode(body).map_err(Failure::Decode).and_then(|decoded| {
            let lines = decoded.batch.len() as u64;
            if !self.allows(body.source, lines, body.now_ns) {
                return Err(Failure::Busy { lines });
            }
            self.commit(&decoded.batch, body.now_ns).map_err(Failure::Store)?;
            Ok(decoded.reply)
        });
        let mut reply = taken.unwrap_or_else(|failure| refused(&body.format, &failure));
        if matches!(body.format, LogFormat::Bulk(_)) {
            reply.headers.push((handshake::PRODUCT_HEADER.0, handshake::PRODUCT_HEADER.1.to_owned()));
        }
        reply
    }

    fn decode(&self, body: &LogBody<'_>) -> Result<Decoded, DecodeError> {
        let limits = self.limits();
        let arrival = Arrival { now_ns: body.now_ns, zone: self.zone(), labels: &[] };
        let encoding = Encoding::from_header(Some(body.content_encoding))?;
        let mut filling = Filling(LogBatch::new());
        let mut mapped = Mapped::new(self.mapping(), &mut filling);
        let mut unpacker = Unpacker::default();
        let reply = match &body.format {
            LogFormat::Loki => {
                let format = loki::Format::from_content_type(Some(body.content_type))?;
                let mut decoder = loki::Decoder::new(limits);
                loki_reply(&decoder.decode(format, encoding, body.bytes, &arrival, &mut mapped)?)
            }
            LogFormat::Otlp => {
                let format =
                    OtlpFormat::from_content_type(Some(body.content_type).filter(|t| !t.is_empty()))?;
                let plain = unpacker.unpack(encoding, body.bytes, &limits.unpacking())?;
                let tally = otlp::Decoder::new(limits).decode(format, plain, &arrival, &mut mapped)?;
                let content_type = if format == OtlpFormat::Json { JSON } else { PROTOBUF };
                let body = otlp::answer(format, &tally);
                LogReply { status: 200, content_type, body, ..LogReply::default() }
            }
            LogFormat::Bulk(index) => {
                let plain = unpacker.unpack(encoding, body.bytes, &limits.unpacking())?;
                let mut decoder = elastic::Decoder::new(limits);
                let bulk = decoder.decode(index.as_deref(), plain, &arrival, &mut mapped)?;
                let body = bulk.answer.into_bytes();
                LogReply { status: 200, content_type: JSON, body, ..LogReply::default() }
            }
            LogFormat::Handshake(..) => LogReply { status: 404, ..LogReply::default() },
        };
        Ok(Decoded { batch: filling.0, reply })
    }
}

/// As Loki: 204, or 400 with the first reason when entries were left out. The others are stored.
fn loki_reply(tally: &Tally) -> LogReply {
    if tally.refused == 0 {
        return LogReply { status: 204, ..LogReply::default() };
    }
    let told = format!(
        "{} of {} lines were left out; {}\n",
        tally.refused,
        tally.refused + tally.accepted,
        tally.first_reason()
    );
    LogReply { status: 400, content_type: TEXT, body: told.into_bytes(), ..LogReply::default() }
}

fn shake_hands(method: &str, path: &str) -> LogReply {
    let headers = vec![(handshake::PRODUCT_HEADER.0, handshake::PRODUCT_HEADER.1.to_owned())];
    match handshake::answer(method, path) {
        Some(answer) => {
            let body = if method == "HEAD" { Vec::new() } else { answer.body.into_bytes() };
            LogReply { status: answer.status, headers, content_type: handshake::CONTENT_TYPE, body }
        }
        None => LogReply {
            status: 404,
            headers,
            content_type: JSON,
            body: br#"{"error":"not here","status":404}"#.to_vec(),
        },
    }
}

fn refused(format: &LogFormat, failure: &Failure) -> LogReply {
    let (status, told) = match failure {
        Failure::Decode(e) => (e.status(), e.to_string()),
        Failure::Busy { lines } => (
            429,
            format!("these {lines} lines are more than this source may send now; send them again later"),
        ),
        Failure::Store(e) => (503, chain(e)),
    };
    let mut headers = Vec::new();
    if status == 429 {
        headers.push(("Retry-After", "1".to_owned()));
    }
    let (content_type, body) = match (format, failure) {
        (LogFormat::Bulk(_), Failure::Decode(e)) => (JSON, elastic::error(e)),
        (LogFormat::Bulk(_), _) => {
            let error = serde_json::json!({"type": "es_rejected_execution_exception", "reason": told});
            (JSON, serde_json::json!({"error": error, "status": status}).to_string())
        }
        (LogFormat::Otlp, _) => (JSON, serde_json::json!({"message": told}).to_string()),
        _ => (TEXT, told + "\n"),
    };
    LogReply { status, headers, content_type, body: body.into_bytes() }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    told
}

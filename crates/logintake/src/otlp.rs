//! OTLP logs over HTTP, protobuf and JSON: `ExportLogsServiceRequest`.
//!
//! The resource's attributes that name a source become labels (`service.name` as `service`, `host.name` as `host`); its
//! others, the scope and the record's attributes become fields. The body is the text: a string as it is, anything else
//! as JSON.

use wellkept_intake::otlp::values::{KEY_VALUE, any_value, key_value};
use wellkept_intake::proto::{Field, ProtoError, Reader, Writer};
use wellkept_intake::protojson::{self, Kind, Message};
use wellkept_model::{Labels, Level, LogSink};

use crate::emit::{Arrival, Emitter, LabelMaker};
use crate::{DecodeError, Limits, Refusal, Tally, level};

pub use wellkept_intake::otlp::Format;

/// `ExportLogsServiceRequest`.
static REQUEST: Message = Message(&[("resourceLogs", 1, Kind::Message(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Message =
    Message(&[("resource", 1, Kind::Message(&RESOURCE)), ("scopeLogs", 2, Kind::Message(&SCOPE_LOGS))]);
static RESOURCE: Message = Message(&[("attributes", 1, Kind::Message(&KEY_VALUE))]);
static SCOPE_LOGS: Message =
    Message(&[("scope", 1, Kind::Message(&SCOPE)), ("logRecords", 2, Kind::Message(&RECORD))]);
static SCOPE: Message = Message(&[("name", 1, Kind::Text), ("attributes", 3, Kind::Message(&KEY_VALUE))]);
static RECORD: Message = Message(&[
    ("timeUnixNano", 1, Kind::Fixed64),
    ("severityNumber", 2, Kind::Varint),
    ("severityText", 3, Kind::Text),
    ("body", 5, Kind::Message(&wellkept_intake::otlp::values::ANY_VALUE)),
    ("attributes", 6, Kind::Message(&KEY_VALUE)),
    ("traceId", 9, Kind::Hex),
    ("spanId", 10, Kind::Hex),
    ("observedTimeUnixNano", 11, Kind::Fixed64),
    ("eventName", 12, Kind::Text),
]);

/// Resource attributes that name a source, and the labels that they become. Few, because each new value is a new stream.
const LABELS: [(&str, &str); 20] = [
    ("service.name", "service"),
    ("service.namespace", "service_namespace"),
    ("service.instance.id", "instance"),
    ("host.name", "host"),
    ("container.name", "container"),
    ("deployment.environment", "environment"),
    ("deployment.environment.name", "environment"),
    ("cloud.region", "region"),
    ("cloud.availability_zone", "zone"),
    ("k8s.cluster.name", "cluster"),
    ("k8s.namespace.name", "namespace"),
    ("k8s.pod.name", "pod"),
    ("k8s.container.name", "container"),
    ("k8s.deployment.name", "deployment"),
    ("k8s.statefulset.name", "statefulset"),
    ("k8s.daemonset.name", "daemonset"),
    ("k8s.cronjob.name", "cronjob"),
    ("k8s.job.name", "job"),
    ("k8s.node.name", "node"),
    ("log.file.path", "filename"),
];

/// Decodes requests and keeps its buffers.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    labels: LabelMaker,
    transcoded: Vec<u8>,
}

/// Buffers are kept between bodies up to this size.
const KEPT_BYTES: usize = 1 << 20;

impl Decoder {
    /// A decoder with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decodes one request, already decompressed.
    ///
    /// # Errors
    /// [`DecodeError`]; what the sink was given of the request is to be thrown away then. Records that cannot be taken
    /// are counted in [`Tally::refused`]; the client learns of them from [`answer`].
    pub fn decode(
        &mut self,
        format: Format,
        body: &[u8],
        arrival: &Arrival<'_>,
        sink: &mut dyn LogSink,
    ) -> Result<Tally, DecodeError> {
        if body.len() > self.limits.unpacked_bytes {
            let limit = self.limits.unpacked_bytes;
            return Err(wellkept_intake::DecodeError::TooLarge { limit }.into());
        }
        let message = match format {
            Format::Protobuf => body,
            Format::Json => {
                protojson::transcode(&REQUEST, body, &mut self.transcoded)?;
                &self.transcoded
            }
        };
        let mut request = Request {
            emitter: Emitter::new(&self.limits, arrival, sink),
            labels: &mut self.labels,
            resource: Vec::new(),
            stream: Ok(Labels::default()),
        };
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                request.resource(&field)?;
            }
        }
        let tally = request.emitter.tally;
        self.transcoded.clear();
        self.transcoded.shrink_to(KEPT_BYTES);
        Ok(tally)
    }
}

/// A request while it is read.
struct Request<'l> {
    emitter: Emitter<'l>,
    labels: &'l mut LabelMaker,
    /// Attributes of the current resource that are not labels.
    resource: Vec<(String, String)>,
    stream: Result<Labels, Refusal>,
}

/// What a record says besides its attributes.
#[derive(Default)]
struct Record {
    at_ns: u64,
    observed_ns: u64,
    severity: u64,
    severity_text: String,
    text: Vec<u8>,
}

impl Request<'_> {
    fn resource(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        let mut attributes = Attributes::default();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                attributes.read(&field, 1, self.emitter.limits)?;
            }
        }
        self.stream = self.labels_of(&mut attributes);
        self.resource = attributes.pairs;
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 2 {
                self.scope(&field)?;
            }
        }
        Ok(())
    }

    /// Takes the attributes that are labels out of the others.
    fn labels_of(&mut self, attributes: &mut Attributes) -> Result<Labels, Refusal> {
        if attributes.broken {
            return Err(Refusal::NotUtf8);
        }
        let label =
            |name: &str| LABELS.iter().find(|(attribute, _)| *attribute == name).map(|(_, label)| *label);
        let (named, rest) =
            std::mem::take(&mut attributes.pairs).into_iter().partition(|(n, _)| label(n).is_some());
        attributes.pairs = rest;
        let named: Vec<(String, String)> = named;
        let sent: Vec<(&str, &str)> =
            named.iter().filter_map(|(n, v)| Some((label(n)?, v.as_str()))).collect();
        self.labels.make(&sent, self.emitter.arrival, self.emitter.limits)
    }

    fn scope(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        let before = self.resource.len();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 1 {
                let mut scope = field.message()?;
                while let Some(field) = scope.next_field()? {
                    let name = if field.number == 1 { std::str::from_utf8(field.bytes()?) } else { continue };
                    let named = name.ok().filter(|n| !n.is_empty());
                    self.resource.extend(named.map(|n| ("scope".to_owned(), n.to_owned())));
                }
            }
        }
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == 2 {
                self.record(&field)?;
            }
        }
        self.resource.truncate(before);
        Ok(())
    }

    fn record(&mut self, field: &Field<'_>) -> Result<(), DecodeError> {
        let mut record = Record::default();
        let mut attributes = Attributes::default();
        let mut reader = field.message()?;
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => record.at_ns = field.fixed64()?,
                2 => record.severity = field.uint()?,
                3 => record.severity_text = String::from_utf8_lossy(field.bytes()?).into_owned(),
                5 => text_of(field, &mut record.text)?,
                6 => attributes.attribute(&field, self.emitter.limits)?,
                9 => attributes.id("trace_id", field.bytes()?),
                10 => attributes.id("span_id", field.bytes()?),
                11 => record.observed_ns = field.fixed64()?,
                12 => attributes.text("event_name", field.bytes()?),
                _ => {}
            }
        }
        self.emit(&record, &attributes)
    }

    fn emit(&mut self, record: &Record, attributes: &Attributes) -> Result<(), DecodeError> {
        let labels = match &self.stream {
            Ok(labels) => labels,
            Err(why) => return self.emitter.refuse(why.clone()),
        };
        if attributes.broken {
            return self.emitter.refuse(Refusal::NotUtf8);
        }
        let at = [record.at_ns, record.observed_ns].into_iter().find(|at| *at > 0);
        let at_ns = at.and_then(|at| i64::try_from(at).ok());
        let level: Option<Level> = i64::try_from(record.severity).ok().and_then(level::of_otlp);
        let level = level.or_else(|| level::of_word(&record.severity_text));
        let fields: Vec<(&str, &str)> =
            attributes.pairs.iter().chain(&self.resource).map(|(n, v)| (n.as_str(), v.as_str())).collect();
        self.emitter.line(labels, at_ns, level, &record.text, &fields)
    }
}

/// The text of a record's body.
fn text_of(field: Field<'_>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    out.clear();
    let mut content = None;
    let mut reader = field.message()?;
    while let Some(inner) = reader.next_field()? {
        content = Some(inner);
    }
    match content {
        // A string that is not UTF-8 and bytes are kept as they are: a line may hold any.
        Some(Field { number: 1 | 7, value: wellkept_intake::proto::Value::Bytes(bytes) }) => {
            out.extend_from_slice(bytes);
        }
        _ => {
            let mut text = String::new();
            if any_value(Some(field), &mut text, false, 0)? {
                *out = text.into_bytes();
            }
        }
    }
    Ok(())
}

/// Names with values.
#[derive(Default)]
struct Attributes {
    pairs: Vec<(String, String)>,
    /// Something is not text: what these belong to cannot be taken.
    broken: bool,
}

impl Attributes {
    fn read(&mut self, message: &Field<'_>, number: u32, limits: &Limits) -> Result<(), DecodeError> {
        let mut reader = message.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == number {
                self.attribute(&field, limits)?;
            }
        }
        Ok(())
    }

    fn attribute(&mut self, field: &Field<'_>, limits: &Limits) -> Result<(), ProtoError> {
        // One more than allowed is kept, so that whoever bounds the fields sees and counts it.
        if self.pairs.len() > limits.fields {
            return Ok(());
        }
        let (key, value) = key_value(field)?;
        let mut text = String::new();
        let valid = any_value(value, &mut text, false, 0)?;
        match std::str::from_utf8(key) {
            Ok(key) if valid => self.pairs.push((key.to_owned(), text)),
            _ => self.broken = true,
        }
        Ok(())
    }

    fn id(&mut self, name: &str, bytes: &[u8]) {
        if !bytes.is_empty() && bytes.len() <= 16 && bytes.iter().any(|b| *b != 0) {
            let hex = bytes.iter().map(|b| format!("{b:02x}")).collect();
            self.pairs.push((name.to_owned(), hex));
        }
    }

    fn text(&mut self, name: &str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.pairs.push((name.to_owned(), String::from_utf8_lossy(bytes).into_owned()));
        }
    }
}

/// Body of the answer, in the format of the request. Sent with status 200 also when records were refused: the client must
/// not send them again.
#[must_use]
pub fn answer(format: Format, tally: &Tally) -> Vec<u8> {
    let reason = tally.first_reason();
    match format {
        Format::Protobuf => {
            let mut body = Vec::new();
            if tally.refused > 0 {
                Writer::new(&mut body).message(1, |w| {
                    w.uint(1, tally.refused);
                    w.bytes(2, reason.as_bytes());
                });
            }
            body
        }
        Format::Json if tally.refused == 0 => b"{}".to_vec(),
        Format::Json => serde_json::json!({
            "partialSuccess": { "rejectedLogRecords": tally.refused.to_string(), "errorMessage": reason }
        })
        .to_string()
        .into_bytes(),
    }
}

#[cfg(test)]
mod tests;

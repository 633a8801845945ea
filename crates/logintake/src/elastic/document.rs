//! A document as a line: which of its members are the text, the time, the level and the labels.

use std::borrow::Cow;

use super::Action;
use crate::emit::{Emitter, LabelMaker};
use crate::json::Members;
use crate::{DecodeError, Fields, Limits, Refusal, keys, level, stamp};

/// Members that hold the text, best first: of Elastic's schema, of Fluent Bit, of programs.
const TEXTS: [&str; 6] = ["message", "log", "MESSAGE", "msg", "event.original", "body"];

/// Members that name a source, and the labels that they become; the first that is there counts.
const LABELS: [(&str, &str); 22] = [
    ("service.name", "service"),
    ("fields.service", "service"),
    ("kubernetes.container.name", "container"),
    ("kubernetes.container_name", "container"),
    ("container.name", "container"),
    ("container_name", "container"),
    ("host.name", "host"),
    ("host.hostname", "host"),
    ("host", "host"),
    ("hostname", "host"),
    ("kubernetes.namespace", "namespace"),
    ("kubernetes.namespace_name", "namespace"),
    ("kubernetes.pod.name", "pod"),
    ("kubernetes.pod_name", "pod"),
    ("log.file.path", "filename"),
    ("file", "filename"),
    ("path", "filename"),
    ("systemd.unit", "unit"),
    ("_SYSTEMD_UNIT", "unit"),
    ("process.name", "process"),
    ("stream", "stream"),
    ("tag", "tag"),
];

/// Hands a document on. The inner error refuses only this one.
pub(super) fn emit(
    document: &[u8],
    action: &Action<'_>,
    maker: &mut LabelMaker,
    emitter: &mut Emitter<'_>,
) -> Result<Result<(), Refusal>, DecodeError> {
    if Members::of(document).is_none() || document.trim_ascii_end().last() != Some(&b'}') {
        return Ok(Err(Refusal::Document));
    }
    // One more than allowed is kept, so that whoever bounds the fields sees and counts it.
    let limits = Limits { fields: emitter.limits.fields + 8, ..*emitter.limits };
    // Texts are bounded as lines, not as fields.
    let limits = Limits { field_bytes: document.len(), ..limits };
    let mut members: Vec<(Cow<'_, str>, Cow<'_, str>)> = Fields::of(document, &limits).collect();
    let text = TEXTS.iter().find_map(|name| members.iter().position(|(n, _)| n == name));
    let text = text.map(|at| members.remove(at).1);

    let labels = labels_of(&mut members, action);
    let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (*n, v.as_ref())).collect();
    let labels = match maker.make(&labels, emitter.arrival, emitter.limits) {
        Ok(labels) => labels,
        Err(why) => return Ok(Err(why)),
    };
    let at_ns = members.iter().find(|(n, _)| keys::is_time(n.as_bytes())).and_then(|(_, value)| {
        stamp::at_start(value.as_bytes(), emitter.arrival.now_ns, emitter.arrival.zone).map(|s| s.at_ns)
    });
    let level = members
        .iter()
        .find_map(|(n, v)| keys::is_level(n.as_bytes()).then(|| level::of_value(n, v)).flatten());
    members.retain(|(name, _)| name != "@timestamp");
    let fields: Vec<(&str, &str)> = members.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    match text {
        Some(text) => emitter.line(&labels, at_ns, level, text.as_bytes(), &fields)?,
        None => emitter.line(&labels, at_ns, level, document, &[])?,
    }
    Ok(Ok(()))
}

/// Takes the members that name a source out of the others.
fn labels_of<'a>(
    members: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
    action: &'a Action<'_>,
) -> Vec<(&'static str, Cow<'a, str>)> {
    let mut labels = vec![("index", Cow::Borrowed(action.index.as_ref()))];
    for (member, label) in LABELS {
        if labels.iter().any(|(n, _)| *n == label) {
            continue;
        }
        if let Some(at) =
            members.iter().position(|(n, v)| n == member && !v.is_empty() && !v.starts_with('{'))
        {
            labels.push((label, members.remove(at).1));
        }
    }
    labels
}

//! `ExportMetricsServiceResponse`: what was not taken, and why.

use super::Format;
use crate::proto::Writer;

/// Body of the answer, in the format of the request. Sent with status 200 also when points were refused: the client
/// must not send them again. `refused`: points of which something was left out, by us or by the store.
#[must_use]
pub fn answer(format: Format, refused: u64, reason: &str) -> Vec<u8> {
    match format {
        Format::Protobuf => {
            let mut body = Vec::new();
            if refused > 0 {
                Writer::new(&mut body).message(1, |w| {
                    w.uint(1, refused);
                    w.bytes(2, reason.as_bytes());
                });
            }
            body
        }
        Format::Json if refused == 0 => b"{}".to_vec(),
        Format::Json => serde_json::json!({
            "partialSuccess": { "rejectedDataPoints": refused.to_string(), "errorMessage": reason }
        })
        .to_string()
        .into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Reader;

    #[test]
    fn a_partial_success_tells_how_many_points_and_why() {
        for format in [Format::Protobuf, Format::Json] {
            let body = answer(format, 0, "");
            assert!(body.is_empty() || body == b"{}");
        }
        let reason = "a label is not valid UTF-8";
        assert_eq!(
            answer(Format::Json, 3, reason),
            br#"{"partialSuccess":{"errorMessage":"a label is not valid UTF-8","rejectedDataPoints":"3"}}"#
        );
        let body = answer(Format::Protobuf, 3, reason);
        let mut partial = Reader::new(&body).next_field().unwrap().unwrap().message().unwrap();
        assert_eq!(partial.next_field().unwrap().unwrap().uint(), Ok(3));
    }
}

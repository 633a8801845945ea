//! Reads what matters of a certificate (RFC 5280): how long it holds, and for which names.
//!
//! Only the few fields that are told are read; whether a signature holds is left to the TLS library. Lengths are
//! checked before anything is taken, nothing recurses, and odd input gives `None`.

use std::net::IpAddr;

use wellkept_model::TimestampMs;

/// Names that are told.
const NAMES_MAX: usize = 20;

const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// `2.5.29.17`
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) not_before: TimestampMs,
    pub(super) not_after: TimestampMs,
    pub(super) names: Vec<String>,
    pub(super) is_self_issued: bool,
}

impl Fields {
    /// True when a client that asks for `name` accepts it: the first label may be a `*`.
    pub(super) fn is_for(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().any(|n| match n.strip_prefix("*.") {
            Some(rest) => name.split_once('.').is_some_and(|(first, of)| !first.is_empty() && of == rest),
            None => *n == name,
        })
    }
}

/// The fields of a certificate in DER.
pub(super) fn parse(der: &[u8]) -> Option<Fields> {
    let mut certificate = Reader(Reader(der).take(SEQUENCE)?);
    let mut tbs = Reader(certificate.take(SEQUENCE)?);
    if tbs.peek()? == VERSION {
        tbs.any()?;
    }
    tbs.any()?; // The serial number.
    tbs.take(SEQUENCE)?; // The algorithm of the signature.
    let issuer = tbs.take(SEQUENCE)?;
    let mut validity = Reader(tbs.take(SEQUENCE)?);
    let (not_before, not_after) = (time(validity.any()?)?, time(validity.any()?)?);
    let subject = tbs.take(SEQUENCE)?;
    tbs.take(SEQUENCE)?; // The public key.
    let mut names = Vec::new();
    while !tbs.0.is_empty() {
        let (tag, content) = tbs.any()?;
        if tag == EXTENSIONS {
            names = alternative_names(Reader(content).take(SEQUENCE)?).unwrap_or_default();
        }
    }
    Some(Fields { not_before, not_after, names, is_self_issued: issuer == subject })
}

fn alternative_names(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Reader(extensions);
    while !extensions.0.is_empty() {
        let mut extension = Reader(extensions.take(SEQUENCE)?);
        let (_, id) = extension.any()?;
        if id != SUBJECT_ALT_NAME {
            continue;
        }
        if extension.peek()? == BOOLEAN {
            extension.any()?;
        }
        let mut names = Reader(Reader(extension.take(OCTET_STRING)?).take(SEQUENCE)?);
        let mut found = Vec::new();
        while !names.0.is_empty() && found.len() < NAMES_MAX {
            let (tag, content) = names.any()?;
            found.extend(name(tag, content));
        }
        return Some(found);
    }
    None
}

fn name(tag: u8, content: &[u8]) -> Option<String> {
    match tag {
        DNS_NAME => {
            let text = std::str::from_utf8(content).ok()?;
            let plain = text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
            plain.then(|| text.trim_end_matches('.').to_ascii_lowercase())
        }
        IP_ADDRESS => match content.len() {
            4 => <[u8; 4]>::try_from(content).ok().map(|b| IpAddr::from(b).to_string()),
            16 => <[u8; 16]>::try_from(content).ok().map(|b| IpAddr::from(b).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`; two digits of a year are 1950 to 2049.
fn time((tag, content): (u8, &[u8])) -> Option<TimestampMs> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: i16 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        (GENERALIZED_TIME, 14) => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let at = jiff::civil::DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(TimestampMs(at.timestamp().as_millisecond()))
}

/// Takes one value after the other (X.690, definite lengths).
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.any().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }

    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let digits = rest.get(..usize::from(first & 0x7f))?;
                let len = digits.iter().fold(0usize, |len, b| (len << 8) | usize::from(*b));
                (len, rest.get(digits.len()..)?)
            }
            _ => return None,
        };
        let content = rest.get(..len)?;
        self.0 = rest.get(len..)?;
        Some((tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        let names = vec!["*.example.org".to_owned(), "example.net".to_owned(), "10.0.0.1".to_owned()];
        let zero = TimestampMs(0);
        let fields = Fields { not_before: zero, not_after: zero, names, is_self_issued: false };
        for (name, good) in [
            ("www.example.org", true),
            ("WWW.Example.org.", true),
            ("example.org", false),
            ("a.www.example.org", false),
            (".example.org", false),
            ("example.net", true),
            ("10.0.0.1", true),
        ] {
            assert_eq!(fields.is_for(name), good, "{name}");
        }
    }

    #[test]
    fn both_forms_of_time_are_read_and_others_are_not() {
        let at = |tag, text: &str| time((tag, text.as_bytes())).map(|t| t.0);
        assert_eq!(at(UTC_TIME, "700101000001Z"), Some(1000));
        assert_eq!(at(UTC_TIME, "490101000000Z"), Some(2_493_072_000_000));
        assert_eq!(at(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000_000));
        for bad in ["700101000001", "7001010000Z", "701301000000Z", "-00101000001Z", ""] {
            assert_eq!(at(UTC_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn cut_or_lying_input_is_refused() {
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x80, 0, 0],
            &[0x30, 2, 0x30, 5],
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn no_cut_and_no_flipped_bit_of_a_real_certificate_breaks_anything() {
        use tokio_rustls::rustls::pki_types::CertificateDer;
        use tokio_rustls::rustls::pki_types::pem::PemObject;
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x"])
            .args(["-days", "9", "-addext", "subjectAltName=DNS:www.test,IP:::1"])
            .output()
            .expect("openssl is there");
        let der = CertificateDer::from_pem_slice(&made.stdout).expect("a certificate").to_vec();
        let names = parse(&der).expect("read").names;
        assert_eq!(names, ["www.test", "::1"]);
        for at in 0..der.len() {
            assert_eq!(parse(&der[..at]), None, "cut at {at}");
            for bit in [0x01, 0x80] {
                let mut bad = der.clone();
                bad[at] ^= bit;
                parse(&bad);
            }
        }
    }
}

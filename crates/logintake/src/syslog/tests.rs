//! Messages as devices and libraries write them.

use super::*;
use crate::testing::Kept;

fn read(text: &str) -> Message<'_> {
    Message::read(text.as_bytes(), &Kept::ARRIVAL, &Limits::default())
}

const THEN: i64 = 1_704_164_645_000_000_000;

#[test]
fn rfc_5424_with_structured_data() {
    let text = "<165>1 2024-01-02T03:04:05.000003Z web-1 shop 77 ID47 [ex@32473 a=\"1\" b=\"say \\\"hi\\\" \\] \\n\"][o c=\"\"] \u{feff}An event";
    let m = read(text);
    assert_eq!(m.priority, Some((20, 5)));
    assert_eq!(m.facility(), Some("local4"));
    assert_eq!(m.level(), Some(Level::Notice));
    assert_eq!(m.at_ns, Some(THEN + 3000));
    assert_eq!(
        (m.host, m.app, m.process, m.message_id),
        (Some("web-1"), Some("shop"), Some("77"), Some("ID47"))
    );
    let data: Vec<_> = m.data.iter().map(|(n, v)| (n.as_str(), v.as_ref())).collect();
    assert_eq!(data, [("ex.a", "1"), ("ex.b", "say \"hi\" ] \\n"), ("o.c", "")]);
    assert_eq!(m.text, b"An event");
}

#[test]
fn rfc_5424_with_nothing_but_dashes() {
    let m = read("<34>1 - - - - - -");
    assert_eq!((m.at_ns, m.host, m.app, m.text), (None, None, None, &b""[..]));
    assert_eq!(read("<34>1 - - - - - - - x\n").text, b"- x");
}

#[test]
fn rfc_3164_as_it_is_seen() {
    for (text, host, app, process, rest) in [
        (
            "<34>Jan  2 03:04:05 mymachine su: 'su root' failed",
            Some("mymachine"),
            Some("su"),
            None,
            "'su root' failed",
        ),
        ("<13>Jan  2 03:04:05 app[123]: no host", None, Some("app"), Some("123"), "no host"),
        ("<34>2024-01-02T03:04:05+00:00 web-1 sshd[9]: x", Some("web-1"), Some("sshd"), Some("9"), "x"),
        ("<34>Jan  2 03:04:05 10.0.0.1 just words here", Some("10.0.0.1"), None, None, "just words here"),
        ("<34>Jan 02 2024 03:04:05 fw : %ASA-6-3: Built", Some("fw"), None, None, ": %ASA-6-3: Built"),
        (
            "<189>123: *Jan  2 03:04:05.000: %SYS-5-CONFIG_I: by vty",
            None,
            Some("SYS-5-CONFIG_I"),
            None,
            "by vty",
        ),
        ("<189>Jan  2 03:04:05: %LINK-3-UPDOWN: down", None, Some("LINK-3-UPDOWN"), None, "down"),
    ] {
        let m = read(text);
        assert_eq!(m.at_ns, Some(THEN), "{text}");
        assert_eq!((m.host, m.app, m.process), (host, app, process), "{text}");
        assert_eq!(String::from_utf8_lossy(m.text), rest, "{text}");
    }
    let m = read("<14>cron[7]: without a stamp\n");
    assert_eq!((m.at_ns, m.app, m.text), (None, Some("cron"), &b"without a stamp"[..]));
}

#[test]
fn what_is_no_syslog_is_a_plain_line() {
    for text in ["hello", "<>x", "<192>x", "<1", "<12a>x", ""] {
        let m = read(text);
        assert_eq!((m.priority, m.text), (None, text.as_bytes()), "{text}");
    }
    let m = read("<34>1 yesterday web shop - - - x");
    assert_eq!(m.text, b"1 yesterday web shop - - - x");
    let m = read("<34>1 2024-01-02T03:04:05Z web shop - - [broken a=1] x");
    assert_eq!(m.priority, Some((4, 2)));
    assert!(m.text.ends_with(b"[broken a=1] x"));
}

#[test]
fn host_and_program_become_labels_and_the_rest_fields() {
    let mut kept = Kept::default();
    let mut decoder = Decoder::new(Limits::default());
    let text = b"<11>1 2024-01-02T03:04:05Z web-1 shop 77 - [a b=\"c\"] down";
    let arrival = Arrival { labels: &[("door", "syslog_udp")], ..Kept::ARRIVAL };
    decoder.decode(text, "10.0.0.9", &arrival, &mut kept).unwrap();
    decoder.decode(b"<14>plain: x", "10.0.0.9", &arrival, &mut kept).unwrap();
    let line = &kept.lines[0];
    assert_eq!(line.labels.to_string(), r#"{door="syslog_udp", host="web-1", service="shop"}"#);
    assert_eq!(line.fields(), [("facility", "user"), ("procid", "77"), ("peer", "10.0.0.9"), ("a.b", "c")]);
    assert_eq!((line.level, line.at_ns, line.text.as_slice()), (Some(Level::Error), THEN, &b"down"[..]));
    assert_eq!(kept.lines[1].labels.get("host"), "10.0.0.9");
    assert_eq!(kept.lines[1].at_ns, arrival.now_ns);
}

proptest::proptest! {
    #[test]
    fn noise_is_survived(text in "(<[0-9]{1,3}>(1 )?)?[-A-Za-z0-9:.\\[\\]\"=\\\\ ]{0,120}") {
        let mut kept = Kept::default();
        Decoder::new(Limits::default()).decode(text.as_bytes(), "p", &Kept::ARRIVAL, &mut kept).unwrap();
        assert_eq!(kept.lines.len(), 1);
    }
}

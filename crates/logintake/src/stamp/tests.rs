//! Every format with a line that looks like those of real programs.

use super::*;

/// 2024-03-10T12:00:00Z, a Sunday.
const NOW: i64 = 1_710_072_000_000_000_000;

fn rfc3339(at_ns: i64) -> String {
    let (days, ns) = (at_ns.div_euclid(86_400_000_000_000), at_ns.rem_euclid(86_400_000_000_000));
    let (y, m, d) = (1970..2201_u32)
        .flat_map(|y| (1..13).flat_map(move |m| (1..32).map(move |d| (y, m, d))))
        .filter(|(y, m, d)| calendar::Date::new(*y, *m, *d).is_some())
        .nth(usize::try_from(days).unwrap())
        .unwrap();
    let s = ns / 1_000_000_000;
    let (hour, minute, second) = (s / 3600, s / 60 % 60, s % 60);
    let text = format!("{y:04}-{m:02}-{d:02}T{hour:02}:{minute:02}:{second:02}");
    let fraction = format!("{:09}", ns % 1_000_000_000);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { text } else { format!("{text}.{fraction}") }
}

fn check(line: &str, expected: &str) {
    let stamp = find(line.as_bytes(), NOW, &Zone::utc());
    let found = stamp.map_or_else(|| "nothing".to_owned(), |s| rfc3339(s.at_ns));
    assert_eq!(found, expected, "{line}");
}

#[test]
fn dates_that_begin_with_the_year() {
    check("2024-01-02T03:04:05Z starting", "2024-01-02T03:04:05");
    check("2024-01-02T03:04:05.678901234+01:00 stdout F hi", "2024-01-02T02:04:05.678901234");
    check("2024-01-02t03:04:05.6789012345678z x", "2024-01-02T03:04:05.678901234");
    check("2024-01-02 03:04:05,678 INFO [main] org.example.Main - up", "2024-01-02T03:04:05.678");
    check("2024-01-02 03:04:05.678 UTC [77] LOG:  ready", "2024-01-02T03:04:05.678");
    check("2024-01-02 03:04:05 -0700 x", "2024-01-02T10:04:05");
    check("2024-01-02 03:04:05 +00:00 x", "2024-01-02T03:04:05");
    check("2024-01-02 03:04:05+08 x", "2024-01-01T19:04:05");
    check("2024/01/02 03:04:05 [error] 31#31: *1 open() failed", "2024-01-02T03:04:05");
    check("2024/01/02 03:04:05.123456 main.go:12: x", "2024-01-02T03:04:05.123456");
    check("2016-09-28 04:30:30, Info                  CBS    Loaded", "2016-09-28T04:30:30");
    check("2005-06-03-15.42.50.675872 R02-M1 RAS", "2005-06-03T15:42:50.675872");
    check("2024.01.02 03:04:05 x", "2024-01-02T03:04:05");
    check("2024-Jan-02 03:04:05 x", "2024-01-02T03:04:05");
    check("2024-1-2 3:04:05 x", "2024-01-02T03:04:05");
    check("2016-12-31T23:59:60Z leap", "2016-12-31T23:59:59");
}

#[test]
fn dates_with_names() {
    check("Mar  9 22:14:15 host su: failed", "2024-03-09T22:14:15");
    check("Dec 31 23:59:59 host su: failed", "2023-12-31T23:59:59");
    check("Feb 29 10:00:00.250 host x", "2024-02-29T10:00:00.25");
    check("Mar 09 2023 22:14:15 fw %ASA-6-302013", "2023-03-09T22:14:15");
    check("Sun Dec 04 04:47:44 2005] [notice] workerEnv.init()", "2005-12-04T04:47:44");
    check("[Sun Dec 04 04:47:44.123456 2005] [core:notice] x", "2005-12-04T04:47:44.123456");
    check("Sun Dec  4 04:47:44 CET 2005 x", "2005-12-04T04:47:44");
    check("Tue, 02 Jan 2024 03:04:05 +0200 x", "2024-01-02T01:04:05");
    check("Jan 02, 2024 3:04:05 PM org.apache.catalina.Server start", "2024-01-02T15:04:05");
    check("Jan 02, 2024 12:04:05 AM org.apache.catalina.Server start", "2024-01-02T00:04:05");
    check("02-Jan-2024 03:04:05.678 INFO [main] org.apache", "2024-01-02T03:04:05.678");
    check("1:M 02 Jan 2024 15:04:05.123 * Ready to accept", "2024-01-02T15:04:05.123");
    check("02 Jan 15:04:05 x", "2024-01-02T15:04:05");
    check(r#"10.0.0.1 - bob [02/Jan/2024:03:04:05 -0700] "GET / HTTP/1.1" 200 12"#, "2024-01-02T10:04:05");
}

#[test]
fn dates_of_numbers() {
    check("31.12.2023 23:59:59 x", "2023-12-31T23:59:59");
    check("02.01.2024 03:04:05 x", "2024-01-02T03:04:05");
    check("12/31/2023 23:59:59 x", "2023-12-31T23:59:59");
    check("31/12/2023 23:59:59 x", "2023-12-31T23:59:59");
    check("01/02/2024 03:04:05 x", "2024-01-02T03:04:05");
    check("09/03/2024 03:04:05 x", "2024-03-09T03:04:05");
    check("1/2/2024 3:04:05 PM x", "2024-01-02T15:04:05");
    check("17/06/09 20:10:40 INFO executor.Executor: x", "2017-06-09T20:10:40");
    check("03-09 16:13:38.811  1702  2395 D WindowManager: x", "2024-03-09T16:13:38.811");
    check("[10.30 16:49:06] chrome.exe - proxy", "2023-10-30T16:49:06");
    check("081109 203615 148 INFO dfs.DataNode: x", "2008-11-09T20:36:15");
    check("20171223-22:15:29:606|Step_LSC|30002312|x", "2017-12-23T22:15:29.606");
    check("20240102T030405Z x", "2024-01-02T03:04:05");
    check("240102 03:04:05 mysqld started", "2024-01-02T03:04:05");
    check("11:30:00.250 [main] DEBUG x", "2024-03-10T11:30:00.25");
    check("23:30:00 [main] DEBUG x", "2024-03-09T23:30:00");
}

#[test]
fn the_epoch_in_every_unit() {
    for epoch in ["1704164645", "1704164645000", "1704164645000000", "1704164645000000000"] {
        check(&format!("{epoch} up"), "2024-01-02T03:04:05");
    }
    check("1704164645.250 x", "2024-01-02T03:04:05.25");
    check("- 1117838570 2005.06.03 R02", "2005-06-03T22:42:50");
    check("level=info ts=1704164645.5 msg=x", "2024-01-02T03:04:05.5");
}

#[test]
fn glog_and_klog() {
    check("I0309 03:04:05.678901   12 main.go:7] x", "2024-03-09T03:04:05.678901");
    check("E20240102 03:04:05.678901 12 main.cc:7] x", "2024-01-02T03:04:05.678901");
}

#[test]
fn stamps_behind_something_else() {
    check("INFO 2024-01-02 03:04:05,678 x", "2024-01-02T03:04:05.678");
    check("time=\"2024-01-02T03:04:05Z\" level=warning msg=x", "2024-01-02T03:04:05");
    check("ts=2024-01-02T03:04:05.5Z caller=a.go:1", "2024-01-02T03:04:05.5");
    check("[main] [2024-01-02 03:04:05] x", "2024-01-02T03:04:05");
    check("\u{1b}[2m2024-01-02T03:04:05Z\u{1b}[0m \u{1b}[32m INFO x", "2024-01-02T03:04:05");
    check("<34>Mar  9 22:14:15 host su: x", "2024-03-09T22:14:15");
    check("nova-api.log.1 2017-05-16 00:00:00.008 25746 INFO nova", "2017-05-16T00:00:00.008");
}

#[test]
fn what_is_no_time_is_left_alone() {
    for line in [
        "",
        "started",
        "port 8080 open",
        "block 1704164645 deleted",
        "1704164645abcdef is an id",
        "Marker 12",
        "2024-13-02 03:04:05 x",
        "2024-02-30 03:04:05 x",
        "2024-01-02 25:04:05 x",
        "2024-01-02 is a day",
        "10.0.0.1:80 connected",
        "1.2.3 released",
        "May I?",
        "99/99/9999 11:11:11",
        "[12345.678901] usb 1-1: new device",
        "12:30 lunch",
    ] {
        check(line, "nothing");
    }
}

#[test]
fn stamps_without_a_zone_are_read_in_the_callers() {
    let zone = Zone::fixed(3600);
    for (line, expected) in [
        ("2024-01-02 03:04:05", "2024-01-02T02:04:05"),
        ("2024-01-02 03:04:05Z", "2024-01-02T03:04:05"),
        ("Jan  2 00:04:05 x", "2024-01-01T23:04:05"),
        ("12:30:00 x", "2024-03-10T11:30:00"),
    ] {
        let stamp = find(line.as_bytes(), NOW, &zone).unwrap();
        assert_eq!(rfc3339(stamp.at_ns), expected, "{line}");
    }
}

#[test]
fn the_place_of_a_stamp_is_told() {
    let line = b"[2024-01-02 03:04:05.678] x";
    let stamp = find(line, NOW, &Zone::utc()).unwrap();
    assert_eq!(&line[stamp.start..stamp.end], b"2024-01-02 03:04:05.678");
}

proptest::proptest! {
    #[test]
    fn noise_has_no_harm_and_places_are_inside(line in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
        if let Some(stamp) = find(&line, NOW, &Zone::utc()) {
            assert!(stamp.start < stamp.end && stamp.end <= line.len());
        }
    }

    #[test]
    fn almost_stamps_do_no_harm(line in "[0-9TZ:./, -]{0,40}|(Jan|Feb|Mon|Tue) [0-9: ]{0,20}") {
        let _ = find(line.as_bytes(), NOW, &Zone::fixed(-40_000));
        let _ = find(line.as_bytes(), i64::MAX, &Zone::utc());
        let _ = find(line.as_bytes(), i64::MIN, &Zone::utc());
    }
}

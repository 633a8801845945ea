//! Records as they are written, bounded, read again and found damaged.

use super::*;

fn records() -> (tempfile::TempDir, Records) {
    let folder = tempfile::tempdir().expect("temp");
    assert!(Records::of(folder.path()).is_none(), "no data directory");
    std::fs::write(folder.path().join("VERSION"), "1").expect("write");
    let records = Records::of(folder.path()).expect("a data directory");
    (folder, records)
}

fn one(kind: &str, at: i64, hosts: &[(&str, Status)]) -> Record {
    let mut one = record(kind, &["uptime".into()], "all", "me", at);
    one.hosts = hosts.iter().map(|(host, status)| HostRecord::of(&Row::bare(host, *status, None))).collect();
    one
}

fn ids(listed: &Listed) -> Vec<&str> {
    listed
        .runs
        .iter()
        .map(|(id, _)| id.split('-').next().unwrap_or_default().trim_start_matches('0'))
        .collect()
}

#[test]
fn the_newest_record_of_a_kind_says_where_to_try_again() {
    let (folder, records) = records();
    assert!(records.last("run").expect("read").is_none());
    for (at, status) in [(1000, Status::Ok), (2000, Status::Failed)] {
        records.put(&one("run", at, &[("a", status), ("b", Status::Unknown)])).expect("written");
    }
    std::fs::write(folder.path().join("fleet/runs/999999999999999-1.json"), "{torn").expect("write");
    let last = records.last("run").expect("read").expect("a record");
    assert_eq!((last.began_ms, last.to_retry()), (2000, vec!["a"]));
}

#[test]
fn a_list_is_newest_first_by_kind_host_and_page_and_names_what_is_damaged() {
    let (folder, records) = records();
    for at in 1..=5 {
        let kind = if at % 2 == 0 { "play" } else { "run" };
        let host = format!("web{at}");
        records.put(&one(kind, at, &[(&host, Status::Ok), ("db", Status::Failed)])).expect("written");
    }
    let list = |wanted: Wanted| records.list(&wanted).expect("listed");
    let all = Wanted { limit: 2, ..Wanted::default() };
    let page = list(all.clone());
    assert_eq!(ids(&page), ["5", "4"]);
    let next = list(Wanted { before: page.more_before.clone(), ..all.clone() });
    assert_eq!(ids(&next), ["3", "2"]);
    let last = list(Wanted { before: next.more_before, ..all.clone() });
    assert!(ids(&last) == ["1"] && last.more_before.is_none());
    assert_eq!(ids(&list(Wanted { kind: Some("play".into()), ..all.clone() })), ["4", "2"]);
    assert_eq!(ids(&list(Wanted { host: Some("eb3".into()), ..all.clone() })), ["3"]);

    let runs = folder.path().join("fleet/runs");
    std::fs::write(runs.join("000000000000006-1.jsonl"), "{torn").expect("write");
    std::fs::write(runs.join("000000000000007-1.jsonl"), "").expect("write");
    std::fs::write(runs.join("notes.txt"), "mine").expect("write");
    let listed = list(Wanted { kind: Some("play".into()), limit: 9, ..all });
    assert_eq!(ids(&listed), ["7", "6", "4", "2"]);
    assert!(matches!(listed.runs[0].1, Err(Unreadable::Damaged(_))));
}

#[test]
fn a_list_reads_no_outputs() {
    let (folder, records) = records();
    let path = records.put(&one("run", 7, &[("a", Status::Ok)])).expect("written");
    // Whatever stands behind the first line does not matter to a list.
    let text = std::fs::read_to_string(&path).expect("read");
    let head = text.lines().next().expect("a line");
    std::fs::write(&path, format!("{head}\n{}", "x".repeat(3 << 20))).expect("write");
    assert!(records.list(&Wanted { limit: 1, ..Wanted::default() }).expect("listed").runs[0].1.is_ok());
    let id = path.file_stem().expect("a name").to_string_lossy().into_owned();
    assert!(matches!(records.read(&id, None, 1), Err(Unreadable::TooLarge(_))));
    drop(folder);
}

#[test]
fn a_run_is_told_whole_within_a_bound_or_of_one_host() {
    let (_folder, records) = records();
    let mut run = one("run", 9, &[("a", Status::Ok), ("b", Status::Failed), ("c", Status::Ok)]);
    for host in &mut run.hosts {
        host.stdout = "x".repeat(60);
    }
    let path = records.put(&run).expect("written");
    let id = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let whole = records.read(&id, None, 130).expect("read").expect("there");
    let left: Vec<_> = whole.hosts.iter().map(|(host, left)| (host.stdout.len(), *left)).collect();
    assert_eq!(left, [(60, false), (60, false), (0, true)]);
    assert_eq!(whole.head.hosts[1], ("b".to_owned(), "failed".to_owned()));
    let only = records.read(&id, Some("c"), 130).expect("read").expect("there");
    assert_eq!((only.hosts.len(), only.hosts[0].0.stdout.len()), (1, 60));
    for nothing in ["12-12", "../../VERSION", "", "1-1/../2-2", "-", "1"] {
        assert!(records.read(nothing, None, 1).expect("read").is_none(), "{nothing}");
    }
}

#[test]
fn a_damaged_host_is_counted_and_the_others_are_told() {
    let (_folder, records) = records();
    let path = records.put(&one("run", 9, &[("a", Status::Ok), ("b", Status::Ok)])).expect("written");
    let text = std::fs::read_to_string(&path).expect("read").replacen(r#"{"host":"a""#, r#"{"hos"#, 1);
    std::fs::write(&path, text).expect("write");
    let id = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let whole = records.read(&id, None, 99).expect("read").expect("there");
    assert_eq!((whole.damaged, whole.hosts.len()), (1, 1));
}

#[test]
fn records_of_the_first_format_are_still_read() {
    let (folder, records) = records();
    let runs = folder.path().join("fleet/runs");
    std::fs::create_dir_all(&runs).expect("made");
    let old = r#"{"format":1,"began_ms":5,"ended_ms":9,"who":"me","kind":"run","what":["id"],"pattern":"all","exit":2,
        "hosts":[{"host":"a","status":"failed","exit":1,"note":null,"stdout":"out","stderr":"","took_ms":4}]}"#;
    std::fs::write(runs.join("000000000000005-7.json"), old).expect("write");
    assert_eq!(records.last("run").expect("read").expect("there").to_retry(), ["a"]);
    let whole = records.read("000000000000005-7", None, 99).expect("read").expect("there");
    assert_eq!((whole.head.exit, whole.hosts[0].0.stdout.as_str()), (2, "out"));
}

#[test]
fn a_look_that_found_the_same_takes_the_place_of_the_last_one() {
    let (_folder, records) = records();
    let look = |at, changed| {
        let mut look = record("apply", &["site.yml".into()], "", "me", at);
        look.head.check = true;
        look.hosts = vec![HostRecord::played("a", Counts { changed, ..Counts::default() }, Vec::new())];
        records.put(&look).expect("written");
    };
    look(1, 0);
    look(2, 0);
    records.put(&one("run", 3, &[("a", Status::Ok)])).expect("written");
    look(4, 0);
    look(5, 1);
    look(6, 0);
    let all = records.list(&Wanted { limit: 9, ..Wanted::default() }).expect("listed");
    assert_eq!(ids(&all), ["6", "5", "4", "3"]);
    let mut done = record("apply", &["site.yml".into()], "", "me", 7);
    done.hosts = vec![HostRecord::played("a", Counts::default(), Vec::new())];
    records.put(&done).expect("written");
    look(8, 0);
    let all = records.list(&Wanted { limit: 9, ..Wanted::default() }).expect("listed");
    assert_eq!(
        ids(&all),
        ["8", "7", "6", "5", "4", "3"],
        "what was done between two looks stays between them"
    );
}

#[test]
fn the_oldest_records_go_first() {
    let (folder, records) = records();
    let runs = folder.path().join("fleet/runs");
    std::fs::create_dir_all(&runs).expect("made");
    for at in 0..RECORDS_MAX {
        std::fs::write(runs.join(format!("{at:015}-1.jsonl")), "").expect("write");
    }
    records.put(&one("run", 99_999, &[("a", Status::Ok)])).expect("written");
    let names = records.names().expect("read");
    assert_eq!((names.len(), names[0].as_str()), (RECORDS_MAX, "000000000000001-1.jsonl"));
    let sparse = std::fs::File::create(runs.join("000000000000500-1.jsonl")).expect("made");
    sparse.set_len(BYTES_MAX).expect("long");
    records.put(&one("run", 100_000, &[("a", Status::Ok)])).expect("written");
    assert_eq!(records.names().expect("read")[0], "000000000000501-1.jsonl");
}

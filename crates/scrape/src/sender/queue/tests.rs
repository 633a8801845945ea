//! The queue in order, when full, after a restart, and when its files are damaged.

use super::*;

fn open(dir: &Path) -> Queue {
    Queue::open(dir, 1 << 20).expect("it can be opened")
}

/// A record that zstd cannot make much smaller: its number, then noise.
fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut state = u64::from(number) + 1;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    });
    number.to_le_bytes().into_iter().chain(noise.take(len)).collect()
}

fn put(queue: &mut Queue, numbers: std::ops::Range<u32>) {
    for number in numbers {
        queue.append(&payload(number, 1000), 10).expect("there is room");
    }
    queue.sync().expect("it can be synced");
}

fn numbers(queue: &mut Queue) -> Vec<u32> {
    std::iter::from_fn(|| queue.read().expect("it can be read"))
        .map(|r| u32::from_le_bytes(r.payload[..4].try_into().expect("four bytes")))
        .collect()
}

#[test]
fn records_come_out_in_order_once() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    assert_eq!(queue.read().expect("it can be read"), None);
    put(&mut queue, 0..500);
    assert_eq!(queue.counts().samples, 5000);
    assert_eq!(numbers(&mut queue), (0..500).collect::<Vec<_>>());
    assert_eq!(queue.counts().samples, 0);
    put(&mut queue, 500..510);
    assert_eq!(numbers(&mut queue), (500..510).collect::<Vec<_>>());
}

#[test]
fn what_is_done_makes_room_and_is_not_read_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    put(&mut queue, 0..500);
    let before = queue.counts().bytes;
    let mut after = Position::default();
    for _ in 0..300 {
        after = queue.read().expect("it can be read").expect("there are 500").after;
    }
    queue.commit(after).expect("it can be committed");
    queue.save_position().expect("it can be saved");
    assert!(queue.counts().bytes < before / 2 + (1 << 17));
    drop(queue);
    let mut queue = open(dir.path());
    assert_eq!(queue.counts().samples, 2000);
    put(&mut queue, 500..501);
    assert_eq!(numbers(&mut queue), (300..501).collect::<Vec<_>>());
}

#[test]
fn a_position_that_lags_repeats_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    put(&mut queue, 0..20);
    let after = queue.read().expect("it can be read").expect("there are 20").after;
    queue.commit(after).expect("it can be committed");
    drop(queue);
    assert_eq!(numbers(&mut open(dir.path())), (0..20).collect::<Vec<_>>());
    std::fs::write(dir.path().join(POSITION), b"nonsense").expect("it can be written");
    assert_eq!(numbers(&mut open(dir.path())), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_drops_its_oldest_and_counts_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    put(&mut queue, 0..3000);
    let counts = queue.counts();
    assert!(counts.bytes <= 1 << 20 && counts.bytes > 800_000, "{counts:?}");
    assert_eq!(counts.dropped + counts.samples, 30_000);
    let left = numbers(&mut queue);
    assert_eq!(left.last(), Some(&2999));
    assert_eq!(left.len() as u64 * 10, counts.samples);
    assert!(left.windows(2).all(|w| w[0] + 1 == w[1]));
}

#[test]
fn dropping_what_is_being_read_goes_on_with_what_is_left() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    put(&mut queue, 0..10);
    let after = queue.read().expect("it can be read").expect("there are 10").after;
    put(&mut queue, 10..3000);
    queue.commit(after).expect("an old position does no harm");
    let left = numbers(&mut queue);
    assert!(left[0] > 10 && left.last() == Some(&2999));
}

#[test]
fn reading_goes_on_when_the_segment_it_stands_in_is_done_and_removed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    put(&mut open(dir.path()), 0..1);
    let mut queue = open(dir.path());
    let after = queue.read().expect("it can be read").expect("there is one").after;
    put(&mut queue, 1..2);
    queue.commit(after).expect("it can be committed");
    assert!(!segment_path(dir.path(), 1).exists());
    assert_eq!(numbers(&mut queue), [1]);
}

#[test]
fn a_torn_tail_is_left_out_wherever_it_is_torn() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    put(&mut queue, 0..3);
    drop(queue);
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).expect("it is there");
    let record = (whole.len() - HEADER as usize) / 3;
    for len in HEADER as usize..whole.len() {
        std::fs::write(&path, &whole[..len]).expect("it can be written");
        let mut queue = open(dir.path());
        let expected = (len - HEADER as usize) / record;
        assert_eq!(numbers(&mut queue), (0..expected as u32).collect::<Vec<_>>(), "{len}");
        let rest = (len - HEADER as usize) % record;
        assert_eq!(queue.counts().damaged_bytes, rest as u64);
    }
}

#[test]
fn a_flipped_bit_costs_the_rest_of_its_segment_and_is_counted() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    put(&mut queue, 0..300);
    drop(queue);
    let path = segment_path(dir.path(), 1);
    let whole = std::fs::read(&path).expect("it is there");
    for at in [HEADER as usize + 1100, HEADER as usize + 1033, whole.len() / 2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        std::fs::write(&path, &bytes).expect("it can be written");
        let mut queue = open(dir.path());
        let read = numbers(&mut queue);
        assert!(queue.counts().damaged_bytes > 0 && read.len() < 300, "{at}");
        assert_eq!(read.first(), Some(&0));
        assert_eq!(read.last(), Some(&299), "later segments are whole");
        assert!(read.windows(2).all(|w| w[0] < w[1]));
    }
    let mut bytes = whole.clone();
    bytes[2] ^= 4;
    std::fs::write(&path, &bytes).expect("it can be written");
    let mut queue = open(dir.path());
    assert!(numbers(&mut queue).first().is_some_and(|n| *n > 0));
    assert_eq!(queue.counts().damaged_bytes, whole.len() as u64);
    assert!(path.with_extension("damaged").exists());
}

#[test]
fn a_record_beyond_the_bound_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut queue = open(dir.path());
    let long = vec![0; RECORD_MAX as usize + 1];
    assert_eq!(queue.append(&long, 1).expect_err("too long").kind(), io::ErrorKind::FileTooLarge);
}

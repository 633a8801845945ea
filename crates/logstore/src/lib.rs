//! The embedded log store of Wellkept: lines by template, searched without unpacking most of them.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod store;
mod batch;
mod open;
mod maintain;
mod error;
pub mod query;
mod search;
mod tail;
mod head;
mod wal;
mod replay;
mod segment;
mod segment_write;
mod index;
mod charset;
mod filter;
mod group;
mod column;
mod ints;
mod clock;
mod pack;
mod strings;
mod cache;
mod codec;
mod digits;

pub use batch::{BATCH_MAX, FIELDS_MAX, LABELS_MAX, LINE_MAX, LogBatch, NOTE_KEY_MAX, NOTE_MAX};
pub use digits::DigitMiner;
pub use error::{LogStoreError, SetAside};
pub use maintain::Maintained;
pub use search::{
    Cursor, Direction, Facet, Facets, Histogram, LogEntry, LogPage, LogRange, MetricResult, MetricSeries,
    Pattern, Patterns, SearchCost, SearchLimits, Stopped,
};
pub use store::{LogStats, LogStore, LogStoreConfig, LogTicket, RetentionRule, Seen};
pub use tail::{TAILS_MAX, Tail, Tailed, Wake};

use wellkept_tsdb as disk;

#[cfg(test)]
mod ratio {
    #[test]
    #[ignore]
    fn ratio() {
        use crate::*;
        use wellkept_model::*;
        let raw = std::fs::read("/work/tmp-logstore/raw1m.log").unwrap();
        let mut head = head::Head::default();
        let mut m = DigitMiner::default();
        let labels = Labels::new([("service", "x")]);
        let mut params = vec![];
        let limit: usize = option_env!("LIM").map_or(usize::MAX, |s| s.parse().unwrap());
        let mut total = 0;
        let t0 = std::time::Instant::now();
        let mut n = 0;
        let mut flush = |head: &mut head::Head| {
            let h = std::mem::take(head);
            let (hd, bytes) = segment_write::build(
                &h.snapshot(),
                segment_write::Birth { number: 1, covers: 1, made: 0, replaces: 0 },
            )
            .unwrap();
            total += bytes.len();
            std::fs::write("/work/tmp-logstore/x.seg", &bytes).unwrap();
            use wellkept_tsdb::Disk;
            let d = wellkept_tsdb::OsDisk::new("/work/tmp-logstore");
            let s = segment::Segment::open(&d as &dyn Disk, "x.seg", 1).unwrap();
            let t = std::time::Instant::now();
            let i = s.index().unwrap();
            let t1 = t.elapsed();
            let times = s.times(&i).unwrap();
            let t2 = t.elapsed();
            let order = s.order(&i).unwrap();
            let t3 = t.elapsed();
            let pk: usize = i.packs.iter().map(|p| p.len as usize).sum();
            println!(
                "rows {} bytes {} shapes {} kinds {} packs {} ({}) times {} order {} index {} read {:?} {:?} {:?} {}",
                hd.rows,
                bytes.len(),
                i.shapes.len(),
                i.kinds.len(),
                i.packs.len(),
                pk,
                i.times.len,
                i.order.len,
                bytes.len() - pk - i.times.len as usize - i.order.len as usize,
                t1,
                t2,
                t3,
                times.len() + order.len()
            );
        };
        for l in raw.split(|&b| b == b'\n').filter(|l| !l.is_empty()) {
            let shape = m.split(l, &mut params);
            let s = std::str::from_utf8(&l[..14]).unwrap();
            let at = s[..10].parse::<i64>().unwrap() * 1000 + s[11..14].parse::<i64>().unwrap();
            head.push(
                &LogLine { at_ns: at * 1_000_000, labels: &labels, level: None, text: l, fields: &[] },
                &shape,
                &params,
            );
            n += l.len();
            if n > limit {
                n = 0;
                flush(&mut head);
            }
        }
        flush(&mut head);
        println!("total {} ratio to z19 {:.3} in {:?}", total, total as f64 / 13089228.0, t0.elapsed());
    }
}

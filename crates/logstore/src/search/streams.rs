//! Which streams there are: from the indexes alone, no line is read.

use std::collections::BTreeSet;

use wellkept_model::Labels;

use crate::store::LogStore;

impl LogStore {
    /// Labels of the streams with lines in the segments that touch a range of time, and in memory; at most `most`, in
    /// order. The second is true when there are more.
    #[must_use]
    pub fn streams(&self, (from_ns, to_ns): (i64, i64), most: usize) -> (Vec<Labels>, bool) {
        let snapshot = self.snapshot();
        let mut found: BTreeSet<Labels> = BTreeSet::new();
        let mut more = false;
        let mut put = |labels: &Labels| {
            if found.len() < most {
                if !found.contains(labels) {
                    found.insert(labels.clone());
                }
            } else {
                more |= !found.contains(labels);
            }
        };
        snapshot.memory.iter().flat_map(|piece| &piece.streams).for_each(&mut put);
        let touching =
            |s: &&std::sync::Arc<crate::segment::Segment>| s.header.max >= from_ns && s.header.min < to_ns;
        for segment in snapshot.segments.iter().filter(touching) {
            if let Some(index) = self.index_or_set_aside(segment) {
                index.streams.iter().for_each(&mut put);
            }
        }
        (found.into_iter().collect(), more)
    }
}

//! Lines of a template per bucket against what is usual.

use wellkept_model::TemplateId;

use super::{Kind, Oddity};
use crate::state::{Reader, StateError, Writer};

/// Buckets remembered, the running one not counted: two hours of minutes.
const BUCKETS: usize = 120;

/// Buckets before anything is usual.
const NEEDED: usize = 20;

/// Deviations from the median that are odd. High: counts of lines have heavy tails.
const ODD: f64 = 8.0;

/// Counts per bucket.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    bucket_ns: i64,
    start_ns: i64,
    running: u32,
    counts: std::collections::VecDeque<u32>,
    /// Whether the last bucket was odd: the same stretch is told once.
    odd: bool,
}

impl Rate {
    pub(super) fn new(at_ns: i64, bucket_ns: i64) -> Self {
        let bucket_ns = bucket_ns.max(1);
        let start_ns = at_ns - at_ns.rem_euclid(bucket_ns);
        Self { bucket_ns, start_ns, running: 0, counts: std::collections::VecDeque::new(), odd: false }
    }

    pub(super) fn count(&mut self) {
        self.running = self.running.saturating_add(1);
    }

    pub(super) fn is_odd(&self) -> bool {
        self.odd
    }

    /// Closes the buckets that end at or before `now_ns`.
    pub(super) fn until(&mut self, now_ns: i64, template: TemplateId, found: &mut Vec<Oddity>) {
        let passed = now_ns.saturating_sub(self.start_ns) / self.bucket_ns;
        // A long silence is told by its first buckets; the rest would only fill the memory.
        for _ in 0..passed.clamp(0, BUCKETS as i64) {
            self.close(template, found);
        }
        if passed > 0 {
            self.start_ns = self.start_ns.saturating_add(passed.saturating_mul(self.bucket_ns));
        }
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.signed(self.start_ns);
        out.number(u64::from(self.running));
        out.number(u64::from(self.odd));
        out.number(self.counts.len() as u64);
        for &count in &self.counts {
            out.number(u64::from(count));
        }
    }

    pub(super) fn read(input: &mut Reader<'_>, bucket_ns: i64) -> Result<Self, StateError> {
        let start_ns = input.signed("bucket")?;
        let running = input.number("running")? as u32;
        let odd = input.number("odd")? != 0;
        let counts = input.count("counts")?.min(BUCKETS);
        let counts =
            (0..counts).map(|_| input.number("count").map(|c| c as u32)).collect::<Result<_, _>>()?;
        Ok(Self { bucket_ns: bucket_ns.max(1), start_ns, running, counts, odd })
    }

    fn close(&mut self, template: TemplateId, found: &mut Vec<Oddity>) {
        let count = std::mem::take(&mut self.running);
        let mut odd = false;
        if self.counts.len() >= NEEDED {
            let (usual, spread) = super::value::median_and_spread(self.counts.iter().map(|&c| f64::from(c)));
            // A count wanders by its root even when nothing is wrong.
            let score = (f64::from(count) - usual).abs() / spread.max((usual + 1.0).sqrt());
            odd = score >= ODD;
            if odd && !self.odd {
                let at_ns = self.start_ns.saturating_add(self.bucket_ns);
                found.push(Oddity {
                    at_ns,
                    template,
                    kind: Kind::Rate,
                    score,
                    seen: f64::from(count),
                    usual,
                    value: None,
                });
            }
        }
        self.odd = odd;
        self.counts.push_back(count);
        if self.counts.len() > BUCKETS {
            self.counts.pop_front();
        }
    }
}

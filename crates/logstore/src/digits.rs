//! The plainest miner: runs of digits are parameters, everything else is the shape.
//!
//! It needs no memory beyond the shapes that it has seen and stands in wherever no better miner is at hand: for
//! tests, measuring, and a store that is opened without one.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use wellkept_model::{ParamKind, Shape, TemplateId, TemplateMiner};

/// Shapes that are remembered; beyond that it begins anew, which costs memory for doubles but is never wrong.
const SHAPES_MAX: usize = 1 << 17;

/// Longest text that is looked at; longer lines are one parameter.
const TEXT_MAX: usize = 64 << 10;

/// Splits lines at runs of digits.
#[derive(Debug, Default)]
pub struct DigitMiner {
    shapes: HashMap<Vec<u8>, Arc<Shape>>,
    key: Vec<u8>,
}

impl TemplateMiner for DigitMiner {
    fn split(&mut self, text: &[u8], params: &mut Vec<Range<u32>>) -> Arc<Shape> {
        params.clear();
        self.key.clear();
        if text.len() > TEXT_MAX {
            params.push(0..text.len() as u32);
            self.key.push(b'0');
        } else {
            let mut in_run = false;
            for (&byte, at) in text.iter().zip(0..) {
                let is_digit = byte.is_ascii_digit();
                match (is_digit, in_run, params.last_mut()) {
                    (true, true, Some(last)) => last.end = at + 1,
                    (true, ..) => {
                        self.key.push(b'0');
                        params.push(at..at + 1);
                    }
                    (false, ..) => self.key.push(byte),
                }
                in_run = is_digit;
            }
        }
        if let Some(shape) = self.shapes.get(&self.key) {
            return Arc::clone(shape);
        }
        let shape = Arc::new(Shape {
            template: TemplateId(hash(&self.key)),
            literals: self.key.split(|&b| b == b'0').map(Into::into).collect(),
            kinds: vec![ParamKind::Number; params.len()],
        });
        if self.shapes.len() >= SHAPES_MAX {
            self.shapes.clear();
        }
        self.shapes.insert(self.key.clone(), Arc::clone(&shape));
        shape
    }
}

/// FNV-1a, 64 bits: the same in every process.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_and_parameters_are_the_line() {
        let mut miner = DigitMiner::default();
        let mut params = Vec::new();
        for text in ["", "7", "took 15 ms", "12ab34", "no digits", "0\u{0}0"] {
            let shape = miner.split(text.as_bytes(), &mut params);
            let mut back = shape.literals[0].to_vec();
            for (range, literal) in params.iter().zip(&shape.literals[1..]) {
                back.extend_from_slice(&text.as_bytes()[range.start as usize..range.end as usize]);
                back.extend_from_slice(literal);
            }
            assert_eq!(back, text.as_bytes());
        }
        let a = miner.split(b"took 1 ms", &mut params).template;
        assert_eq!(a, miner.split(b"took 22 ms", &mut params).template);
    }
}

//! Columns of whole numbers: constant, a part of the time, or packed.

use crate::clock::Part;
use crate::codec::{Corrupt, put_signed, put_varint};
use crate::pack::{PackCursor, PackWriter};

const CONSTANT: u8 = 0;
const PACKED: u8 = 1;
/// Plus the number of the part.
const PART: u8 = 16;

/// Appends a column. `times`: of the same rows, when the numbers may follow from them.
pub(crate) fn encode(out: &mut PackWriter, values: &[u64], times: Option<&[i64]>) -> std::io::Result<()> {
    let first = values.first().copied().unwrap_or(0);
    if values.iter().all(|&v| v == first) {
        out.text.push(CONSTANT);
        put_varint(&mut out.text, first);
        return Ok(());
    }
    if let Some((part, zone)) = times.and_then(|t| Part::find(values, t)) {
        let number = Part::ALL.iter().position(|&p| p == part).unwrap_or(0) as u8;
        out.text.push(PART + number);
        put_signed(&mut out.text, zone);
        return Ok(());
    }
    out.text.push(PACKED);
    out.put_numbers(values)
}

/// Reads `n` numbers back.
pub(crate) fn decode(r: &mut PackCursor<'_>, n: usize, times: Option<&[i64]>) -> Result<Vec<u64>, Corrupt> {
    match r.text.u8()? {
        CONSTANT => Ok(vec![r.text.varint()?; n]),
        PACKED => r.numbers(n),
        tag => {
            let number = tag.checked_sub(PART).map(usize::from);
            let part = number.and_then(|i| Part::ALL.get(i));
            let (Some(&part), Some(times)) = (part, times) else {
                return Err(Corrupt("a column of numbers has an unknown form"));
            };
            let zone = r.text.signed()?;
            if times.len() != n {
                return Err(Corrupt("a column has another count of times"));
            }
            let value = |&t| part.of(t, zone).ok_or(Corrupt("a time has no such part"));
            times.iter().map(value).collect()
        }
    }
}

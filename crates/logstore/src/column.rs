//! One column: the values of one parameter of one shape, in the order of the rows.
//!
//! A value is split once more into what stands still and its runs of digits. Few such forms: the digits become
//! columns of numbers. Few values: they become a dictionary. Else the values stand as they are and zstd does what
//! it can. Whatever the form, the bytes come back as they were.

use std::io;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::clock::Part;
use crate::codec::{Corrupt, put_varint};
use crate::ints;
use crate::pack::{PackCursor, PackWriter};
use crate::strings::Strings;

const RAW: u8 = 0;
const DICTIONARY: u8 = 1;
const SPLIT: u8 = 2;

/// Most digits that become one number; longer runs become several.
const DIGITS_MAX: usize = 18;

/// Most forms of one column that are told apart.
const FORMS_MAX: usize = 4096;

/// Numbers are written without leading zeros.
const CANONICAL: u8 = 0;
/// Their widths are a column too.
const WIDTHS: u8 = u8::MAX;

/// Appends a column. `times`: of the same rows.
pub(crate) fn encode(out: &mut PackWriter, values: &Strings, times: &[i64]) -> io::Result<()> {
    let n = values.len();
    let mut distinct: HashMap<&[u8], u32> = HashMap::new();
    let codes: Vec<u64> = values
        .iter()
        .map(|v| {
            let next = distinct.len() as u32;
            u64::from(*distinct.entry(v).or_insert(next))
        })
        .collect();
    if distinct.len() * 16 <= n {
        return encode_dictionary(out, &distinct, &codes);
    }
    let forms = Forms::of(values);
    if forms.names.len() <= FORMS_MAX && forms.names.len() * 8 <= n.max(8) && forms.has_digits() {
        return forms.encode(out, values, times);
    }
    if distinct.len() * 2 <= n {
        return encode_dictionary(out, &distinct, &codes);
    }
    out.text.push(RAW);
    put_strings(out, values)
}

/// Whether the column is nothing but parts of the time, and costs nothing.
pub(crate) fn follows_time(values: &Strings, times: &[i64]) -> bool {
    let mut form = Vec::new();
    form_of(values.get(0), &mut form);
    let mut other = Vec::new();
    let is_alike = values.iter().all(|v| {
        form_of(v, &mut other);
        other == form
    });
    if !is_alike || !form.contains(&b'0') {
        return false;
    }
    let runs = form.iter().filter(|&&b| b == b'0').count();
    let mut columns: Vec<Vec<u64>> = vec![Vec::with_capacity(values.len()); runs];
    for value in values.iter() {
        let mut columns = columns.iter_mut();
        for_each_number(value, |d| {
            if let Some(column) = columns.next() {
                column.push(to_number(d));
            }
        });
    }
    let is_free = |c: &Vec<u64>| c.iter().all(|v| Some(v) == c.first()) || Part::find(c, times).is_some();
    columns.iter().all(is_free)
}

fn encode_dictionary(out: &mut PackWriter, distinct: &HashMap<&[u8], u32>, codes: &[u64]) -> io::Result<()> {
    let mut entries: Vec<(&[u8], u32)> = distinct.iter().map(|(&v, &c)| (v, c)).collect();
    entries.sort_by_key(|e| e.1);
    out.text.push(DICTIONARY);
    put_varint(&mut out.text, entries.len() as u64);
    put_strings(out, &entries.into_iter().map(|e| e.0).collect())?;
    ints::encode(out, codes, None)
}

fn put_strings(out: &mut PackWriter, values: &Strings) -> io::Result<()> {
    let lengths: Vec<u64> = values.iter().map(|v| v.len() as u64).collect();
    ints::encode(out, &lengths, None)?;
    out.text.extend_from_slice(values.joined());
    Ok(())
}

fn read_strings(r: &mut PackCursor<'_>, n: usize) -> Result<Strings, Corrupt> {
    let lengths = ints::decode(r, n, None)?;
    let mut out = Strings::default();
    for len in lengths {
        let len = usize::try_from(len).map_err(|_| Corrupt("a value is too long"))?;
        out.push(r.text.take(len)?);
    }
    Ok(out)
}

/// A value with each run of digits as one `0` for every number that it becomes.
fn form_of(value: &[u8], form: &mut Vec<u8>) {
    form.clear();
    let mut run = 0;
    for &byte in value {
        if byte.is_ascii_digit() {
            if run % DIGITS_MAX == 0 {
                form.push(b'0');
            }
            run += 1;
        } else {
            run = 0;
            form.push(byte);
        }
    }
}

/// Calls `take` for each number of a value: its digits.
fn for_each_number<'a>(value: &'a [u8], mut take: impl FnMut(&'a [u8])) {
    let mut rest = value;
    while let Some(start) = rest.iter().position(u8::is_ascii_digit) {
        let run = rest.get(start..).unwrap_or_default();
        let len = run.iter().take(DIGITS_MAX).take_while(|b| b.is_ascii_digit()).count();
        let (digits, after) = run.split_at(len);
        take(digits);
        rest = after;
    }
}

fn to_number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |n, &d| n * 10 + u64::from(d - b'0'))
}

/// The forms of a column's values.
struct Forms {
    names: Strings,
    /// Form of each value.
    of_row: Vec<u64>,
}

impl Forms {
    fn of(values: &Strings) -> Self {
        let mut known: HashMap<Vec<u8>, u64> = HashMap::new();
        let mut out = Self { names: Strings::default(), of_row: Vec::with_capacity(values.len()) };
        let mut form = Vec::new();
        for value in values.iter() {
            form_of(value, &mut form);
            let next = known.len() as u64;
            let number = match known.get(form.as_slice()) {
                Some(&n) => n,
                None => {
                    out.names.push(&form);
                    known.insert(form.clone(), next);
                    next
                }
            };
            out.of_row.push(number);
        }
        out
    }

    fn has_digits(&self) -> bool {
        self.names.joined().contains(&b'0')
    }

    fn encode(&self, out: &mut PackWriter, values: &Strings, times: &[i64]) -> io::Result<()> {
        out.text.push(SPLIT);
        put_varint(&mut out.text, self.names.len() as u64);
        put_strings(out, &self.names)?;
        ints::encode(out, &self.of_row, None)?;
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); self.names.len()];
        for (row, &form) in self.of_row.iter().enumerate() {
            if let Some(rows) = rows.get_mut(form as usize) {
                rows.push(row);
            }
        }
        for (form, rows) in self.names.iter().zip(rows) {
            let runs = form.iter().filter(|&&b| b == b'0').count();
            let mut digits: Vec<Vec<&[u8]>> = vec![Vec::with_capacity(rows.len()); runs];
            for &row in &rows {
                let mut run = 0;
                for_each_number(values.get(row), |d| {
                    if let Some(column) = digits.get_mut(run) {
                        column.push(d);
                    }
                    run += 1;
                });
            }
            let times: Vec<i64> = rows.iter().map(|&r| times.get(r).copied().unwrap_or(0)).collect();
            for column in digits {
                encode_numbers(out, &column, &times)?;
            }
        }
        Ok(())
    }
}

fn encode_numbers(out: &mut PackWriter, digits: &[&[u8]], times: &[i64]) -> io::Result<()> {
    let numbers: Vec<u64> = digits.iter().map(|d| to_number(d)).collect();
    let width = digits.first().map_or(0, |d| d.len());
    if digits.iter().all(|d| d.len() == width) {
        out.text.push(width as u8);
    } else if digits.iter().all(|d| d.len() == 1 || d.first() != Some(&b'0')) {
        out.text.push(CANONICAL);
    } else {
        out.text.push(WIDTHS);
        let widths: Vec<u64> = digits.iter().map(|d| d.len() as u64).collect();
        ints::encode(out, &widths, None)?;
    }
    ints::encode(out, &numbers, Some(times))
}

/// How the numbers of one run are written.
#[derive(Debug)]
enum Width {
    Canonical,
    Fixed(usize),
    Each(Vec<u64>),
}

/// One run of digits of one form.
#[derive(Debug)]
struct Run {
    width: Width,
    numbers: Vec<u64>,
}

impl Run {
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let number = self.numbers.get(row).copied().unwrap_or(0);
        let width = match &self.width {
            Width::Canonical => 1,
            Width::Fixed(width) => *width,
            Width::Each(widths) => widths.get(row).map_or(1, |&w| w as usize),
        };
        put_decimal(out, number, width);
    }
}

/// Appends a number with at least `width` digits.
fn put_decimal(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        if number == 0 && used >= width.max(1) {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// A column that was read.
#[derive(Debug)]
pub(crate) enum Column {
    /// As they are.
    Raw(Strings),
    /// Values by code.
    Dictionary { entries: Strings, codes: Vec<u64> },
    /// Forms with numbers.
    Split(Split),
    /// Part of a group: the value of the line's combination.
    Member { codes: Arc<Vec<u32>>, usual: Box<Column> },
    /// Follows from a group except where `exception` names one of the others.
    Follower { codes: Arc<Vec<u32>>, usual: Box<Column>, exception: Vec<u32>, others: Box<Column> },
}

/// Values that are forms with numbers in them.
#[derive(Debug)]
pub(crate) struct Split {
    forms: Strings,
    of_row: Vec<u64>,
    /// How many rows before have the same form.
    place: Vec<u32>,
    runs: Vec<Vec<Run>>,
}

impl Column {
    /// Reads `n` values.
    pub(crate) fn decode(r: &mut PackCursor<'_>, n: usize, times: &[i64]) -> Result<Self, Corrupt> {
        match r.text.u8()? {
            RAW => Ok(Self::Raw(read_strings(r, n)?)),
            DICTIONARY => {
                let count = r.text.size()?;
                if count > n {
                    return Err(Corrupt("a dictionary is larger than its column"));
                }
                let entries = read_strings(r, count)?;
                let codes = ints::decode(r, n, None)?;
                if codes.iter().any(|&c| c >= count as u64) {
                    return Err(Corrupt("a code names no entry of its dictionary"));
                }
                Ok(Self::Dictionary { entries, codes })
            }
            SPLIT => Ok(Self::Split(Split::decode(r, n, times)?)),
            _ => Err(Corrupt("a column has an unknown form")),
        }
    }

    /// Appends the value of a row.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Raw(values) => out.extend_from_slice(values.get(row)),
            Self::Dictionary { entries, codes } => {
                let code = codes.get(row).copied().unwrap_or(u64::MAX);
                out.extend_from_slice(entries.get(code as usize));
            }
            Self::Split(split) => split.write(row, out),
            Self::Member { codes, usual } => {
                usual.write(codes.get(row).copied().unwrap_or(u32::MAX) as usize, out);
            }
            Self::Follower { codes, usual, exception, others } => match exception.get(row) {
                Some(&u32::MAX) => usual.write(codes.get(row).copied().unwrap_or(u32::MAX) as usize, out),
                Some(&other) => others.write(other as usize, out),
                None => {}
            },
        }
    }

    /// Memory, bytes.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Raw(values) => values.memory(),
            Self::Dictionary { entries, codes } => entries.memory() + codes.len() * 8,
            Self::Split(split) => {
                let numbers = split.runs.iter().flatten().map(|r| r.numbers.len() * 8).sum::<usize>();
                split.of_row.len() * 12 + numbers
            }
            Self::Member { codes, usual } => codes.len() * 4 + usual.memory(),
            Self::Follower { codes, usual, others, .. } => codes.len() * 8 + usual.memory() + others.memory(),
        }
    }
}

impl Split {
    fn decode(r: &mut PackCursor<'_>, n: usize, times: &[i64]) -> Result<Self, Corrupt> {
        let count = r.text.size()?;
        if count > n || count > FORMS_MAX {
            return Err(Corrupt("a column has more forms than rows"));
        }
        let forms = read_strings(r, count)?;
        let of_row = ints::decode(r, n, None)?;
        let mut place = Vec::with_capacity(n);
        let mut rows: Vec<Vec<i64>> = vec![Vec::new(); count];
        for (row, &form) in of_row.iter().enumerate() {
            let rows = rows.get_mut(form as usize).ok_or(Corrupt("a row names an unknown form"))?;
            place.push(rows.len() as u32);
            rows.push(times.get(row).copied().unwrap_or(0));
        }
        let mut runs = Vec::with_capacity(count);
        for (form, times) in forms.iter().zip(&rows) {
            let of_form = form.iter().filter(|&&b| b == b'0').map(|_| decode_run(r, times));
            runs.push(of_form.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self { forms, of_row, place, runs })
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) {
        let form = self.of_row.get(row).copied().unwrap_or(u64::MAX) as usize;
        let place = self.place.get(row).copied().unwrap_or(0) as usize;
        let mut runs = self.runs.get(form).map_or(&[][..], Vec::as_slice).iter();
        for &byte in self.forms.get(form) {
            match byte {
                b'0' => {
                    if let Some(run) = runs.next() {
                        run.write(place, out);
                    }
                }
                other => out.push(other),
            }
        }
    }
}

fn decode_run(r: &mut PackCursor<'_>, times: &[i64]) -> Result<Run, Corrupt> {
    let n = times.len();
    let width = match r.text.u8()? {
        CANONICAL => Width::Canonical,
        WIDTHS => {
            let widths = ints::decode(r, n, None)?;
            if widths.iter().any(|&w| w > DIGITS_MAX as u64) {
                return Err(Corrupt("a number has too many digits"));
            }
            Width::Each(widths)
        }
        width if usize::from(width) <= DIGITS_MAX => Width::Fixed(usize::from(width)),
        _ => return Err(Corrupt("a number has too many digits")),
    };
    Ok(Run { width, numbers: ints::decode(r, n, Some(times))? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pack::{Pack, PackPlace};

    fn check(values: &[Vec<u8>]) {
        let strings: Strings = values.iter().map(Vec::as_slice).collect();
        let times: Vec<i64> = (0..values.len() as i64).map(|i| i * 1_500_000_000).collect();
        let mut out = PackWriter::default();
        encode(&mut out, &strings, &times).unwrap();
        let pack = Pack::read(&out.finish().unwrap()).unwrap();
        let mut cursor = pack.cursor(PackPlace::default()).unwrap();
        let column = Column::decode(&mut cursor, values.len(), &times).unwrap();
        for (row, value) in values.iter().enumerate() {
            let mut back = Vec::new();
            column.write(row, &mut back);
            assert_eq!(&back, value, "row {row}");
        }
    }

    #[test]
    fn numbers_addresses_times_and_words_come_back() {
        let column = |f: &dyn Fn(u64) -> String| (0..700).map(|i| f(i).into_bytes()).collect::<Vec<_>>();
        check(&column(&|i| (i * 977 % 8192).to_string()));
        check(&column(&|i| format!("{i:05}")));
        check(&column(&|i| format!("{}{i}", "0".repeat((i % 4) as usize))));
        check(&column(&|i| format!("10.{}.0.{}:{}", i % 7, i % 250, 50_000 + i)));
        check(&column(&|i| format!("{:02}:{:02}", i * 3 / 2 / 60 % 60, i * 3 / 2 % 60)));
        check(&column(&|i| ["ok", "lost", ""][(i % 3) as usize].to_owned()));
        check(&column(&|i| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
        check(&column(&|i| format!("{i:040}")));
        check(&[b"00000000000000000000000000000000000000000".to_vec()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_values_come_back(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..60),
        ) {
            check(&values);
        }

        #[test]
        fn values_with_digits_come_back(values in prop::collection::vec("[0-9a]{0,25}", 1..80)) {
            check(&values.into_iter().map(String::into_bytes).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(
            text in prop::collection::vec(any::<u8>(), 0..80),
            n in 0..300_usize,
        ) {
            let mut out = PackWriter::default();
            out.text = text;
            out.put_numbers(&[1, 2, 3]).unwrap();
            let pack = Pack::read(&out.finish().unwrap()).unwrap();
            let mut cursor = pack.cursor(PackPlace::default()).unwrap();
            let _ = Column::decode(&mut cursor, n, &vec![0; n]);
        }
    }
}

//! Parameters that go together: a user and its number, the parts of an address, whatever repeats from line to line.
//!
//! Columns whose values determine each other cost as much as one of them when they are stored as one: a group has a
//! table of the combinations that occur, and each line has the number of its own. A column that is not part of a group
//! may still follow from it most of the time: then only the lines where it does not are stored beside it.

use std::io;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::codec::{Corrupt, put_varint};
use crate::column::{self, Column};
use crate::ints;
use crate::pack::{PackCursor, PackWriter};
use crate::strings::Strings;

/// A column of its own.
const ALONE: u8 = 0;
/// Plus twice the number of the group: part of it.
const MEMBER: u8 = 2;
/// The same, plus one: follows from it most of the time.
const FOLLOWER: u8 = 3;

/// Fewer rows have too little to gain.
const ROWS_MIN: usize = 32;

/// Most groups of one shape.
const GROUPS_MAX: usize = 4;

/// Rows that are tried before all are.
const PROBE_ROWS: usize = 2048;

/// Most columns of a shape that are looked at.
const COLUMNS_MAX: usize = 48;

/// The values of a column as numbers, and what one costs, bits.
struct Coded {
    codes: Vec<u32>,
    distinct: usize,
    entropy: f64,
    value_bits: f64,
    /// A row that has each value.
    samples: Vec<u32>,
}

impl Coded {
    fn of(values: &Strings) -> Self {
        let mut known: HashMap<&[u8], u32> = HashMap::new();
        let mut samples = Vec::new();
        let mut codes = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            let next = samples.len() as u32;
            let code = *known.entry(value).or_insert(next);
            if code == next {
                samples.push(row as u32);
            }
            codes.push(code);
        }
        let bits = |b: &u8| if b.is_ascii_digit() { 3.4 } else { 2.0 };
        let shown = samples.iter().take(256).map(|&r| values.get(r as usize).iter().map(bits).sum::<f64>());
        let value_bits = shown.sum::<f64>() / ratio(samples.len().clamp(1, 256), 1) + 1.0;
        let entropy = entropy(&codes, samples.len());
        Self { codes, distinct: samples.len(), entropy, value_bits, samples }
    }

    /// What the column costs by itself, bits.
    fn alone(&self) -> f64 {
        let n = ratio(self.codes.len(), 1);
        let as_dictionary = n * self.entropy + ratio(self.distinct, 1) * self.value_bits;
        as_dictionary.min(n * self.value_bits)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b as f64
}

/// Bits a row, without memory.
fn entropy(codes: &[u32], distinct: usize) -> f64 {
    let mut counts = vec![0_usize; distinct];
    for &code in codes {
        if let Some(count) = counts.get_mut(code as usize) {
            *count += 1;
        }
    }
    counts.iter().filter(|&&c| c > 0).map(|&c| -ratio(c, codes.len()) * ratio(c, codes.len()).log2()).sum()
}

/// Columns that are stored as one.
struct Group {
    members: Vec<usize>,
    joint: Coded,
    /// What the members' tables cost, bits for each combination.
    table_bits: f64,
}

impl Group {
    fn cost(&self) -> f64 {
        ratio(self.joint.codes.len(), 1) * self.joint.entropy
            + ratio(self.joint.distinct, 1) * self.table_bits
    }

    /// The group with one more column, when that costs less than both apart.
    fn with(&self, number: usize, column: &Coded) -> Option<Self> {
        let n = column.codes.len();
        let table_bits = self.table_bits + column.entropy.max(1.0) + 1.0;
        let limit = self.cost() + column.alone();
        let mut known: HashMap<(u32, u32), u32> = HashMap::new();
        let mut samples = Vec::new();
        let mut codes = Vec::with_capacity(n);
        for (row, pair) in self.joint.codes.iter().copied().zip(column.codes.iter().copied()).enumerate() {
            let next = samples.len() as u32;
            let code = *known.entry(pair).or_insert(next);
            if code == next {
                samples.push(row as u32);
                if ratio(samples.len(), 1) * table_bits > limit || samples.len() * 3 > n.max(row * 2) {
                    return None;
                }
            }
            codes.push(code);
        }
        let entropy = entropy(&codes, samples.len());
        let joint = Coded { codes, distinct: samples.len(), entropy, value_bits: 0.0, samples };
        let members = self.members.iter().copied().chain([number]).collect();
        let group = Self { members, joint, table_bits };
        (group.cost() < 0.97 * limit).then_some(group)
    }

    /// Whether the first rows let one hope that a column follows: at least one in five does.
    fn may_lead(&self, column: &Coded) -> bool {
        let mut last: HashMap<u32, u32> = HashMap::new();
        let (mut repeats, mut hits) = (0, 0);
        for (joint, code) in self.joint.codes.iter().zip(&column.codes).take(PROBE_ROWS) {
            if let Some(before) = last.insert(*joint, *code) {
                repeats += 1;
                hits += usize::from(before == *code);
            }
        }
        // Few repeats say nothing.
        repeats < PROBE_ROWS / 8 || hits * 5 >= repeats
    }

    /// The usual value of a column for each combination, and how often it is another.
    fn usual(&self, column: &Coded) -> (Vec<u32>, usize) {
        let mut counts: HashMap<(u32, u32), u32> = HashMap::new();
        for pair in self.joint.codes.iter().copied().zip(column.codes.iter().copied()) {
            *counts.entry(pair).or_insert(0) += 1;
        }
        let mut best = vec![(0, 0); self.joint.distinct];
        for ((joint, code), count) in counts {
            // The smaller code of two that are equally frequent: the same bytes come of the same lines.
            if let Some(best) = best.get_mut(joint as usize)
                && (count, u32::MAX - code) > (best.0, u32::MAX - best.1)
            {
                *best = (count, code);
            }
        }
        let hits: usize = best.iter().map(|b| b.0 as usize).sum();
        (best.into_iter().map(|b| b.1).collect(), self.joint.codes.len() - hits)
    }
}

/// Cost of saying which of `n` rows are exceptions, bits.
fn flag_bits(n: usize, exceptions: usize) -> f64 {
    if exceptions == 0 || exceptions == n {
        return 0.0;
    }
    let p = ratio(exceptions, n);
    -ratio(n, 1) * (p * p.log2() + (1.0 - p) * (1.0 - p).log2())
}

/// Appends all columns of a shape. `times`: of its rows.
pub(crate) fn encode(out: &mut PackWriter, columns: &[Strings], times: &[i64]) -> io::Result<()> {
    let n = times.len();
    let coded: Vec<Option<Coded>> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| {
            (n >= ROWS_MIN && i < COLUMNS_MAX && !column::follows_time(c, times)).then(|| Coded::of(c))
        })
        .collect();
    let (groups, leaders) = groups(&coded, n);
    out.text.push(groups.len() as u8);
    for group in &groups {
        put_varint(&mut out.text, group.joint.distinct as u64);
        ints::encode(out, &group.joint.codes.iter().map(|&c| u64::from(c)).collect::<Vec<_>>(), None)?;
    }
    for (number, ((values, coded), leader)) in columns.iter().zip(&coded).zip(&leaders).enumerate() {
        let member = groups.iter().position(|g| g.members.contains(&number));
        if let Some((place, group)) = member.and_then(|i| Some((i, groups.get(i)?))) {
            out.text.push(MEMBER + 2 * place as u8);
            let table: Strings = group.joint.samples.iter().map(|&r| values.get(r as usize)).collect();
            column::encode(out, &table, &[])?;
            continue;
        }
        match leader {
            Some((place, usual)) => {
                out.text.push(FOLLOWER + 2 * *place as u8);
                if let (Some(group), Some(coded)) = (groups.get(*place), coded) {
                    encode_follower(out, group, coded, usual, values, times)?;
                }
            }
            None => {
                out.text.push(ALONE);
                column::encode(out, values, times)?;
            }
        }
    }
    Ok(())
}

/// A group, and the value that a column usually has with each of its combinations.
type Leader = (usize, Vec<u32>);

/// Groups of columns that go together, and for each other column the group from which it follows.
fn groups(coded: &[Option<Coded>], n: usize) -> (Vec<Group>, Vec<Option<Leader>>) {
    let repeats = |c: &Coded| c.distinct * 3 <= n;
    let mut order: Vec<(usize, &Coded)> = coded
        .iter()
        .enumerate()
        .filter_map(|(i, c)| Some((i, c.as_ref()?)))
        .filter(|(_, c)| repeats(c))
        .collect();
    order.sort_by_key(|(i, c)| (c.distinct, *i));
    let mut groups: Vec<Group> = Vec::new();
    for (number, column) in order {
        let joined = groups.iter().enumerate().find_map(|(i, g)| Some((i, g.with(number, column)?)));
        match joined {
            Some((i, joined)) => {
                if let Some(group) = groups.get_mut(i) {
                    *group = joined;
                }
            }
            None if groups.len() < GROUPS_MAX => groups.push(Group {
                members: vec![number],
                joint: Coded { codes: column.codes.clone(), samples: column.samples.clone(), ..*column },
                table_bits: column.entropy.max(1.0) + 1.0,
            }),
            None => {}
        }
    }
    let is_member =
        |i: usize, groups: &[Group]| groups.iter().any(|g| g.members.len() > 1 && g.members.contains(&i));
    let mut leaders: Vec<Option<Leader>> = coded
        .iter()
        .enumerate()
        .map(|(i, c)| c.as_ref().filter(|_| !is_member(i, &groups)).and_then(|c| leader(&groups, i, c)))
        .collect();
    // A column that leads others does not follow itself.
    let leads = |g: usize, leaders: &[Option<Leader>]| leaders.iter().flatten().any(|l| l.0 == g);
    for (number, group) in groups.iter().enumerate() {
        if let [only] = group.members.as_slice()
            && leads(number, &leaders)
            && let Some(own) = leaders.get_mut(*only)
        {
            *own = None;
        }
    }
    // A group of one is nothing but its column, unless others follow from it.
    let used: Vec<bool> =
        groups.iter().enumerate().map(|(i, g)| g.members.len() > 1 || leads(i, &leaders)).collect();
    let place = |old: usize| used.iter().take(old).filter(|u| **u).count();
    for leader in leaders.iter_mut().flatten() {
        leader.0 = place(leader.0);
    }
    let mut keep = used.iter();
    groups.retain(|_| keep.next().copied().unwrap_or(false));
    (groups, leaders)
}

/// The group from which a column follows best, with its usual values, when that costs less than the column by itself.
fn leader(groups: &[Group], number: usize, column: &Coded) -> Option<Leader> {
    let n = column.codes.len();
    let others = groups.iter().enumerate().filter(|(_, g)| !g.members.contains(&number));
    let promising = others.filter(|(_, g)| g.may_lead(column));
    let with_cost = promising.map(|(i, group)| {
        let (usual, exceptions) = group.usual(column);
        let rest = ratio(exceptions, 1) * column.value_bits.min(column.alone() / ratio(n, 1) + 1.0);
        let tables = ratio(usual.len(), 1) * column.value_bits;
        (flag_bits(n, exceptions) + rest + tables, i, usual)
    });
    let best = with_cost.min_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 < 0.9 * column.alone()).then_some((best.1, best.2))
}

fn encode_follower(
    out: &mut PackWriter,
    group: &Group,
    coded: &Coded,
    usual: &[u32],
    values: &Strings,
    times: &[i64],
) -> io::Result<()> {
    let sample = |code: &u32| coded.samples.get(*code as usize).map_or(&[][..], |&r| values.get(r as usize));
    column::encode(out, &usual.iter().map(sample).collect(), &[])?;
    let mut flags = Vec::with_capacity(times.len());
    let (mut exceptions, mut their_times) = (Strings::default(), Vec::new());
    for (row, (joint, code)) in group.joint.codes.iter().zip(&coded.codes).enumerate() {
        let is_usual = usual.get(*joint as usize) == Some(code);
        flags.push(u64::from(!is_usual));
        if !is_usual {
            exceptions.push(values.get(row));
            their_times.extend(times.get(row));
        }
    }
    ints::encode(out, &flags, None)?;
    column::encode(out, &exceptions, &their_times)
}

/// Reads all columns of a shape. `wanted`: whether each parameter is a column.
pub(crate) fn decode(
    r: &mut PackCursor<'_>,
    wanted: impl Iterator<Item = bool>,
    times: &[i64],
) -> Result<Vec<Option<Column>>, Corrupt> {
    let n = times.len();
    let mut groups: Vec<(usize, Arc<Vec<u32>>)> = Vec::new();
    for _ in 0..r.text.u8()? {
        let distinct = r.text.size()?;
        let codes = ints::decode(r, n, None)?;
        if distinct > n || codes.iter().any(|&c| c >= distinct as u64) {
            return Err(Corrupt("a line names no combination of its group"));
        }
        groups.push((distinct, Arc::new(codes.into_iter().map(|c| c as u32).collect())));
    }
    let mut decode = || {
        let tag = r.text.u8()?;
        if tag == ALONE {
            return Column::decode(r, n, times);
        }
        let place = usize::from(tag.checked_sub(MEMBER).ok_or(Corrupt("a column has an unknown place"))? / 2);
        let (distinct, codes) = groups.get(place).ok_or(Corrupt("a column names no group"))?;
        let usual = Box::new(Column::decode(r, *distinct, &vec![0; *distinct])?);
        let codes = Arc::clone(codes);
        if tag % 2 == MEMBER % 2 {
            return Ok(Column::Member { codes, usual });
        }
        let flags = ints::decode(r, n, None)?;
        let mut exception = Vec::with_capacity(n);
        let mut their_times = Vec::new();
        for (flag, at) in flags.iter().zip(times) {
            exception.push(if *flag == 0 { u32::MAX } else { their_times.len() as u32 });
            their_times.extend((*flag != 0).then_some(*at));
        }
        let others = Box::new(Column::decode(r, their_times.len(), &their_times)?);
        Ok(Column::Follower { codes, usual, exception, others })
    };
    wanted.map(|is_column| if is_column { decode().map(Some) } else { Ok(None) }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pack::{Pack, PackPlace};

    /// Round trip; gives the bytes that it took.
    fn check(columns: &[Vec<String>]) -> usize {
        let times: Vec<i64> = (0..columns[0].len() as i64).map(|i| i * 1_500_000_000).collect();
        let strings: Vec<Strings> =
            columns.iter().map(|c| c.iter().map(String::as_bytes).collect()).collect();
        let mut out = PackWriter::default();
        encode(&mut out, &strings, &times).unwrap();
        let bytes = out.finish().unwrap();
        let pack = Pack::read(&bytes).unwrap();
        let mut cursor = pack.cursor(PackPlace::default()).unwrap();
        let read = decode(&mut cursor, columns.iter().map(|_| true), &times).unwrap();
        for (column, values) in read.iter().zip(columns) {
            for (row, value) in values.iter().enumerate() {
                let mut back = Vec::new();
                column.as_ref().unwrap().write(row, &mut back);
                assert_eq!(String::from_utf8(back).unwrap(), *value, "row {row}");
            }
        }
        bytes.len()
    }

    /// The same numbers in every run.
    fn noise(i: usize) -> usize {
        (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) ^ i
    }

    #[test]
    fn columns_that_determine_each_other_cost_as_much_as_one() {
        let n = 3000;
        let user: Vec<String> = (0..n).map(|i| format!("user{}", noise(i) % 50)).collect();
        let id: Vec<String> = (0..n).map(|i| format!("{}", 1000 + noise(i) % 50 * 37)).collect();
        let host: Vec<String> = (0..n).map(|i| format!("10.0.0.{}", noise(i) % 50 / 2)).collect();
        let one = check(std::slice::from_ref(&user));
        let all = check(&[user, id, host]);
        assert!(all < one + 350, "{one} {all}");
    }

    #[test]
    fn a_column_that_mostly_follows_costs_its_exceptions() {
        let n = 3000;
        let user: Vec<String> = (0..n).map(|i| format!("{}", noise(i) % 50)).collect();
        let code: Vec<String> = (0..n)
            .map(|i| format!("{}", if i % 10 == 0 { noise(i + n) % 100_000 } else { noise(i) % 50 * 977 }))
            .collect();
        let one = check(std::slice::from_ref(&user));
        let both = check(&[user, code]);
        assert!(both < one + 1600, "{one} {both}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_columns_come_back(
            rows in prop::collection::vec(("[ab0-9]{0,3}", "[a-c]{1}", "[0-9]{1,2}"), 1..120),
        ) {
            let a = rows.iter().map(|r| r.0.clone()).collect();
            let b = rows.iter().map(|r| r.1.clone()).collect();
            let c = rows.iter().map(|r| r.2.clone()).collect();
            let d = rows.iter().map(|r| format!("{}{}", r.1, r.2)).collect();
            check(&[a, b, c, d]);
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
            let _ = decode(&mut cursor, [true, false, true].into_iter(), &vec![0; n]);
        }
    }
}

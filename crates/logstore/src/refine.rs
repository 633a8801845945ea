//! Finer shapes for a segment: the lines of one template apart by the form of their parameters.
//!
//! A miner's parameter is what people call one: an address, an id, a word. In a file it costs less as what it is made
//! of: the fixed text between its digits belongs to the shape, and each run of digits is a column that may go together
//! with any other one of the line. So does a word that is one of a few. Whoever asks for the template is given the
//! miner's own parameters again.

use hashbrown::HashMap;
use wellkept_model::Shape;

/// Longest parameter that is taken apart, bytes.
const VALUE_MAX: usize = 512;

/// Lines that a form must have on average, else its parameter stays whole.
const ROWS_PER_FORM: usize = 4;

/// Lines of one template whose parameters have the same forms.
pub(crate) struct Refined {
    pub(crate) shape: Shape,
    /// For each gap whether it belongs to the same parameter as the one before, with the text between them.
    pub(crate) joined: Vec<bool>,
    /// For each of the miner's parameters whether it was taken apart.
    pub(crate) apart: Vec<bool>,
    pub(crate) rows: Vec<u32>,
}

/// Takes the lines of a shape apart. `params`: of each of `rows`.
pub(crate) fn refine<'a, P>(shape: &Shape, rows: &[u32], params: impl Fn(u32) -> P) -> Vec<Refined>
where
    P: Iterator<Item = &'a [u8]>,
{
    let forms = Forms::of(shape.kinds.len(), rows, &params);
    let (apart, groups) = forms.join(rows);
    groups
        .into_iter()
        .map(|rows| {
            let first = rows.first().copied().unwrap_or(0);
            let (shape, joined) = finer(shape, &apart, params(first));
            Refined { shape, joined, apart: apart.clone(), rows }
        })
        .collect()
}

/// The gaps of a value: what stands before its digits, each run of digits, and what stands behind them.
///
/// What stands between two runs is fixed text.
pub(crate) fn gaps(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    pieces(value).filter(|p| p.is_gap).map(|p| p.text)
}

struct Piece<'a> {
    text: &'a [u8],
    is_gap: bool,
}

/// Digits and what is between them, in order; an empty value is one piece.
fn pieces(value: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    let mut done = false;
    std::iter::from_fn(move || {
        let rest = value.get(at..).filter(|r| !r.is_empty() || (at == 0 && !done))?;
        done = true;
        let is_digits = rest.first().is_some_and(u8::is_ascii_digit);
        let len = rest.iter().take_while(|b| b.is_ascii_digit() == is_digits).count();
        let text = rest.get(..len).unwrap_or_default();
        let is_gap = is_digits || at == 0 || at + len == value.len();
        at += len;
        Some(Piece { text, is_gap })
    })
}

/// A value with each run of digits as one `0`.
fn form_of(value: &[u8], form: &mut Vec<u8>) {
    form.clear();
    for piece in pieces(value) {
        match piece.text.first() {
            Some(b) if b.is_ascii_digit() => form.push(b'0'),
            _ => form.extend_from_slice(piece.text),
        }
    }
}

/// The form of each row's value of one parameter; none when there are too many to be of use.
struct Forms(Vec<Option<(usize, Vec<u32>)>>);

impl Forms {
    fn of<'a, P>(count: usize, rows: &[u32], params: &impl Fn(u32) -> P) -> Self
    where
        P: Iterator<Item = &'a [u8]>,
    {
        let most = (rows.len() / ROWS_PER_FORM).max(1);
        let mut known: Vec<HashMap<Vec<u8>, u32>> = vec![HashMap::new(); count];
        let mut found: Vec<Option<(usize, Vec<u32>)>> = vec![Some((0, Vec::new())); count];
        let mut form = Vec::new();
        for &row in rows {
            for ((value, known), slot) in params(row).zip(&mut known).zip(&mut found) {
                let Some((distinct, codes)) = slot else { continue };
                if value.len() > VALUE_MAX {
                    *slot = None;
                    continue;
                }
                form_of(value, &mut form);
                let code = match known.get(form.as_slice()) {
                    Some(&code) => code,
                    None => {
                        let next = known.len() as u32;
                        known.insert(form.clone(), next);
                        next
                    }
                };
                codes.push(code);
                *distinct = known.len();
                if *distinct > most {
                    *slot = None;
                }
            }
        }
        Self(found)
    }

    /// Which parameters are taken apart, and the rows that are alike then; those with few forms come first.
    fn join(&self, rows: &[u32]) -> (Vec<bool>, Vec<Vec<u32>>) {
        let most = (rows.len() / ROWS_PER_FORM).max(1);
        let mut candidates: Vec<(usize, usize, &[u32])> = self
            .0
            .iter()
            .enumerate()
            .filter_map(|(i, f)| f.as_ref().map(|(distinct, codes)| (*distinct, i, codes.as_slice())))
            .collect();
        candidates.sort_unstable_by_key(|c| (c.0, c.1));
        let mut apart = vec![false; self.0.len()];
        let (mut joint, mut groups) = (vec![0_u32; rows.len()], 1);
        for (distinct, number, codes) in candidates {
            let (next, count) = if distinct == 1 { (joint.clone(), groups) } else { pairs(&joint, codes) };
            if count > most {
                continue;
            }
            (joint, groups) = (next, count);
            if let Some(apart) = apart.get_mut(number) {
                *apart = true;
            }
        }
        let mut of_group = vec![Vec::new(); groups];
        for (&row, &group) in rows.iter().zip(&joint) {
            if let Some(rows) = of_group.get_mut(group as usize) {
                rows.push(row);
            }
        }
        (apart, of_group)
    }
}

/// A number for each pair that occurs, in the order of their coming.
fn pairs(a: &[u32], b: &[u32]) -> (Vec<u32>, usize) {
    let mut known: HashMap<(u32, u32), u32> = HashMap::new();
    let codes = a.iter().zip(b).map(|(&a, &b)| {
        let next = known.len() as u32;
        *known.entry((a, b)).or_insert(next)
    });
    let codes: Vec<u32> = codes.collect();
    (codes, known.len())
}

/// The shape with the fixed text of the parameters that are taken apart.
fn finer<'a>(shape: &Shape, apart: &[bool], values: impl Iterator<Item = &'a [u8]>) -> (Shape, Vec<bool>) {
    let mut literals = shape.literals.iter();
    let mut out = Shape { template: shape.template, literals: Vec::new(), kinds: Vec::new() };
    let mut joined = Vec::new();
    let mut text: Vec<u8> = literals.next().map(|l| l.to_vec()).unwrap_or_default();
    for (((value, kind), is_apart), after) in values.zip(&shape.kinds).zip(apart).zip(literals) {
        let mut is_first = true;
        let whole = Piece { text: value, is_gap: true };
        let (one, many) = if *is_apart { (None, Some(pieces(value))) } else { (Some(whole), None) };
        for piece in one.into_iter().chain(many.into_iter().flatten()) {
            if piece.is_gap {
                out.literals.push(std::mem::take(&mut text).into());
                out.kinds.push(*kind);
                joined.push(!is_first);
                is_first = false;
            } else {
                text.extend_from_slice(piece.text);
            }
        }
        text.extend_from_slice(after);
    }
    out.literals.push(text.into());
    (out, joined)
}

#[cfg(test)]
mod tests {
    use wellkept_model::{ParamKind, TemplateId};

    use super::*;

    fn shape(literals: &[&str]) -> Shape {
        Shape {
            template: TemplateId(7),
            literals: literals.iter().map(|l| l.as_bytes().into()).collect(),
            kinds: vec![ParamKind::Text; literals.len() - 1],
        }
    }

    fn refined(literals: &[&str], lines: &[&[&str]]) -> Vec<Refined> {
        let rows: Vec<u32> = (0..lines.len() as u32).collect();
        refine(&shape(literals), &rows, |row| lines[row as usize].iter().map(|v| v.as_bytes()))
    }

    fn texts(r: &Refined) -> Vec<String> {
        r.shape.literals.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }

    #[test]
    fn digits_become_columns_and_what_is_between_them_fixed_text() {
        let lines: Vec<[String; 1]> = (0..8).map(|i| [format!("blk_{i}-9.{}x", i * 7)]).collect();
        let lines: Vec<Vec<&str>> = lines.iter().map(|l| l.iter().map(String::as_str).collect()).collect();
        let found = refined(&["got ", "!"], &lines.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(found.len(), 1);
        assert_eq!(texts(&found[0]), ["got ", "", "-", ".", "", "!"]);
        assert_eq!(found[0].joined, [false, true, true, true, true]);
        let pieces: Vec<&[u8]> = gaps(b"blk_3-9.21x").collect();
        assert_eq!(pieces, [&b"blk_"[..], b"3", b"9", b"21", b"x"]);
        assert_eq!(gaps(b"").count(), 1);
        assert_eq!(gaps(b"word").collect::<Vec<_>>(), [b"word"]);
    }

    #[test]
    fn a_few_words_make_shapes_of_their_own_and_many_stay_a_column() {
        let names: Vec<String> = (b'a'..b'm').map(|c| char::from(c).to_string()).collect();
        let lines: Vec<[&str; 2]> =
            names.iter().enumerate().map(|(i, n)| [["ok", "bad"][i % 2], n.as_str()]).collect();
        let found = refined(&["", " of ", ""], &lines.iter().map(|l| &l[..]).collect::<Vec<_>>());
        assert_eq!(found.iter().map(|f| f.rows.len()).collect::<Vec<_>>(), [6, 6]);
        assert_eq!(found[0].apart, [true, false]);
        assert_eq!(found[1].rows, [1, 3, 5, 7, 9, 11]);
    }

    #[test]
    fn one_line_and_lines_without_parameters_stay_as_they_are() {
        assert_eq!(texts(&refined(&["alone"], &[&[]])[0]), ["alone"]);
        let found = refined(&["a ", ""], &[&["x"]]);
        assert_eq!((found.len(), texts(&found[0])), (1, vec!["a ".to_owned(), String::new()]));
        let long = "7".repeat(VALUE_MAX + 1);
        assert_eq!(refined(&["", ""], &[&[&long]])[0].apart, [false]);
    }
}

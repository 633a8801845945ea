//! Whole files: every line with its template and parameters, in order.
//!
//! A template is known well only when all lines were seen: a later line may generalise it. So lines are taken one by
//! one, only their ids are kept (eight bytes a line), and the texts are given at the end; a line whose template was
//! generalised after it is told the later text, by its id.

use std::borrow::Cow;

use serde::Serialize;
use wellkept_model::{TemplateId, TemplateMiner};

use crate::miner::Miner;
use crate::normal::VARIABLE;

/// Mining of one file under way.
#[derive(Debug, Default)]
pub struct Mining {
    miner: Miner,
    ids: Vec<TemplateId>,
    params: Vec<std::ops::Range<u32>>,
}

/// One line, as the command line tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MinedLine<'a> {
    /// Number of the line, from 1.
    pub line: u64,
    /// Its template.
    pub template_id: u64,
    /// Text of the template in normal form.
    pub template: Cow<'a, str>,
    /// What stands in the place of each variable of the text, in order. Bytes that are no UTF-8 are replaced.
    pub params: Vec<Cow<'a, str>>,
}

impl Mining {
    /// Goes on with a miner that has seen other lines.
    #[must_use]
    pub fn with(miner: Miner) -> Self {
        Self { miner, ..Self::default() }
    }

    /// Takes the next line, without its line end.
    pub fn line(&mut self, text: &[u8]) {
        let shape = self.miner.split(text, &mut self.params);
        self.ids.push(shape.template);
    }

    /// All lines were taken: settles what the templates are.
    #[must_use]
    pub fn finish(mut self) -> Mined {
        self.miner.settle();
        Mined { miner: self.miner, ids: self.ids }
    }
}

/// A mined file.
#[derive(Debug)]
pub struct Mined {
    miner: Miner,
    ids: Vec<TemplateId>,
}

impl Mined {
    /// Line `nth` (from 0), given its text once more. `None` when there was no such line.
    #[must_use]
    pub fn line<'a>(&'a self, nth: usize, text: &'a [u8]) -> Option<MinedLine<'a>> {
        let id = self.miner.resolve(*self.ids.get(nth)?);
        // A template that was thrown out to keep the bounds is known by its line only.
        let template = self.miner.text(id).map_or(Cow::Borrowed(VARIABLE), Cow::Borrowed);
        let params = params(&template, text);
        Some(MinedLine { line: nth as u64 + 1, template_id: id.0, template, params })
    }

    /// The miner, with everything it knows now.
    #[must_use]
    pub fn into_miner(self) -> Miner {
        self.miner
    }

    /// The miner.
    #[must_use]
    pub fn miner(&self) -> &Miner {
        &self.miner
    }
}

/// What stands in `text` where `template` has variables. Blanks count as one, as they do in the template.
///
/// The whole line when the template does not fit it, which happens when templates became one by their values.
#[must_use]
pub fn params<'a>(template: &str, text: &'a [u8]) -> Vec<Cow<'a, str>> {
    let line = String::from_utf8_lossy(text);
    let spaced = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = fit(template, &spaced)
        .map(|ranges| ranges.into_iter().map(|r| spaced[r].to_owned().into()).collect());
    found.unwrap_or_else(|| vec![line])
}

/// Places of the variables of `template` in `text`, each as short as the next literal allows.
fn fit(template: &str, text: &str) -> Option<Vec<std::ops::Range<usize>>> {
    let mut literals = template.split(VARIABLE);
    let first = literals.next()?;
    let mut at = text.starts_with(first).then_some(first.len())?;
    let mut ranges = Vec::new();
    let mut literals = literals.peekable();
    while let Some(literal) = literals.next() {
        let end = if literals.peek().is_none() {
            // The last literal stands at the end.
            let end = text
                .len()
                .checked_sub(literal.len())
                .filter(|&end| end >= at && text.is_char_boundary(end))?;
            (&text[end..] == literal).then_some(end)?
        } else {
            at + text[at..].find(literal)?
        };
        ranges.push(at..end);
        at = end + literal.len();
    }
    (at == text.len()).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_told_in_order_with_the_template_as_it_became() {
        let lines: Vec<String> = ["alice", "bob", "carol"]
            .iter()
            .map(|u| format!("session  opened for user {u} by (uid=0)"))
            .collect();
        let mut mining = Mining::default();
        lines.iter().for_each(|l| mining.line(l.as_bytes()));
        let mined = mining.finish();
        let told: Vec<MinedLine<'_>> =
            lines.iter().enumerate().map(|(n, l)| mined.line(n, l.as_bytes()).unwrap()).collect();
        assert_eq!(
            serde_json::to_string(&told[1]).unwrap(),
            r#"{"line":2,"template_id":1,"template":"session opened for user <*> by (uid=<*>)","params":["bob","0"]}"#
        );
        assert_eq!(told.iter().map(|l| l.template_id).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(mined.line(3, b""), None);
    }

    #[test]
    fn parameters_are_what_the_variables_stand_for() {
        assert_eq!(params("a <*> b <*>", b"a  1 2 b x"), ["1 2", "x"]);
        assert_eq!(params("<*>", b"all of it"), ["all of it"]);
        assert_eq!(params("no variables", b"no variables"), Vec::<String>::new());
        assert_eq!(params("a <*> c", b"quite another"), ["quite another"]);
        assert_eq!(params("x=<*>", b"x=\xff"), ["\u{fffd}"]);
    }
}

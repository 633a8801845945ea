//! Cuts a template into text, tags and the tokens inside tags, with Jinja's rules for white space.

use std::rc::Rc;

use super::error::{Result, TemplateError};

/// The marks of a template and what happens to white space around them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Syntax {
    /// `{{`.
    pub variable_start: String,
    /// `}}`.
    pub variable_end: String,
    /// `{%`.
    pub block_start: String,
    /// `%}`.
    pub block_end: String,
    /// `{#`.
    pub comment_start: String,
    /// `#}`.
    pub comment_end: String,
    /// The first line break after a block is dropped.
    pub trim_blocks: bool,
    /// White space between the start of a line and a block is dropped.
    pub lstrip_blocks: bool,
    /// The last line break of the template stays.
    pub keep_trailing_newline: bool,
    /// Backslashes in quotes inside `{{ }}` stand for themselves, as everywhere but in template files.
    pub literal_backslashes: bool,
}

impl Syntax {
    /// What the template module starts from.
    pub fn of_files() -> Self {
        Self { literal_backslashes: false, ..Self::default() }
    }
}

impl Default for Syntax {
    fn default() -> Self {
        Self {
            variable_start: "{{".to_owned(),
            variable_end: "}}".to_owned(),
            block_start: "{%".to_owned(),
            block_end: "%}".to_owned(),
            comment_start: "{#".to_owned(),
            comment_end: "#}".to_owned(),
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: false,
            literal_backslashes: true,
        }
    }
}

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tok {
    Data(Rc<str>),
    VarBegin,
    VarEnd,
    BlockBegin,
    BlockEnd,
    Name(Rc<str>),
    Text(Rc<str>),
    Int(i128),
    Float(f64),
    Op(&'static str),
    End,
}

pub(crate) type Tokens = Vec<(Tok, u32)>;

/// Longer ones first.
const OPERATORS: [&str; 27] = [
    "//", "**", "==", "!=", "<=", ">=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", "<", ">",
    "=", ".", ":", "|", ",", ";", "!",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Variable,
    Block,
    Comment,
}

struct Lexer<'s> {
    source: &'s str,
    syntax: &'s Syntax,
    at: usize,
    line: u32,
    tokens: Tokens,
    /// The tag before ended with `-`: the white space that follows is dropped.
    strip_next: bool,
}

/// The tokens of a template.
pub(crate) fn lex(source: &str, syntax: &Syntax) -> Result<Tokens> {
    let normal;
    let mut source = if source.contains('\r') {
        normal = source.replace("\r\n", "\n").replace('\r', "\n");
        normal.as_str()
    } else {
        source
    };
    if !syntax.keep_trailing_newline {
        source = source.strip_suffix('\n').unwrap_or(source);
    }
    let mut lexer = Lexer { source, syntax, at: 0, line: 1, tokens: Vec::new(), strip_next: false };
    lexer.run()?;
    let line = lexer.line;
    lexer.tokens.push((Tok::End, line));
    Ok(lexer.tokens)
}

/// The tokens of an expression alone, as it stands after `when:`.
pub(crate) fn lex_expression(source: &str) -> Result<Tokens> {
    let syntax = Syntax::default();
    let mut lexer = Lexer { source, syntax: &syntax, at: 0, line: 1, tokens: Vec::new(), strip_next: false };
    lexer.inside(None)?;
    let line = lexer.line;
    lexer.tokens.push((Tok::End, line));
    Ok(lexer.tokens)
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn syntax_error<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(TemplateError::Syntax { message: message.into(), line: self.line })
    }

    fn skip(&mut self, bytes: usize) {
        let passed = self.rest().get(..bytes).unwrap_or_default();
        self.line += passed.matches('\n').count() as u32;
        self.at += bytes;
    }

    fn next_tag(&self) -> Option<(usize, Tag)> {
        let rest = self.rest();
        let starts = [
            (&self.syntax.variable_start, Tag::Variable),
            (&self.syntax.block_start, Tag::Block),
            (&self.syntax.comment_start, Tag::Comment),
        ];
        let found =
            starts.iter().filter_map(|(mark, tag)| Some((rest.find(mark.as_str())?, mark.len(), *tag)));
        found.min_by_key(|(at, len, _)| (*at, usize::MAX - len)).map(|(at, _, tag)| (at, tag))
    }

    fn run(&mut self) -> Result<()> {
        while !self.rest().is_empty() {
            let Some((before, tag)) = self.next_tag() else {
                let text = self.rest();
                self.data(text, false, None);
                return Ok(());
            };
            let text = self.rest().get(..before).unwrap_or_default();
            let mark = match tag {
                Tag::Variable => self.syntax.variable_start.len(),
                Tag::Block => self.syntax.block_start.len(),
                Tag::Comment => self.syntax.comment_start.len(),
            };
            let sign = self.rest().get(before + mark..).and_then(|r| r.chars().next());
            self.data(text, sign == Some('-'), (sign != Some('+')).then_some(tag));
            self.skip(
                mark + usize::from(matches!(sign, Some('-' | '+')) && self.sign_counts(tag, mark, sign)),
            );
            match tag {
                Tag::Comment => self.comment()?,
                Tag::Variable => {
                    self.tokens.push((Tok::VarBegin, self.line));
                    self.inside(Some(Tag::Variable))?;
                }
                Tag::Block => self.block()?,
            }
        }
        Ok(())
    }

    /// `{{+1}}` and `{{-1}}`: a minus strips, a plus before a value is a sign.
    fn sign_counts(&self, tag: Tag, _mark: usize, sign: Option<char>) -> bool {
        tag != Tag::Variable || sign == Some('-')
    }

    /// Text before a tag (or the end), with the white space that the tags around it drop.
    fn data(&mut self, text: &'s str, strip: bool, tag: Option<Tag>) {
        let line = self.line;
        let length = text.len();
        let mut kept = text;
        if self.strip_next {
            kept = kept.trim_start();
            self.strip_next = false;
        }
        if strip {
            kept = kept.trim_end();
        } else if self.syntax.lstrip_blocks && matches!(tag, Some(Tag::Block | Tag::Comment)) {
            let start = kept.rfind('\n').map_or(0, |at| at + 1);
            let at_line_start = start > 0 || self.at_line_start(text.len() - kept.len());
            let tail = kept.get(start..).unwrap_or_default();
            if at_line_start && tail.chars().all(|c| c == ' ' || c == '\t' || c == '\u{b}' || c == '\u{c}') {
                kept = kept.get(..start).unwrap_or_default();
            }
        }
        if !kept.is_empty() {
            self.tokens.push((Tok::Data(kept.into()), line));
        }
        self.skip(length);
    }

    fn at_line_start(&self, dropped: usize) -> bool {
        let before = self.source.get(..self.at + dropped).unwrap_or_default();
        before.is_empty() || before.ends_with('\n')
    }

    fn after_block(&mut self, minus: bool, plus: bool) {
        if minus {
            self.strip_next = true;
        } else if self.syntax.trim_blocks && !plus && self.rest().starts_with('\n') {
            self.skip(1);
        }
    }

    fn comment(&mut self) -> Result<()> {
        let Some(end) = self.rest().find(self.syntax.comment_end.as_str()) else {
            return self.syntax_error("Missing end of comment tag");
        };
        let body = self.rest().get(..end).unwrap_or_default();
        let (minus, plus) = (body.ends_with('-'), body.ends_with('+'));
        self.skip(end + self.syntax.comment_end.len());
        self.after_block(minus, plus);
        Ok(())
    }

    fn block(&mut self) -> Result<()> {
        if let Some(after) = self.raw_tag(self.rest(), "raw") {
            return self.raw(after);
        }
        self.tokens.push((Tok::BlockBegin, self.line));
        self.inside(Some(Tag::Block))
    }

    /// Bytes up to the end of a `raw` or `endraw` tag whose body begins here, and whether it ends with a minus.
    fn raw_tag(&self, rest: &str, word: &str) -> Option<(usize, bool)> {
        let body = rest.trim_start();
        let after = body.strip_prefix(word)?.trim_start();
        let minus = after.starts_with('-');
        let after = after.strip_prefix(['-', '+']).unwrap_or(after);
        let after = after.strip_prefix(self.syntax.block_end.as_str())?;
        Some((rest.len() - after.len(), minus))
    }

    fn raw(&mut self, (after, minus): (usize, bool)) -> Result<()> {
        self.skip(after);
        self.after_block(minus, false);
        let mut from = 0;
        loop {
            let rest = self.rest().get(from..).unwrap_or_default();
            let Some(at) = rest.find(self.syntax.block_start.as_str()) else {
                return self.syntax_error("Missing end of raw directive");
            };
            let start = from + at + self.syntax.block_start.len();
            let tag = self.rest().get(start..).unwrap_or_default();
            let strip = tag.starts_with('-');
            let tag = tag.strip_prefix(['-', '+']).unwrap_or(tag);
            let Some((length, minus)) = self.raw_tag(tag, "endraw") else {
                from = start;
                continue;
            };
            let sign = self.rest().len() - start - tag.len();
            let text = self.rest().get(..from + at).unwrap_or_default();
            self.data(text, strip, Some(Tag::Block));
            self.skip(self.syntax.block_start.len() + sign + length);
            self.after_block(minus, false);
            return Ok(());
        }
    }

    /// Tokens up to the end of a tag, or of the text when there is none.
    fn inside(&mut self, tag: Option<Tag>) -> Result<()> {
        let (end, done) = match tag {
            Some(Tag::Variable) => (Some(self.syntax.variable_end.as_str()), Tok::VarEnd),
            _ => (tag.map(|_| self.syntax.block_end.as_str()), Tok::BlockEnd),
        };
        let mut open: Vec<&'static str> = Vec::new();
        let literal = tag == Some(Tag::Variable) && self.syntax.literal_backslashes;
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            self.skip(blank);
            let rest = self.rest();
            if rest.is_empty() {
                return match tag {
                    None => Ok(()),
                    Some(_) => self.syntax_error("unexpected end of template"),
                };
            }
            if let Some(end) = end.filter(|_| open.is_empty()) {
                let signed = rest
                    .strip_prefix('-')
                    .or_else(|| rest.strip_prefix('+').filter(|_| tag == Some(Tag::Block)));
                if let Some(after) = signed.filter(|r| r.starts_with(end)) {
                    let minus = rest.starts_with('-');
                    self.skip(rest.len() - after.len() + end.len());
                    self.tokens.push((done, self.line));
                    if tag == Some(Tag::Block) {
                        self.after_block(minus, !minus);
                    } else {
                        self.strip_next = minus;
                    }
                    return Ok(());
                }
                if rest.starts_with(end) {
                    self.skip(end.len());
                    self.tokens.push((done, self.line));
                    if tag == Some(Tag::Block) {
                        self.after_block(false, false);
                    }
                    return Ok(());
                }
            }
            self.token(&mut open, literal)?;
        }
    }

    fn token(&mut self, open: &mut Vec<&'static str>, literal: bool) -> Result<()> {
        let rest = self.rest();
        let line = self.line;
        let Some(first) = rest.chars().next() else { return Ok(()) };
        if first.is_ascii_digit() {
            return self.number();
        }
        if first.is_alphabetic() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.tokens.push((Tok::Name(rest.get(..length).unwrap_or_default().into()), line));
            self.skip(length);
            return Ok(());
        }
        if first == '"' || first == '\'' {
            return self.text(first, literal);
        }
        let Some(op) = OPERATORS.iter().find(|op| rest.starts_with(**op)) else {
            return self.syntax_error(format!("unexpected char {first:?} at {}", self.at));
        };
        match *op {
            "(" => open.push(")"),
            "[" => open.push("]"),
            "{" => open.push("}"),
            ")" | "]" | "}" => match open.pop() {
                Some(wanted) if wanted == *op => {}
                Some(wanted) => return self.syntax_error(format!("unexpected '{op}', expected '{wanted}'")),
                None => return self.syntax_error(format!("unexpected '{op}'")),
            },
            _ => {}
        }
        self.tokens.push((Tok::Op(op), line));
        self.skip(op.len());
        Ok(())
    }

    fn number(&mut self) -> Result<()> {
        let rest = self.rest();
        let lower = rest.get(..2).unwrap_or_default().to_ascii_lowercase();
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if lower == prefix {
                let digits = rest.get(2..).unwrap_or_default();
                let length = digits.find(|c: char| !c.is_digit(radix) && c != '_').unwrap_or(digits.len());
                let text = digits.get(..length).unwrap_or_default().replace('_', "");
                let Ok(number) = i128::from_str_radix(&text, radix) else {
                    return self.syntax_error("not a number");
                };
                self.tokens.push((Tok::Int(number), self.line));
                self.skip(2 + length);
                return Ok(());
            }
        }
        let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(s.len());
        let mut length = digits(rest);
        let mut float = false;
        let after = rest.get(length..).unwrap_or_default();
        let attribute = matches!(self.tokens.last(), Some((Tok::Op("."), _)));
        if !attribute
            && let Some(fraction) =
                after.strip_prefix('.').filter(|f| f.starts_with(|c: char| c.is_ascii_digit()))
        {
            length += 1 + digits(fraction);
            float = true;
        }
        let after = rest.get(length..).unwrap_or_default();
        if !attribute && let Some(exponent) = after.strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                length += 1 + (exponent.len() - unsigned.len()) + digits(unsigned);
                float = true;
            }
        }
        let text = rest.get(..length).unwrap_or_default().replace('_', "");
        let token = if float { text.parse().ok().map(Tok::Float) } else { text.parse().ok().map(Tok::Int) };
        let Some(token) = token else { return self.syntax_error(format!("{text} is too large a number")) };
        self.tokens.push((token, self.line));
        self.skip(length);
        Ok(())
    }

    fn text(&mut self, quote: char, literal: bool) -> Result<()> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == quote && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end else {
            return self.syntax_error("a quoted text has no end");
        };
        let body = rest.get(1..end).unwrap_or_default();
        self.tokens.push((
            Tok::Text(if literal { body.into() } else { super::escape::unescape(body).into() }),
            self.line,
        ));
        self.skip(end + 1);
        Ok(())
    }
}

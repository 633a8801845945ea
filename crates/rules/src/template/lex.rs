//! A template's text as tokens: what stands outside `{{ }}`, and the words inside.

use std::iter::Peekable;
use std::str::CharIndices;

use super::error::Fault;

/// One token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Byte of the template.
    pub(crate) pos: usize,
    /// Byte after it.
    pub(crate) end: usize,
    /// White space stands before it: `$a .b` are two operands, `$a.b` is one.
    pub(crate) spaced: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    Word(String),
    /// `.name`
    Field(String),
    /// `.` alone
    Dot,
    /// `$name`, or `$`
    Variable(String),
    Quoted(String),
    Number(String),
    Char(char),
    Pipe,
    Left,
    Right,
    Declare,
    Assign,
    Comma,
}

/// All tokens of a template.
pub(crate) fn lex(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut trim = false;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let open = rest.find("{{");
        let mut literal = &rest[..open.unwrap_or(rest.len())];
        if trim {
            literal = literal.trim_start_matches(is_space);
        }
        let Some(open) = open else {
            push_text(&mut tokens, literal, at);
            return Ok(tokens);
        };
        let mut inside = at + open + 2;
        if is_left_trim(text, inside) {
            literal = literal.trim_end_matches(is_space);
            inside += 1;
        }
        push_text(&mut tokens, literal, at);
        let after_space = inside + leading_space(text.get(inside..).unwrap_or_default(), trims(text, inside));
        (at, trim) = if text.get(after_space..).is_some_and(|t| t.starts_with("/*")) {
            comment(text, after_space)?
        } else {
            let mut action = Action::new(text, at + open, inside);
            let end = action.run()?;
            tokens.append(&mut action.tokens);
            end
        };
    }
}

/// A comment may only be preceded by blanks when the left brace trims.
fn leading_space(rest: &str, allowed: bool) -> usize {
    if allowed { rest.len() - rest.trim_start_matches(is_space).len() } else { 0 }
}

fn trims(text: &str, inside: usize) -> bool {
    inside > 0 && text.as_bytes().get(inside - 1) == Some(&b'-')
}

fn push_text(tokens: &mut Vec<Token>, literal: &str, pos: usize) {
    if !literal.is_empty() {
        let kind = Kind::Text(literal.to_owned());
        tokens.push(Token { kind, pos, end: pos + literal.len(), spaced: false });
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// `-` with white space behind it, directly after `{{`.
fn is_left_trim(text: &str, at: usize) -> bool {
    let mut chars = text.get(at..).unwrap_or_default().chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

/// The byte after a comment's `}}`, and whether white space is trimmed there.
fn comment(text: &str, start: usize) -> Result<(usize, bool), Fault> {
    let rest = text.get(start..).unwrap_or_default();
    let close = rest.find("*/").ok_or_else(|| Fault::new(start, "unclosed comment"))?;
    let after = &rest[close + 2..];
    if after.starts_with("}}") {
        return Ok((start + close + 4, false));
    }
    let blank = after.trim_start_matches(is_space);
    if blank.len() < after.len() && blank.starts_with("-}}") {
        return Ok((start + close + 2 + (after.len() - blank.len()) + 3, true));
    }
    Err(Fault::new(start, "comment ends before closing delimiter"))
}

struct Action<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
    /// Byte that `chars` counts from.
    base: usize,
    tokens: Vec<Token>,
    spaced: bool,
    parens: usize,
}

impl<'a> Action<'a> {
    fn new(text: &'a str, open: usize, inside: usize) -> Self {
        let tokens = vec![Token { kind: Kind::Open, pos: open, end: inside, spaced: false }];
        let chars = text.get(inside..).unwrap_or_default().char_indices().peekable();
        Self { text, chars, base: inside, tokens, spaced: false, parens: 0 }
    }

    fn pos(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(i, _)| self.base + i)
    }

    fn rest(&mut self) -> &'a str {
        let pos = self.pos();
        self.text.get(pos..).unwrap_or_default()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> String {
        let mut out = String::new();
        while let Some((_, c)) = self.chars.next_if(|(_, c)| accept(*c)) {
            out.push(c);
        }
        out
    }

    fn push(&mut self, kind: Kind, pos: usize) {
        let end = self.pos();
        let spaced = std::mem::take(&mut self.spaced);
        self.tokens.push(Token { kind, pos, end, spaced });
    }

    /// Up to and with `}}`: the byte after it, and whether white space is trimmed there.
    fn run(&mut self) -> Result<(usize, bool), Fault> {
        loop {
            let pos = self.pos();
            let rest = self.rest();
            if rest.starts_with("}}") || (self.spaced && rest.starts_with("-}}")) {
                if self.parens > 0 {
                    return Err(Fault::new(pos, "unclosed left paren"));
                }
                let trim = rest.starts_with('-');
                let end = pos + if trim { 3 } else { 2 };
                self.tokens.push(Token { kind: Kind::Close, pos, end, spaced: false });
                return Ok((end, trim));
            }
            let Some((_, c)) = self.chars.next() else {
                return Err(Fault::new(pos, "unclosed action"));
            };
            if is_space(c) {
                self.spaced = true;
                continue;
            }
            let kind = self.token(pos, c)?;
            self.push(kind, pos);
        }
    }

    fn token(&mut self, pos: usize, c: char) -> Result<Kind, Fault> {
        let digit_next = self.rest().starts_with(|c: char| c.is_ascii_digit());
        Ok(match c {
            '|' => Kind::Pipe,
            ',' => Kind::Comma,
            '=' => Kind::Assign,
            ':' if self.chars.next_if(|(_, c)| *c == '=').is_some() => Kind::Declare,
            ':' => return Err(Fault::new(pos, "expected :=")),
            '(' => {
                self.parens += 1;
                Kind::Left
            }
            ')' => {
                self.parens =
                    self.parens.checked_sub(1).ok_or_else(|| Fault::new(pos, "unexpected right paren"))?;
                Kind::Right
            }
            '"' => self.quoted(pos)?,
            '`' => {
                let text = self.take_while(|c| c != '`');
                self.chars.next().ok_or_else(|| Fault::new(pos, "unterminated raw quoted string"))?;
                Kind::Quoted(text)
            }
            '\'' => self.character(pos)?,
            '$' => Kind::Variable(format!("${}", self.take_while(is_name))),
            '.' if digit_next => self.number(c),
            '.' => match self.take_while(is_name) {
                name if name.is_empty() => Kind::Dot,
                name => Kind::Field(name),
            },
            '0'..='9' => self.number(c),
            '+' | '-' if digit_next || self.rest().starts_with('.') => self.number(c),
            c if is_name(c) => Kind::Word(format!("{c}{}", self.take_while(is_name))),
            c => return Err(Fault::new(pos, format!("unrecognized character in action: {c:?}"))),
        })
    }

    fn number(&mut self, first: char) -> Kind {
        let mut out = String::from(first);
        loop {
            let signed = !out.starts_with("0x") && out.ends_with(['e', 'E']) || out.ends_with(['p', 'P']);
            match self.chars.next_if(|(_, c)| is_name(*c) || *c == '.' || signed && matches!(c, '+' | '-')) {
                Some((_, c)) => out.push(c),
                None => return Kind::Number(out),
            }
        }
    }

    fn quoted(&mut self, pos: usize) -> Result<Kind, Fault> {
        let unclosed = || Fault::new(pos, "unterminated quoted string");
        let mut out = String::new();
        loop {
            match self.chars.next().ok_or_else(unclosed)?.1 {
                '"' => return Ok(Kind::Quoted(out)),
                '\n' => return Err(unclosed()),
                '\\' => out.push(self.escape(pos)?),
                c => out.push(c),
            }
        }
    }

    fn character(&mut self, pos: usize) -> Result<Kind, Fault> {
        let bad = || Fault::new(pos, "malformed character constant");
        let c = match self.chars.next().ok_or_else(bad)?.1 {
            '\\' => self.escape(pos)?,
            c => c,
        };
        match self.chars.next() {
            Some((_, '\'')) => Ok(Kind::Char(c)),
            _ => Err(bad()),
        }
    }

    fn escape(&mut self, pos: usize) -> Result<char, Fault> {
        let bad = || Fault::new(pos, "invalid escape in a quoted string");
        let c = self.chars.next().ok_or_else(bad)?.1;
        let digits = match c {
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            '\\' | '\'' | '"' => return Ok(c),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(bad()),
        };
        let hex: String = (0..digits).filter_map(|_| self.chars.next().map(|(_, c)| c)).collect();
        u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32).ok_or_else(bad)
    }
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

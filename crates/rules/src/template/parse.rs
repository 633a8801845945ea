//! From tokens to a tree; every name is resolved here, so that a misspelt variable or function is an error at load.

use std::collections::BTreeMap;

use super::error::Fault;
use super::functions;
use super::lex::{Kind, Token, lex};
use super::tree::{Block, Command, Node, Operand, OperandKind, Pipe, Tree, number};

/// Deepest nesting of blocks and parentheses.
const DEPTH_MAX: usize = 32;

/// Reads a template; `variables` are there from the start.
pub(crate) fn parse(text: &str, variables: &[&str]) -> Result<Tree, Fault> {
    let mut parser = Parser {
        tokens: lex(text)?,
        at: 0,
        end: text.len(),
        depth: 0,
        loops: 0,
        variables: variables.iter().map(|v| (*v).to_owned()).collect(),
        defined: BTreeMap::new(),
    };
    let (main, stop) = parser.block()?;
    match stop {
        Stop::TextEnd => Ok(Tree { main, defined: parser.defined }),
        Stop::End(pos) => Err(Fault::new(pos, "unexpected {{end}}")),
        Stop::Else(pos) => Err(Fault::new(pos, "unexpected {{else}}")),
    }
}

/// What ended a block.
enum Stop {
    TextEnd,
    End(usize),
    Else(usize),
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    end: usize,
    depth: usize,
    loops: usize,
    variables: Vec<String>,
    defined: BTreeMap<String, Block>,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn pos(&self) -> usize {
        self.peek().map_or(self.end, |t| t.pos)
    }

    fn last_end(&self) -> usize {
        self.tokens.get(self.at.saturating_sub(1)).map_or(self.end, |t| t.end)
    }

    fn eat(&mut self, kind: &Kind) -> bool {
        let is = self.peek().is_some_and(|t| t.kind == *kind);
        self.at += usize::from(is);
        is
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is = self.peek().is_some_and(|t| matches!(&t.kind, Kind::Word(w) if w == word));
        self.at += usize::from(is);
        is
    }

    fn close(&mut self, what: &str) -> Result<(), Fault> {
        if self.eat(&Kind::Close) {
            return Ok(());
        }
        Err(Fault::new(self.pos(), format!("unexpected words in {what}; `}}}}` is expected here")))
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(self.pos(), format!("nested more than {DEPTH_MAX} deep")));
        }
        Ok(())
    }

    fn block(&mut self) -> Result<(Block, Stop), Fault> {
        self.deeper()?;
        let known = self.variables.len();
        let mut nodes = Vec::new();
        let stop = loop {
            let Some(token) = self.next() else { break Stop::TextEnd };
            match token.kind {
                Kind::Text(text) => nodes.push(Node::Text(text)),
                _ if self.eat_word("end") => {
                    self.close("end")?;
                    break Stop::End(token.pos);
                }
                _ if self.eat_word("else") => break Stop::Else(token.pos),
                _ => nodes.extend(self.action(token.pos)?),
            }
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok((nodes, stop))
    }

    /// What stands behind `{{`.
    fn action(&mut self, pos: usize) -> Result<Option<Node>, Fault> {
        if self.eat_word("if") {
            return self
                .branch("if", pos, |pipe, then, otherwise| Node::If { pipe, then, otherwise })
                .map(Some);
        }
        if self.eat_word("with") {
            let make = |pipe, then, otherwise| Node::With { pipe, then, otherwise };
            return self.branch("with", pos, make).map(Some);
        }
        if self.eat_word("range") {
            let make = |pipe, each, otherwise| Node::Range { pipe, each, otherwise };
            return self.branch("range", pos, make).map(Some);
        }
        if self.eat_word("define") {
            let name = self.name("define")?;
            self.close("define")?;
            self.define(name, pos)?;
            return Ok(None);
        }
        if self.eat_word("block") {
            let name = self.name("block")?;
            let pipe = self.pipe("block")?;
            self.close("block")?;
            self.define(name.clone(), pos)?;
            return Ok(Some(Node::Template { name, pipe: Some(pipe), pos }));
        }
        if self.eat_word("template") {
            let name = self.name("template")?;
            let empty = self.peek().is_some_and(|t| t.kind == Kind::Close);
            let pipe = if empty { None } else { Some(self.pipe("template")?) };
            self.close("template")?;
            return Ok(Some(Node::Template { name, pipe, pos }));
        }
        for (word, node) in [("break", Node::Break), ("continue", Node::Continue)] {
            if self.eat_word(word) {
                if self.loops == 0 {
                    return Err(Fault::new(pos, format!("{{{{{word}}}}} outside {{{{range}}}}")));
                }
                self.close(word)?;
                return Ok(Some(node));
            }
        }
        let pipe = self.pipe("command")?;
        self.close("command")?;
        Ok(Some(Node::Action(pipe)))
    }

    fn name(&mut self, what: &str) -> Result<String, Fault> {
        let pos = self.pos();
        match self.next().map(|t| t.kind) {
            Some(Kind::Quoted(name)) => Ok(name),
            _ => Err(Fault::new(
                pos,
                format!("unexpected word in {what} clause; a name in quotes is expected"),
            )),
        }
    }

    /// The body of a named template knows no variable from outside but `$`.
    fn define(&mut self, name: String, pos: usize) -> Result<(), Fault> {
        let outside = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, stop) = self.block()?;
        self.variables = outside;
        self.loops = loops;
        match stop {
            Stop::End(_) => {
                self.defined.insert(name, body);
                Ok(())
            }
            Stop::TextEnd => Err(Fault::new(pos, "define without {{end}}")),
            Stop::Else(pos) => Err(Fault::new(pos, "unexpected {{else}} in define clause")),
        }
    }

    fn branch(
        &mut self,
        what: &str,
        pos: usize,
        make: impl Fn(Pipe, Block, Block) -> Node + Copy,
    ) -> Result<Node, Fault> {
        let known = self.variables.len();
        let pipe = self.pipe(what)?;
        self.close(what)?;
        let in_loop = usize::from(what == "range");
        self.loops += in_loop;
        let (then, stop) = self.block()?;
        self.loops -= in_loop;
        let otherwise = match stop {
            Stop::TextEnd => return Err(Fault::new(pos, format!("{what} without {{{{end}}}}"))),
            Stop::End(_) => Vec::new(),
            // `{{else if …}}` and `{{else with …}}` nest without an `{{end}}` of their own.
            Stop::Else(at) if what != "range" && self.eat_word(what) => {
                self.deeper()?;
                let inner = self.branch(what, at, make)?;
                self.depth -= 1;
                vec![inner]
            }
            Stop::Else(at) => {
                self.close("else")?;
                match self.block()? {
                    (otherwise, Stop::End(_)) => otherwise,
                    (_, Stop::TextEnd) => return Err(Fault::new(at, "else without {{end}}")),
                    (_, Stop::Else(at)) => return Err(Fault::new(at, "expected end; found {{else}}")),
                }
            }
        };
        self.variables.truncate(known);
        Ok(make(pipe, then, otherwise))
    }

    fn pipe(&mut self, what: &str) -> Result<Pipe, Fault> {
        self.deeper()?;
        let pos = self.pos();
        let (variables, assigns) = self.declaration(what)?;
        let mut commands = Vec::new();
        loop {
            let command = self.command(what)?;
            if let (Some(first), false) = (command.words.first(), commands.is_empty())
                && !first.is_callable()
            {
                return Err(Fault::new(first.pos, "non executable command in pipeline stage"));
            }
            commands.push(command);
            if !self.eat(&Kind::Pipe) {
                break;
            }
        }
        // As in Go: whether an assigned variable exists is asked when the template runs.
        self.variables.extend(variables.iter().cloned());
        self.depth -= 1;
        Ok(Pipe { variables, assigns, commands, pos, end: self.last_end() })
    }

    fn declaration(&mut self, what: &str) -> Result<(Vec<String>, bool), Fault> {
        let start = self.at;
        let mut names = Vec::new();
        while let Some(Token { kind: Kind::Variable(name), pos, .. }) = self.peek().cloned() {
            self.at += 1;
            names.push((name, pos));
            if self.eat(&Kind::Comma) {
                continue;
            }
            let assigns = self.eat(&Kind::Assign);
            if !assigns && !self.eat(&Kind::Declare) {
                break;
            }
            if names.len() > if what == "range" { 2 } else { 1 } {
                return Err(Fault::new(pos, format!("too many declarations in {what}")));
            }
            return Ok((names.into_iter().map(|(n, _)| n).collect(), assigns));
        }
        self.at = start;
        Ok((Vec::new(), false))
    }

    fn command(&mut self, what: &str) -> Result<Command, Fault> {
        let pos = self.pos();
        let mut words: Vec<Operand> = Vec::new();
        while let Some(operand) = self.operand()? {
            words.push(operand);
        }
        if words.is_empty() {
            return Err(Fault::new(pos, format!("missing value for {what}")));
        }
        Ok(Command { words, pos, end: self.last_end() })
    }

    fn operand(&mut self) -> Result<Option<Operand>, Fault> {
        let Some(token) = self.peek().cloned() else { return Ok(None) };
        let pos = token.pos;
        let mut fields = Vec::new();
        let kind = match token.kind {
            Kind::Dot => OperandKind::Dot,
            Kind::Field(name) => {
                fields.push(name);
                OperandKind::Dot
            }
            Kind::Variable(name) if self.variables.contains(&name) => OperandKind::Variable(name),
            Kind::Variable(name) => return Err(Fault::new(pos, format!("undefined variable {name:?}"))),
            Kind::Word(word) => match word.as_str() {
                "true" | "false" => OperandKind::Bool(word == "true"),
                "nil" => OperandKind::Nil,
                _ if functions::exists(&word) => OperandKind::Function(word),
                _ => return Err(Fault::new(pos, format!("function {word:?} not defined"))),
            },
            Kind::Quoted(text) => OperandKind::Text(text),
            Kind::Char(c) => OperandKind::Int(i64::from(u32::from(c))),
            Kind::Number(text) => {
                number(&text).ok_or_else(|| Fault::new(pos, format!("bad number syntax: {text:?}")))?
            }
            Kind::Left => {
                self.at += 1;
                let pipe = self.pipe("parenthesized pipeline")?;
                if self.peek().is_none_or(|t| t.kind != Kind::Right) {
                    return Err(Fault::new(self.pos(), "unclosed left paren"));
                }
                OperandKind::Pipe(Box::new(pipe))
            }
            _ => return Ok(None),
        };
        self.at += 1;
        while let Some(Token { kind: Kind::Field(name), spaced: false, .. }) = self.peek().cloned() {
            fields.push(name);
            self.at += 1;
        }
        let operand = Operand { kind, fields, pos, end: self.last_end() };
        if !operand.fields.is_empty() && !operand.has_fields() {
            return Err(Fault::new(pos, "unexpected . after a constant"));
        }
        if let Some(next) = self.peek()
            && !next.spaced
            && !matches!(
                next.kind,
                Kind::Pipe | Kind::Right | Kind::Close | Kind::Comma | Kind::Declare | Kind::Assign
            )
        {
            return Err(Fault::new(next.pos, "unexpected word in operand; a blank is missing before it"));
        }
        Ok(Some(operand))
    }
}

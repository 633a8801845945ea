//! Statements: everything between `{%` and `%}`.

use std::rc::Rc;

use super::ast::{Args, Expr, For, Macro, Node, Stmt, Target};
use super::error::Result;
use super::lexer::Tok;
use super::parser::{Parser, show};

impl Parser {
    /// Statements up to a tag that begins with one of `ends` (its name is not read yet), or the end.
    pub(crate) fn nodes(&mut self, ends: &[&str]) -> Result<Vec<Node>> {
        self.deeper(|p| p.nodes_inner(ends))
    }

    fn nodes_inner(&mut self, ends: &[&str]) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            let line = self.line();
            match self.peek().clone() {
                Tok::Data(text) => {
                    self.advance();
                    nodes.push(Node { line, stmt: Stmt::Text(text) });
                }
                Tok::VarBegin => {
                    self.advance();
                    let expr = self.tuple(true)?;
                    if !matches!(self.advance(), Tok::VarEnd) {
                        return self.fail("expected token 'end of print statement'");
                    }
                    nodes.push(Node { line, stmt: Stmt::Emit(expr) });
                }
                Tok::BlockBegin => {
                    if matches!(self.peek_second(), Tok::Name(name) if ends.contains(&&**name)) {
                        self.advance();
                        return Ok(nodes);
                    }
                    self.advance();
                    let stmt = self.statement()?;
                    nodes.push(Node { line, stmt });
                }
                Tok::End if ends.is_empty() => return Ok(nodes),
                Tok::End => {
                    let wanted = ends.join("' or '");
                    return self
                        .fail(format!("Unexpected end of template. Jinja was looking for '{wanted}'"));
                }
                other => {
                    let found = show(&other);
                    return self.fail(format!("unexpected {found}"));
                }
            }
        }
    }

    fn close(&mut self) -> Result<()> {
        match self.advance() {
            Tok::BlockEnd => Ok(()),
            other => self.fail(format!("expected token 'end of statement block', got {}", show(&other))),
        }
    }

    /// The body up to `{% end %}`, which is read too.
    fn body(&mut self, end: &str) -> Result<Vec<Node>> {
        self.close()?;
        let body = self.nodes(&[end])?;
        self.advance();
        self.optional_name();
        self.close()?;
        Ok(body)
    }

    /// `{% endblock name %}`, `{% endmacro name %}`.
    fn optional_name(&mut self) {
        if let Tok::Name(_) = self.peek() {
            self.advance();
        }
    }

    fn statement(&mut self) -> Result<Stmt> {
        let name = self.want_name()?;
        match &*name {
            "if" => self.if_statement(),
            "for" => self.for_statement(),
            "set" => self.set_statement(),
            "macro" => self.macro_statement(),
            "call" => self.call_statement(),
            "filter" => {
                let filter = self.bare_filters()?;
                Ok(Stmt::Filter(filter, self.body("endfilter")?))
            }
            "with" => self.with_statement(),
            "autoescape" => {
                self.expression()?;
                Ok(Stmt::Scope(self.body("endautoescape")?))
            }
            "do" => {
                let expr = self.tuple(true)?;
                self.close()?;
                Ok(Stmt::Do(expr))
            }
            "break" => self.close().map(|()| Stmt::Break),
            "continue" => self.close().map(|()| Stmt::Continue),
            "include" => {
                let name = self.expression()?;
                let missing = self.eat_name("ignore") && self.eat_name("missing");
                self.context_words();
                self.close()?;
                Ok(Stmt::Include(name, missing))
            }
            "import" => {
                let file = self.expression()?;
                if !self.eat_name("as") {
                    return self.fail("expected token 'as'");
                }
                let name = self.want_name()?;
                self.context_words();
                self.close()?;
                Ok(Stmt::Import(file, name))
            }
            "from" => self.import_from(),
            "extends" => {
                let file = self.expression()?;
                self.close()?;
                Ok(Stmt::Extends(file))
            }
            "block" => {
                let name = self.want_name()?;
                while self.eat_name("scoped") || self.eat_name("required") {}
                Ok(Stmt::Block(name, Rc::new(self.body("endblock")?)))
            }
            other => self.fail(format!("Encountered unknown tag '{other}'.")),
        }
    }

    fn context_words(&mut self) {
        if (self.is_name("with") || self.is_name("without"))
            && matches!(self.peek_second(), Tok::Name(n) if &**n == "context")
        {
            self.advance();
            self.advance();
        }
    }

    fn import_from(&mut self) -> Result<Stmt> {
        let file = self.expression()?;
        if !self.eat_name("import") {
            return self.fail("expected token 'import'");
        }
        let mut names = Vec::new();
        loop {
            let name = self.want_name()?;
            let alias = if self.eat_name("as") { self.want_name()? } else { Rc::clone(&name) };
            names.push((name, alias));
            if !self.eat_op(",") {
                break;
            }
            if self.is_name("with") || self.is_name("without") {
                break;
            }
        }
        self.context_words();
        self.close()?;
        Ok(Stmt::FromImport(file, names))
    }

    fn if_statement(&mut self) -> Result<Stmt> {
        let mut branches = Vec::new();
        let mut test = self.tuple(true)?;
        loop {
            self.close()?;
            let body = self.nodes(&["elif", "else", "endif"])?;
            branches.push((test, body));
            let word = self.want_name()?;
            match &*word {
                "elif" => test = self.tuple(true)?,
                "else" => {
                    let otherwise = self.body("endif")?;
                    return Ok(Stmt::If(branches, otherwise));
                }
                _ => {
                    self.close()?;
                    return Ok(Stmt::If(branches, Vec::new()));
                }
            }
        }
    }

    fn target(&mut self) -> Result<Target> {
        let mut targets = Vec::new();
        let mut tuple = false;
        loop {
            if self.eat_op("(") {
                targets.push(self.deeper(Self::target)?);
                self.want_op(")")?;
            } else {
                let name = self.want_name()?;
                targets.push(if self.eat_op(".") {
                    Target::Attr(name, self.want_name()?)
                } else {
                    Target::Name(name)
                });
            }
            if !self.eat_op(",") {
                break;
            }
            tuple = true;
            if !matches!(self.peek(), Tok::Name(_) | Tok::Op("(")) || self.is_name("in") {
                break;
            }
        }
        Ok(match targets.pop() {
            Some(only) if !tuple => only,
            last => Target::Tuple(targets.into_iter().chain(last).collect()),
        })
    }

    fn for_statement(&mut self) -> Result<Stmt> {
        let target = self.target()?;
        if !self.eat_name("in") {
            return self.fail("expected token 'in'");
        }
        let over = self.tuple(false)?;
        let filter = if self.eat_name("if") { Some(self.expression()?) } else { None };
        let recursive = self.eat_name("recursive");
        self.close()?;
        let from = self.at_token();
        let body = self.nodes(&["endfor", "else"])?;
        let uses_loop = self.mentions(from, &["loop", "include"]);
        let otherwise = if &*self.want_name()? == "else" {
            self.body("endfor")?
        } else {
            self.close()?;
            Vec::new()
        };
        Ok(Stmt::For(Rc::new(For { target, over, filter, recursive, uses_loop, body, otherwise })))
    }

    fn set_statement(&mut self) -> Result<Stmt> {
        let target = self.target()?;
        if self.eat_op("=") {
            let value = self.tuple(true)?;
            self.close()?;
            return Ok(Stmt::Set(target, value));
        }
        let filter = if self.eat_op("|") { Some(self.bare_filters()?) } else { None };
        Ok(Stmt::SetBlock(target, filter, self.body("endset")?))
    }

    /// `upper | replace("a", "b")` without the value in front.
    fn bare_filters(&mut self) -> Result<Expr> {
        let mut name = self.want_name()?.to_string();
        while self.eat_op(".") {
            name = format!("{name}.{}", self.want_name()?);
        }
        let args = if matches!(self.peek(), Tok::Op("(")) { self.args()? } else { Args::default() };
        let first = Expr::Filter(None, name.into(), args);
        self.filters_and_tests(first)
    }

    fn params(&mut self) -> Result<Vec<(Rc<str>, Option<Expr>)>> {
        let mut params = Vec::new();
        self.want_op("(")?;
        while !self.eat_op(")") {
            if !params.is_empty() {
                self.want_op(",")?;
                if self.eat_op(")") {
                    break;
                }
            }
            let name = self.want_name()?;
            let default = if self.eat_op("=") { Some(self.expression()?) } else { None };
            params.push((name, default));
        }
        Ok(params)
    }

    fn macro_body(&mut self, name: Rc<str>, end: &str) -> Result<(Vec<Node>, bool, Rc<str>)> {
        let from = self.at_token();
        let body = self.body(end)?;
        let takes_more = self.mentions(from, &["varargs", "kwargs"]);
        Ok((body, takes_more, name))
    }

    fn macro_statement(&mut self) -> Result<Stmt> {
        let name = self.want_name()?;
        let params = self.params()?;
        let (body, takes_more, name) = self.macro_body(name, "endmacro")?;
        Ok(Stmt::Macro(Rc::new(Macro { name, params, body, takes_more })))
    }

    fn call_statement(&mut self) -> Result<Stmt> {
        let params = if matches!(self.peek(), Tok::Op("(")) { self.params()? } else { Vec::new() };
        let call = self.expression()?;
        let (body, takes_more, name) = self.macro_body("caller".into(), "endcall")?;
        Ok(Stmt::Call(call, Rc::new(Macro { name, params, body, takes_more })))
    }

    fn with_statement(&mut self) -> Result<Stmt> {
        let mut names = Vec::new();
        while !matches!(self.peek(), Tok::BlockEnd) {
            if !names.is_empty() {
                self.want_op(",")?;
            }
            let target = self.target()?;
            self.want_op("=")?;
            names.push((target, self.expression()?));
        }
        Ok(Stmt::With(names, self.body("endwith")?))
    }
}

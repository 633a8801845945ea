//! Expressions, with Jinja's order of precedence. Statements are in [`super::statements`].

use std::rc::Rc;

use super::ast::{Args, Cmp, Expr, Node, Op};
use super::error::{Result, TemplateError};
use super::lexer::{Syntax, Tok, Tokens, lex, lex_expression};

/// Levels of brackets, operators and blocks within each other.
pub(crate) const NESTING_MAX: usize = 100;

/// Reads tokens.
pub(crate) struct Parser {
    tokens: Tokens,
    at: usize,
    pub(crate) depth: usize,
}

/// The statements of a template.
pub(crate) fn parse(source: &str, syntax: &Syntax) -> Result<Vec<Node>> {
    let mut parser = Parser { tokens: lex(source, syntax)?, at: 0, depth: 0 };
    let nodes = parser.nodes(&[])?;
    match parser.peek() {
        Tok::End => Ok(nodes),
        _ => parser.fail("unexpected end of block"),
    }
}

/// One expression.
pub(crate) fn parse_expression(source: &str) -> Result<Expr> {
    let mut parser = Parser { tokens: lex_expression(source)?, at: 0, depth: 0 };
    let expr = parser.expression()?;
    match parser.peek() {
        Tok::End => Ok(expr),
        other => {
            let found = show(other);
            parser.fail(format!("chunk after expression: {found}"))
        }
    }
}

pub(crate) fn show(token: &Tok) -> String {
    match token {
        Tok::Data(_) => "text".to_owned(),
        Tok::VarBegin => "begin of print statement".to_owned(),
        Tok::VarEnd => "end of print statement".to_owned(),
        Tok::BlockBegin => "begin of statement block".to_owned(),
        Tok::BlockEnd => "end of statement block".to_owned(),
        Tok::Name(name) => format!("'{name}'"),
        Tok::Text(text) => format!("'{text}'"),
        Tok::Int(number) => number.to_string(),
        Tok::Float(number) => number.to_string(),
        Tok::Op(op) => format!("'{op}'"),
        Tok::End => "end of template".to_owned(),
    }
}

impl Parser {
    pub(crate) fn peek(&self) -> &Tok {
        self.tokens.get(self.at).map_or(&Tok::End, |(token, _)| token)
    }

    pub(crate) fn peek_second(&self) -> &Tok {
        self.tokens.get(self.at + 1).map_or(&Tok::End, |(token, _)| token)
    }

    pub(crate) fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    pub(crate) fn advance(&mut self) -> Tok {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    pub(crate) fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(TemplateError::Syntax { message: message.into(), line: self.line() })
    }

    pub(crate) fn eat_op(&mut self, op: &str) -> bool {
        let found = matches!(self.peek(), Tok::Op(found) if *found == op);
        if found {
            self.at += 1;
        }
        found
    }

    pub(crate) fn eat_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.at += 1;
        }
        found
    }

    pub(crate) fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Tok::Name(found) if &**found == name)
    }

    fn is_op(&self, op: &str) -> bool {
        matches!(self.peek(), Tok::Op(found) if *found == op)
    }

    pub(crate) fn want_op(&mut self, op: &str) -> Result<()> {
        if self.eat_op(op) {
            return Ok(());
        }
        let found = show(self.peek());
        self.fail(format!("expected token '{op}', got {found}"))
    }

    pub(crate) fn want_name(&mut self) -> Result<Rc<str>> {
        match self.advance() {
            Tok::Name(name) => Ok(name),
            other => {
                self.at -= 1;
                self.fail(format!("expected a name, got {}", show(&other)))
            }
        }
    }

    /// Runs `inner` one level deeper.
    pub(crate) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(TemplateError::Bound { what: "levels of brackets and blocks", max: NESTING_MAX });
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(crate) fn expression(&mut self) -> Result<Expr> {
        self.deeper(|p| p.conditional(true))
    }

    /// Without `x if y else z`.
    pub(crate) fn expression_no_if(&mut self) -> Result<Expr> {
        self.deeper(|p| p.conditional(false))
    }

    /// `a, b` is a tuple; one expression is itself.
    pub(crate) fn tuple(&mut self, with_if: bool) -> Result<Expr> {
        let first = if with_if { self.expression()? } else { self.expression_no_if()? };
        if !self.is_op(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.eat_op(",") {
            if matches!(self.peek(), Tok::VarEnd | Tok::BlockEnd | Tok::End) || self.is_op(")") {
                break;
            }
            items.push(if with_if { self.expression()? } else { self.expression_no_if()? });
        }
        Ok(Expr::Tuple(items))
    }

    fn conditional(&mut self, with_if: bool) -> Result<Expr> {
        let mut left = self.or()?;
        while with_if && self.eat_name("if") {
            let test = self.or()?;
            let other = if self.eat_name("else") { Some(Box::new(self.expression()?)) } else { None };
            left = Expr::Cond(Box::new(test), Box::new(left), other);
        }
        Ok(left)
    }

    fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.eat_name("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.eat_name("and") {
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.eat_name("not") {
            return Ok(Expr::Not(Box::new(self.deeper(Self::not)?)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let left = self.sum()?;
        let mut chain = Vec::new();
        loop {
            let op = match self.peek() {
                Tok::Op("==") => Cmp::Eq,
                Tok::Op("!=") => Cmp::Ne,
                Tok::Op("<") => Cmp::Lt,
                Tok::Op("<=") => Cmp::Le,
                Tok::Op(">") => Cmp::Gt,
                Tok::Op(">=") => Cmp::Ge,
                Tok::Name(name) if &**name == "in" => Cmp::In,
                Tok::Name(name)
                    if &**name == "not" && matches!(self.peek_second(), Tok::Name(n) if &**n == "in") =>
                {
                    self.at += 1;
                    Cmp::NotIn
                }
                _ => break,
            };
            self.at += 1;
            chain.push((op, self.sum()?));
        }
        Ok(if chain.is_empty() { left } else { Expr::Compare(Box::new(left), chain) })
    }

    fn binary(&mut self, ops: &[(&str, Op)], next: fn(&mut Self) -> Result<Expr>) -> Result<Expr> {
        let mut left = next(self)?;
        while let Some((_, op)) = ops.iter().find(|(sign, _)| self.is_op(sign)) {
            self.at += 1;
            left = Expr::Bin(*op, Box::new(left), Box::new(next(self)?));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expr> {
        self.binary(&[("+", Op::Add), ("-", Op::Sub)], Self::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        let mut parts = vec![first];
        while self.eat_op("~") {
            parts.push(self.product()?);
        }
        if parts.len() > 1 {
            return Ok(Expr::Concat(parts));
        }
        Ok(parts.pop().unwrap_or(Expr::None))
    }

    fn product(&mut self) -> Result<Expr> {
        self.binary(&[("*", Op::Mul), ("/", Op::Div), ("//", Op::FloorDiv), ("%", Op::Rem)], Self::power)
    }

    fn power(&mut self) -> Result<Expr> {
        self.binary(&[("**", Op::Pow)], |p| p.unary(true))
    }

    fn unary(&mut self, filters: bool) -> Result<Expr> {
        let expr = if self.eat_op("-") {
            Expr::Neg(Box::new(self.deeper(|p| p.unary(false))?))
        } else if self.eat_op("+") {
            Expr::Pos(Box::new(self.deeper(|p| p.unary(false))?))
        } else {
            self.primary()?
        };
        let expr = self.postfix(expr)?;
        if filters { self.filters_and_tests(expr) } else { Ok(expr) }
    }

    pub(crate) fn primary(&mut self) -> Result<Expr> {
        match self.advance() {
            Tok::Name(name) => Ok(match &*name {
                "true" | "True" => Expr::Bool(true),
                "false" | "False" => Expr::Bool(false),
                "none" | "None" => Expr::None,
                _ => Expr::Name(name),
            }),
            Tok::Text(text) => {
                let mut all = text.to_string();
                while let Tok::Text(more) = self.peek() {
                    all.push_str(more);
                    self.at += 1;
                }
                Ok(Expr::Text(all.into()))
            }
            Tok::Int(number) => Ok(Expr::Int(number)),
            Tok::Float(number) => Ok(Expr::Float(number)),
            Tok::Op("(") => {
                if self.eat_op(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let inner = self.tuple(true)?;
                self.want_op(")")?;
                Ok(inner)
            }
            Tok::Op("[") => self.list(),
            Tok::Op("{") => self.dict(),
            other => {
                self.at -= 1;
                self.fail(format!("unexpected {}", show(&other)))
            }
        }
    }

    fn list(&mut self) -> Result<Expr> {
        let mut items = Vec::new();
        while !self.eat_op("]") {
            if !items.is_empty() {
                self.want_op(",")?;
                if self.eat_op("]") {
                    break;
                }
            }
            items.push(self.expression()?);
        }
        Ok(Expr::List(items))
    }

    fn dict(&mut self) -> Result<Expr> {
        let mut entries = Vec::new();
        while !self.eat_op("}") {
            if !entries.is_empty() {
                self.want_op(",")?;
                if self.eat_op("}") {
                    break;
                }
            }
            let key = self.expression()?;
            self.want_op(":")?;
            entries.push((key, self.expression()?));
        }
        Ok(Expr::Dict(entries))
    }

    pub(crate) fn postfix(&mut self, mut expr: Expr) -> Result<Expr> {
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > NESTING_MAX {
                return Err(TemplateError::Bound { what: "steps of one expression", max: NESTING_MAX });
            }
            if self.eat_op(".") {
                expr = match self.advance() {
                    Tok::Name(name) => Expr::Attr(Box::new(expr), name),
                    Tok::Int(number) => Expr::Item(Box::new(expr), Box::new(Expr::Int(number))),
                    other => {
                        self.at -= 1;
                        return self.fail(format!("expected name or number, got {}", show(&other)));
                    }
                };
            } else if self.eat_op("[") {
                expr = self.subscript(expr)?;
            } else if self.is_op("(") {
                expr = Expr::Call(Box::new(expr), self.args()?);
            } else {
                return Ok(expr);
            }
        }
    }

    fn subscript(&mut self, of: Expr) -> Result<Expr> {
        let mut parts = [None, None, None];
        let mut colons = 0;
        while !self.eat_op("]") {
            if self.eat_op(":") {
                colons += 1;
                if colons > 2 {
                    return self.fail("a slice has at most three parts");
                }
                continue;
            }
            let part = self.tuple(true)?;
            match parts.get_mut(colons) {
                Some(slot @ None) => *slot = Some(Box::new(part)),
                _ => return self.fail("expected token ']'"),
            }
        }
        if colons > 0 {
            return Ok(Expr::Slice(Box::new(of), parts));
        }
        match parts {
            [Some(index), ..] => Ok(Expr::Item(Box::new(of), index)),
            _ => self.fail("expected subscript expression"),
        }
    }

    pub(crate) fn args(&mut self) -> Result<Args> {
        self.want_op("(")?;
        let mut args = Args::default();
        let mut first = true;
        while !self.eat_op(")") {
            if !first {
                self.want_op(",")?;
                if self.eat_op(")") {
                    break;
                }
            }
            first = false;
            if self.eat_op("**") {
                args.rest_named = Some(Box::new(self.expression()?));
            } else if self.eat_op("*") {
                args.rest = Some(Box::new(self.expression()?));
            } else if let (Tok::Name(name), Tok::Op("=")) = (self.peek().clone(), self.peek_second()) {
                self.at += 2;
                args.named.push((name, self.expression()?));
            } else if args.named.is_empty() {
                args.positional.push(self.expression()?);
            } else {
                return self.fail("invalid syntax for function call expression");
            }
        }
        Ok(args)
    }

    fn dotted(&mut self) -> Result<Rc<str>> {
        let mut name = self.want_name()?.to_string();
        while self.eat_op(".") {
            name = format!("{name}.{}", self.want_name()?);
        }
        Ok(name.into())
    }

    pub(crate) fn filters_and_tests(&mut self, mut expr: Expr) -> Result<Expr> {
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > NESTING_MAX {
                return Err(TemplateError::Bound { what: "filters of one expression", max: NESTING_MAX });
            }
            if self.eat_op("|") {
                let name = self.dotted()?;
                let args = if self.is_op("(") { self.args()? } else { Args::default() };
                expr = Expr::Filter(Some(Box::new(expr)), name, args);
            } else if self.eat_name("is") {
                expr = self.test(expr)?;
            } else if self.is_op("(") {
                expr = Expr::Call(Box::new(expr), self.args()?);
            } else {
                return Ok(expr);
            }
        }
    }

    fn test(&mut self, of: Expr) -> Result<Expr> {
        let negated = self.eat_name("not");
        let name = self.dotted()?;
        let args = if self.is_op("(") {
            self.args()?
        } else if self.argument_follows() {
            let primary = self.primary()?;
            Args { positional: vec![self.postfix(primary)?], ..Args::default() }
        } else {
            Args::default()
        };
        let test = Expr::Test(Box::new(of), name, args);
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn argument_follows(&self) -> bool {
        match self.peek() {
            Tok::Name(name) => !matches!(&**name, "else" | "or" | "and" | "is" | "if" | "in" | "not"),
            Tok::Text(_) | Tok::Int(_) | Tok::Float(_) => true,
            Tok::Op(op) => matches!(*op, "[" | "{"),
            _ => false,
        }
    }
}

impl Parser {
    pub(crate) fn at_token(&self) -> usize {
        self.at
    }

    /// Whether a name stands between a token and here.
    pub(crate) fn mentions(&self, from: usize, names: &[&str]) -> bool {
        let passed = self.tokens.get(from..self.at).unwrap_or_default();
        passed.iter().any(|(token, _)| matches!(token, Tok::Name(name) if names.contains(&&**name)))
    }
}

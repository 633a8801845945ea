//! Walks a template's tree and writes its output, within bounds.

use wellkept_model::TimestampMs;

use super::error::Fault;
use super::tree::{Block, Command, Node, Operand, OperandKind, Pipe, Tree};
use super::value::Value;
use super::{TemplateSample, functions};

/// Longest output, bytes. An annotation is a message to a person.
const OUTPUT_MAX: usize = 16 << 10;
/// Most steps (nodes and commands) of one expansion.
const STEPS_MAX: usize = 200_000;
/// Deepest nesting of blocks and parentheses over all templates that call each other: each takes stack.
const NESTING_MAX: usize = 100;
/// Deepest chain of templates that call each other.
const CALLS_MAX: usize = 32;
/// Most queries of one expansion.
const QUERIES_MAX: usize = 20;
/// Most patterns compiled in one expansion.
const PATTERNS_MAX: usize = 100;

/// Answers the `query` function.
pub(crate) type QueryFn<'a> = &'a dyn Fn(&str) -> Result<Vec<TemplateSample>, String>;

/// What a template may know besides its data.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) now: TimestampMs,
    pub(crate) external_url: &'a str,
    pub(crate) query: QueryFn<'a>,
}

/// What follows a node.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// One expansion on its way.
pub(crate) struct Executor<'a> {
    tree: &'a Tree,
    text: &'a str,
    around: Surroundings<'a>,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    calls: usize,
    nesting: usize,
    queries: usize,
    patterns: usize,
    /// Bytes of values made on the way; texts that are made and thrown away count too.
    made: usize,
}

impl<'a> Executor<'a> {
    /// Expands a template; `variables` are its outermost ones, `dot` its data.
    pub(crate) fn run(
        tree: &'a Tree,
        text: &'a str,
        dot: Value,
        variables: Vec<(String, Value)>,
        around: Surroundings<'a>,
    ) -> Result<String, Fault> {
        let out = String::new();
        let mut executor = Self {
            tree,
            text,
            around,
            variables,
            out,
            steps: 0,
            calls: 0,
            nesting: 0,
            queries: 0,
            patterns: 0,
            made: 0,
        };
        executor.block(&tree.main, &dot)?;
        Ok(executor.out)
    }

    /// Bytes that a function may still make.
    pub(crate) fn room(&self) -> usize {
        OUTPUT_MAX
    }

    pub(crate) fn now(&self) -> TimestampMs {
        self.around.now
    }

    pub(crate) fn external_url(&self) -> &'a str {
        self.around.external_url
    }

    pub(crate) fn query(&mut self, text: &str) -> Result<Vec<TemplateSample>, String> {
        self.queries += 1;
        if self.queries > QUERIES_MAX {
            return Err(format!("a template may make at most {QUERIES_MAX} queries"));
        }
        (self.around.query)(text)
    }

    /// Counts work that grows with what it is done on.
    pub(crate) fn work(&mut self, steps: usize) -> Result<(), String> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX { Err(format!("more than {STEPS_MAX} steps")) } else { Ok(()) }
    }

    fn deeper(&mut self, pos: usize) -> Result<(), Fault> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(Fault::new(pos, format!("nested more than {NESTING_MAX} deep")));
        }
        Ok(())
    }

    /// Counts a pattern that is about to be compiled.
    pub(crate) fn pattern(&mut self) -> Result<(), String> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(format!("a template may use at most {PATTERNS_MAX} regular expressions"));
        }
        Ok(())
    }

    /// The output of another template, for `tmpl`.
    pub(crate) fn named(&mut self, name: &str, data: Value) -> Result<String, String> {
        let outer = std::mem::take(&mut self.out);
        let done = self.call_template(name, data, 0);
        let made = std::mem::replace(&mut self.out, outer);
        done.map(|()| made).map_err(|fault| fault.message)
    }

    fn call_template(&mut self, name: &str, data: Value, pos: usize) -> Result<(), Fault> {
        let tree = self.tree;
        let body = tree
            .defined
            .get(name)
            .ok_or_else(|| Fault::new(pos, format!("template {name:?} not defined")))?;
        self.calls += 1;
        if self.calls > CALLS_MAX {
            return Err(Fault::new(pos, format!("templates call each other more than {CALLS_MAX} deep")));
        }
        let outside = std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        let done = self.block(body, &data);
        self.variables = outside;
        self.calls -= 1;
        done.map(|_| ())
    }

    fn step(&mut self, pos: usize) -> Result<(), Fault> {
        self.work(1).map_err(|message| Fault::new(pos, message))
    }

    fn write(&mut self, text: &str, pos: usize) -> Result<(), Fault> {
        self.made = self.made.saturating_add(text.len());
        if self.out.len() + text.len() > OUTPUT_MAX || self.made > OUTPUT_MAX * 16 {
            return Err(Fault::new(pos, format!("the output has more than {OUTPUT_MAX} bytes")));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn block(&mut self, block: &'a Block, dot: &Value) -> Result<Flow, Fault> {
        self.deeper(0)?;
        let known = self.variables.len();
        let mut flow = Flow::On;
        for node in block {
            flow = self.node(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(known);
        self.nesting -= 1;
        Ok(flow)
    }

    fn node(&mut self, node: &'a Node, dot: &Value) -> Result<Flow, Fault> {
        self.step(0)?;
        match node {
            Node::Text(text) => self.write(text, 0)?,
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    let mut shown = String::new();
                    value.show(&mut shown, OUTPUT_MAX);
                    self.write(&shown, pipe.pos)?;
                }
            }
            Node::If { pipe, then, otherwise } => {
                let known = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                let flow = self.block(if value.is_true() { then } else { otherwise }, dot);
                self.variables.truncate(known);
                return flow;
            }
            Node::With { pipe, then, otherwise } => {
                let known = self.variables.len();
                let value = self.pipe(pipe, dot)?;
                let flow =
                    if value.is_true() { self.block(then, &value) } else { self.block(otherwise, dot) };
                self.variables.truncate(known);
                return flow;
            }
            Node::Range { pipe, each, otherwise } => return self.range(pipe, each, otherwise, dot),
            Node::Template { name, pipe, pos } => {
                let data = pipe.as_ref().map_or(Ok(Value::Nil), |p| self.pipe(p, dot))?;
                self.call_template(name, data, *pos)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        pipe: &'a Pipe,
        each: &'a Block,
        otherwise: &'a Block,
        dot: &Value,
    ) -> Result<Flow, Fault> {
        let known = self.variables.len();
        // The variables of `range $i, $x := …` get their values below, once for each element.
        let over = self.commands(pipe, dot)?;
        let items: Vec<(Value, Value)> = match &over {
            Value::Labels(l) => l.iter().map(|(n, v)| (Value::text(n), Value::text(v))).collect(),
            Value::Map(m) => m.iter().map(|(k, v)| (Value::text(k), v.clone())).collect(),
            Value::Samples(s) => {
                (0..).zip(s.iter()).map(|(i, s)| (Value::Int(i), Value::Sample(s.clone().into()))).collect()
            }
            Value::Int(n) => {
                let count = (*n).clamp(0, i64::try_from(STEPS_MAX).unwrap_or(i64::MAX) + 1);
                (0..count).map(|i| (Value::Int(i), Value::Int(i))).collect()
            }
            Value::Nil | Value::Missing => Vec::new(),
            other => {
                return Err(self.fault(
                    pipe.pos,
                    pipe.end,
                    format!("range can't iterate over {}", shown(other)),
                ));
            }
        };
        self.work(items.len()).map_err(|m| self.fault(pipe.pos, pipe.end, m))?;
        if items.is_empty() {
            let flow = self.block(otherwise, dot);
            self.variables.truncate(known);
            return flow;
        }
        for (key, value) in items {
            match (pipe.variables.as_slice(), pipe.assigns) {
                ([], _) => {}
                ([one], false) => self.variables.push((one.clone(), value.clone())),
                ([first, second, ..], false) => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), value.clone()));
                }
                ([one], true) => self.assign(one, value.clone(), pipe.pos)?,
                ([first, second, ..], true) => {
                    self.assign(first, key, pipe.pos)?;
                    self.assign(second, value.clone(), pipe.pos)?;
                }
            }
            let flow = self.block(each, &value)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn assign(&mut self, name: &str, value: Value, pos: usize) -> Result<(), Fault> {
        let slot = self.variables.iter_mut().rev().find(|(n, _)| n == name);
        slot.map(|slot| slot.1 = value).ok_or_else(|| Fault::new(pos, format!("undefined variable: {name}")))
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: &Value) -> Result<Value, Fault> {
        let value = self.commands(pipe, dot)?;
        if let Some(name) = pipe.variables.first() {
            if pipe.assigns {
                self.assign(name, value.clone(), pipe.pos)?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &'a Pipe, dot: &Value) -> Result<Value, Fault> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value, dot)?);
        }
        Ok(value.unwrap_or(Value::Nil))
    }

    fn command(&mut self, command: &'a Command, piped: Option<Value>, dot: &Value) -> Result<Value, Fault> {
        self.step(command.pos)?;
        let Some((first, rest)) = command.words.split_first() else { return Ok(Value::Nil) };
        let OperandKind::Function(name) = &first.kind else {
            if !rest.is_empty() || piped.is_some() {
                let message =
                    format!("can't give argument to non-function {}", self.quote(first.pos, first.end));
                return Err(self.fault(first.pos, first.end, message));
            }
            if matches!(first.kind, OperandKind::Nil) {
                return Err(self.fault(first.pos, first.end, "nil is not a command".to_owned()));
            }
            return self.operand(first, dot);
        };
        let value = self.call(name, first, rest, piped, dot, command)?;
        fields(value, &first.fields).map_err(|m| self.fault(first.pos, first.end, m))
    }

    fn call(
        &mut self,
        name: &str,
        first: &'a Operand,
        rest: &'a [Operand],
        piped: Option<Value>,
        dot: &Value,
        command: &'a Command,
    ) -> Result<Value, Fault> {
        if name == "and" || name == "or" {
            return self.junction(name, first, rest, piped, dot);
        }
        let mut args = Vec::with_capacity(rest.len() + 1);
        for word in rest {
            args.push(self.operand(word, dot)?);
        }
        args.extend(piped);
        let value = functions::call(name, &args, self)
            .map_err(|m| self.fault(command.pos, command.end, format!("error calling {name}: {m}")))?;
        if let Value::Text(text) = &value {
            self.made = self.made.saturating_add(text.len());
            if self.made > OUTPUT_MAX * 16 {
                let message = format!("texts of more than {} bytes were made", OUTPUT_MAX * 16);
                return Err(self.fault(command.pos, command.end, message));
            }
        }
        Ok(value)
    }

    /// `and` and `or` stop at the argument that decides.
    fn junction(
        &mut self,
        name: &str,
        first: &'a Operand,
        rest: &'a [Operand],
        piped: Option<Value>,
        dot: &Value,
    ) -> Result<Value, Fault> {
        let decides = |value: &Value| value.is_true() == (name == "or");
        let mut last = None;
        for word in rest {
            let value = self.operand(word, dot)?;
            if decides(&value) {
                return Ok(value);
            }
            last = Some(value);
        }
        piped.or(last).ok_or_else(|| {
            self.fault(
                first.pos,
                first.end,
                format!("wrong number of args for {name}: want at least 1 got 0"),
            )
        })
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Result<Value, Fault> {
        self.step(operand.pos)?;
        let base = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => Value::Nil,
            OperandKind::Bool(b) => Value::Bool(*b),
            OperandKind::Int(i) => Value::Int(*i),
            OperandKind::Float(f) => Value::Float(*f),
            OperandKind::Text(t) => Value::text(t.as_str()),
            OperandKind::Variable(name) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                match found {
                    Some((_, value)) => value.clone(),
                    None => {
                        let message = format!("undefined variable: {name}");
                        return Err(self.fault(operand.pos, operand.end, message));
                    }
                }
            }
            OperandKind::Pipe(pipe) => {
                self.deeper(operand.pos)?;
                let value = self.pipe(pipe, dot)?;
                self.nesting -= 1;
                value
            }
            OperandKind::Function(name) => {
                let call = functions::call(name, &[], self);
                call.map_err(|m| self.fault(operand.pos, operand.end, format!("error calling {name}: {m}")))?
            }
        };
        fields(base, &operand.fields).map_err(|m| self.fault(operand.pos, operand.end, m))
    }

    fn quote(&self, pos: usize, end: usize) -> String {
        let words = self.text.get(pos..end).unwrap_or_default().trim_end();
        // Go cuts what it quotes near this length too.
        let mut cut: String = words.chars().take(40).collect();
        if cut.len() < words.len() {
            cut.push_str("...");
        }
        cut
    }

    fn fault(&self, pos: usize, end: usize, message: String) -> Fault {
        Fault { pos, at: self.quote(pos, end), message }
    }
}

fn fields(mut value: Value, names: &[String]) -> Result<Value, String> {
    for name in names {
        value = value.field(name)?;
    }
    Ok(value)
}

fn shown(value: &Value) -> String {
    let mut out = String::new();
    value.show(&mut out, 100);
    out.chars().take(100).collect()
}

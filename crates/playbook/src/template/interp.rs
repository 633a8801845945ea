//! Runs statements.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::ast::{Expr, For, Macro, Node, Stmt, Target};
use super::error::{Result, TemplateError, bail};
use super::lexer::Syntax;
use super::scope::ScopeRef;
use super::session::Session;
use super::value::{Dict, Func, Key, Val};

/// Names that a template set, innermost last.
pub(crate) type Frames = Vec<Rc<RefCell<HashMap<Rc<str>, Val>>>>;

/// Why a list of statements ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Next,
    Break,
    Continue,
}

/// Most bytes of a template file that another one includes.
const INCLUDE_BYTES_MAX: u64 = 4 << 20;

/// Runs one template.
pub(crate) struct Interp<'s, 'e> {
    pub(crate) session: &'s Session<'e>,
    pub(crate) scope: ScopeRef,
    pub(crate) frames: Frames,
    /// Blocks that a child template replaces, outermost child first.
    blocks: HashMap<Rc<str>, Vec<Rc<Vec<Node>>>>,
    /// The value that a bare filter is applied to.
    pub(crate) piped: Option<Val>,
}

impl<'s, 'e> Interp<'s, 'e> {
    pub(crate) fn new(session: &'s Session<'e>, scope: ScopeRef) -> Self {
        Self { session, scope, frames: vec![Rc::default()], blocks: HashMap::new(), piped: None }
    }

    pub(crate) fn with_frames(session: &'s Session<'e>, scope: ScopeRef, frames: Frames) -> Self {
        Self { session, scope, frames, blocks: HashMap::new(), piped: None }
    }

    /// All pieces that a template gives.
    pub(crate) fn template(&mut self, nodes: &[Node]) -> Result<Vec<Val>> {
        let mut out = Vec::new();
        if let Some(Stmt::Extends(_)) = nodes.iter().map(|n| &n.stmt).find(|s| matches!(s, Stmt::Extends(_)))
        {
            return self.extended(nodes);
        }
        self.run(nodes, &mut out)?;
        Ok(out)
    }

    /// A child template: its blocks and settings count, its text does not.
    fn extended(&mut self, nodes: &[Node]) -> Result<Vec<Val>> {
        let mut parent = None;
        let mut dropped = Vec::new();
        for node in nodes {
            match &node.stmt {
                Stmt::Extends(name) => parent = Some(self.eval(name)?),
                Stmt::Block(name, body) => {
                    self.blocks.entry(Rc::clone(name)).or_default().push(Rc::clone(body))
                }
                _ => {
                    self.statement(node, &mut dropped)?;
                }
            }
        }
        let Some(parent) = parent else { return Ok(Vec::new()) };
        let nodes = self.load(&parent, false)?.unwrap_or_default();
        self.session.deeper(|| self.template(&nodes))
    }

    pub(crate) fn run(&mut self, nodes: &[Node], out: &mut Vec<Val>) -> Result<Flow> {
        for node in nodes {
            let flow = self.statement(node, out)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Runs a body in a frame of its own.
    fn scoped(&mut self, nodes: &[Node], out: &mut Vec<Val>) -> Result<Flow> {
        self.frames.push(Rc::default());
        let flow = self.run(nodes, out);
        self.frames.pop();
        flow
    }

    fn statement(&mut self, node: &Node, out: &mut Vec<Val>) -> Result<Flow> {
        self.session.charge(1)?;
        self.session.line.set(node.line);
        match &node.stmt {
            Stmt::Text(text) => out.push(Val::Str(Rc::clone(text))),
            Stmt::Emit(expr) => {
                let value = self.eval(expr)?;
                let value = self.session.resolve(&value)?;
                if let Val::Undef(text) = &value {
                    return Err(TemplateError::Undefined(text.to_string()));
                }
                out.push(value);
            }
            Stmt::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.truth_of(test)? {
                        return self.run(body, out);
                    }
                }
                return self.run(otherwise, out);
            }
            Stmt::For(for_loop) => {
                let over = self.eval(&for_loop.over)?;
                self.for_loop(for_loop, &over, 0, out)?;
            }
            Stmt::Set(target, expr) => {
                let value = self.eval(expr)?;
                self.assign(target, value)?;
            }
            Stmt::SetBlock(..) | Stmt::Filter(..) | Stmt::With(..) => self.block_like(&node.stmt, out)?,
            Stmt::Macro(body) => {
                let func = Func::Macro(Rc::clone(body), self.frames.clone());
                self.set(Rc::clone(&body.name), Val::Func(Rc::new(func)));
            }
            Stmt::Call(call, body) => self.call_block(call, body, out)?,
            Stmt::Include(..) | Stmt::Import(..) | Stmt::FromImport(..) => {
                self.other_file(&node.stmt, out)?
            }
            Stmt::Extends(_) => bail!("{{% extends %}} is only accepted at the top level of a template"),
            Stmt::Block(name, body) => self.block(name, body, out)?,
            Stmt::Do(expr) => {
                self.eval(expr)?;
            }
            Stmt::Scope(body) => return self.scoped(body, out),
            Stmt::Break => return Ok(Flow::Break),
            Stmt::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn block_like(&mut self, stmt: &Stmt, out: &mut Vec<Val>) -> Result<()> {
        match stmt {
            Stmt::SetBlock(target, filter, body) => {
                let mut inner = Vec::new();
                self.scoped(body, &mut inner)?;
                let mut value = Val::str(self.session.text(&self.session.join(inner)?)?);
                if let Some(filter) = filter {
                    value = self.apply(filter, value)?;
                }
                self.assign(target, value)?;
            }
            Stmt::Filter(filter, body) => {
                let mut inner = Vec::new();
                self.scoped(body, &mut inner)?;
                let value = Val::str(self.session.text(&self.session.join(inner)?)?);
                out.push(self.apply(filter, value)?);
            }
            Stmt::With(names, body) => {
                let values: Vec<Val> =
                    names.iter().map(|(_, expr)| self.eval(expr)).collect::<Result<_>>()?;
                self.frames.push(Rc::default());
                for ((target, _), value) in names.iter().zip(values) {
                    self.assign(target, value)?;
                }
                let flow = self.run(body, out);
                self.frames.pop();
                flow?;
            }
            _ => {}
        }
        Ok(())
    }

    fn apply(&mut self, filter: &Expr, value: Val) -> Result<Val> {
        let before = self.piped.replace(value);
        let result = self.eval(filter);
        self.piped = before;
        result
    }

    fn call_block(&mut self, call: &Expr, body: &Rc<Macro>, out: &mut Vec<Val>) -> Result<()> {
        let caller = Val::Func(Rc::new(Func::Caller(Rc::clone(body), self.frames.clone())));
        let Expr::Call(callee, args) = call else { bail!("{{% call %}} needs a call of a macro") };
        let callee = self.eval(callee)?;
        let (positional, mut named) = self.arguments(args)?;
        named.push(("caller".into(), caller));
        out.push(self.call(&callee, positional, named)?);
        Ok(())
    }

    fn block(&mut self, name: &Rc<str>, own: &Rc<Vec<Node>>, out: &mut Vec<Val>) -> Result<()> {
        let mut chain = self.blocks.get(name).cloned().unwrap_or_default();
        chain.push(Rc::clone(own));
        let Some(body) = chain.first().cloned() else { return Ok(()) };
        self.frames.push(Rc::default());
        // What the block replaces, for `super()`.
        let mut above = Val::str("");
        if let Some(parent) = chain.get(1) {
            let mut inner = Vec::new();
            self.run(parent, &mut inner)?;
            above = Val::str(self.session.text(&self.session.join(inner)?)?);
        }
        let text = Macro { name: "super".into(), params: Vec::new(), body: Vec::new(), takes_more: false };
        drop(text);
        self.set("super".into(), Val::Func(Rc::new(Func::Bound(above, "__str__".into()))));
        let flow = self.run(&body, out);
        self.frames.pop();
        flow.map(|_| ())
    }

    pub(crate) fn set(&mut self, name: Rc<str>, value: Val) {
        if let Some(frame) = self.frames.last() {
            frame.borrow_mut().insert(name, value);
        }
    }

    pub(crate) fn assign(&mut self, target: &Target, value: Val) -> Result<()> {
        match target {
            Target::Name(name) => self.set(Rc::clone(name), value),
            Target::Attr(object, name) => match self.name(object)? {
                Val::Object(entries, _) | Val::Map(entries) => {
                    entries.borrow_mut().insert(Key::Str(Rc::clone(name)), value);
                }
                _ => bail!("cannot assign attribute on non-namespace object"),
            },
            Target::Tuple(targets) => {
                let items = self.iterate(&value)?;
                if items.len() != targets.len() {
                    let (wanted, found) = (targets.len(), items.len());
                    if found > wanted {
                        bail!("too many values to unpack (expected {wanted})");
                    }
                    bail!("not enough values to unpack (expected {wanted}, got {found})");
                }
                for (target, item) in targets.iter().zip(items) {
                    self.assign(target, item)?;
                }
            }
        }
        Ok(())
    }

    /// Runs a loop over a value; `depth` counts the levels of a recursive loop.
    pub(crate) fn for_loop(
        &mut self,
        node: &Rc<For>,
        over: &Val,
        depth: usize,
        out: &mut Vec<Val>,
    ) -> Result<()> {
        let mut items = self.iterate(over)?;
        if let Some(filter) = &node.filter {
            let mut kept = Vec::new();
            for item in items {
                self.frames.push(Rc::default());
                let keep = self.assign(&node.target, item.clone()).and_then(|()| self.truth_of(filter));
                self.frames.pop();
                if keep? {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            self.scoped(&node.otherwise, out)?;
            return Ok(());
        }
        let outer = self.frames.clone();
        let changed = Rc::new(RefCell::new(Dict::new()));
        for (at, item) in items.iter().enumerate() {
            self.session.charge(1)?;
            self.frames.push(Rc::default());
            if node.uses_loop || node.recursive {
                self.session.charge(10)?;
                let mut info = loop_info(&items, at, depth);
                info.insert(Key::text("__changed"), Val::Map(Rc::clone(&changed)));
                if node.recursive {
                    let again = Func::Loop(Rc::clone(node), outer.clone(), depth + 1);
                    info.insert(Key::text("__call__"), Val::Func(Rc::new(again)));
                }
                self.set("loop".into(), Val::Object(Rc::new(RefCell::new(info)), "loop"));
            }
            let flow = self.assign(&node.target, item.clone()).and_then(|()| self.run(&node.body, out));
            self.frames.pop();
            if flow? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    /// A template file as a tree; `None` when it is missing and may be.
    fn load(&mut self, name: &Val, may_miss: bool) -> Result<Option<Rc<Vec<Node>>>> {
        let names = match name.items() {
            Some(names) => names,
            None => vec![name.clone()],
        };
        let engine = self.session.engine;
        for name in &names {
            let name = self.session.text(name)?;
            let folders = self.scope.search_path();
            let candidates = if name.starts_with('/') {
                vec![name.clone()]
            } else {
                folders
                    .iter()
                    .flat_map(|folder| [format!("{folder}/templates/{name}"), format!("{folder}/{name}")])
                    .collect()
            };
            for path in candidates {
                if !matches!(engine.files.stat(&path), Ok(Some(meta)) if !meta.folder) {
                    continue;
                }
                let (_, bytes) = match engine.files.read(&path, INCLUDE_BYTES_MAX) {
                    Ok(found) => found,
                    Err(why) => bail!("cannot read {path}: {why}"),
                };
                let Ok(text) = String::from_utf8(bytes) else { bail!("{path} is not UTF-8 text") };
                let syntax = Syntax::of_files();
                let (syntax, text) = super::header::header(&text, &syntax)?;
                return Ok(Some(engine.template(&text.into(), &syntax)?));
            }
        }
        if may_miss {
            return Ok(None);
        }
        let shown: Vec<String> = names.iter().map(super::show::text).collect();
        bail!("Template file not found: {}", shown.join(", "));
    }

    fn other_file(&mut self, stmt: &Stmt, out: &mut Vec<Val>) -> Result<()> {
        match stmt {
            Stmt::Include(name, may_miss) => {
                let name = self.eval(name)?;
                let Some(nodes) = self.load(&name, *may_miss)? else { return Ok(()) };
                let session = self.session;
                let chunks = session.deeper(|| {
                    Interp::with_frames(session, Rc::clone(&self.scope), self.pushed()).template(&nodes)
                })?;
                out.extend(chunks);
            }
            Stmt::Import(name, alias) => {
                let module = self.module(name)?;
                self.set(Rc::clone(alias), Val::Object(Rc::new(RefCell::new(module)), "module"));
            }
            Stmt::FromImport(name, names) => {
                let module = self.module(name)?;
                for (name, alias) in names {
                    let found = module.get(&Key::Str(Rc::clone(name))).cloned();
                    self.set(Rc::clone(alias), found.unwrap_or_else(|| Val::undef(name)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn pushed(&self) -> Frames {
        let mut frames = self.frames.clone();
        frames.push(Rc::default());
        frames
    }

    /// The names that a template file sets.
    fn module(&mut self, name: &Expr) -> Result<Dict> {
        let name = self.eval(name)?;
        let nodes = self.load(&name, false)?.unwrap_or_default();
        let session = self.session;
        session.deeper(|| {
            let mut inner = Interp::with_frames(session, Rc::clone(&self.scope), self.pushed());
            inner.template(&nodes)?;
            let names = inner.frames.last().map(|frame| frame.borrow().clone()).unwrap_or_default();
            Ok(names.into_iter().map(|(name, value)| (Key::Str(name), value)).collect())
        })
    }

    /// Calls a macro.
    pub(crate) fn call_macro(
        &mut self,
        body: &Macro,
        frames: &Frames,
        mut positional: Vec<Val>,
        mut named: Vec<(Rc<str>, Val)>,
    ) -> Result<Val> {
        let mut frames = frames.clone();
        frames.push(Rc::default());
        let session = self.session;
        let mut inner = Interp::with_frames(session, Rc::clone(&self.scope), frames);
        positional.reverse();
        for (name, default) in &body.params {
            let given = positional.pop().or_else(|| {
                let at = named.iter().position(|(given, _)| given == name)?;
                Some(named.remove(at).1)
            });
            let value = match (given, default) {
                (Some(value), _) => value,
                (None, Some(default)) => inner.eval(default)?,
                (None, None) => Val::undef(name),
            };
            inner.set(Rc::clone(name), value);
        }
        if let Some(at) = named.iter().position(|(name, _)| &**name == "caller") {
            inner.set("caller".into(), named.remove(at).1);
        }
        positional.reverse();
        if body.takes_more {
            inner.set("varargs".into(), Val::list(positional));
            let named = named.into_iter().map(|(name, value)| (Key::Str(name), value)).collect();
            inner.set("kwargs".into(), Val::map(named));
        } else if !positional.is_empty() {
            bail!("macro '{}' takes not more than {} argument(s)", body.name, body.params.len());
        } else if let Some((name, _)) = named.first() {
            bail!("macro '{}' takes no keyword argument '{name}'", body.name);
        }
        session.deeper(|| {
            let mut out = Vec::new();
            inner.run(&body.body, &mut out)?;
            Ok(Val::str(session.text(&session.join(out)?)?))
        })
    }
}

fn loop_info(items: &[Val], at: usize, depth: usize) -> Dict {
    let count = |n: usize| Val::Int(n as i128);
    let length = items.len();
    let neighbour = |at: Option<usize>| {
        at.and_then(|at| items.get(at)).cloned().unwrap_or_else(|| Val::Undef("there is no such item".into()))
    };
    [
        ("index", count(at + 1)),
        ("index0", count(at)),
        ("revindex", count(length - at)),
        ("revindex0", count(length - at - 1)),
        ("first", Val::Bool(at == 0)),
        ("last", Val::Bool(at + 1 == length)),
        ("length", count(length)),
        ("depth", count(depth + 1)),
        ("depth0", count(depth)),
        ("previtem", neighbour(at.checked_sub(1))),
        ("nextitem", neighbour(Some(at + 1))),
    ]
    .into_iter()
    .map(|(name, value)| (Key::text(name), value))
    .collect()
}

//! The door: renders texts and values through a scope, within bounds of steps, depth and size.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use wellkept_inventory::{Files, Value};

use super::ast::{Expr, Node};
use super::convert::{data, is_template, to_val, to_value};
use super::early::Early;
use super::error::{Result, TemplateError, bail};
use super::interp::Interp;
use super::lexer::Syntax;
use super::parser::{parse, parse_expression};
use super::scope::{Outside, ScopeRef};
use super::show;
use super::value::Val;

/// Steps of one session: some seconds of work at most, far more than a template of thousand hosts needs.
pub const STEPS_MAX: usize = 5_000_000;
/// Levels of expressions, macros, includes and texts that name other texts.
pub const DEPTH_MAX: usize = 220;
/// Most bytes of one text.
pub const TEXT_BYTES_MAX: usize = 64 << 20;
/// Parsed templates that are kept.
const CACHE_MAX: usize = 20_000;

/// What holds for all templates of a run.
pub struct Engine {
    /// Files for lookups, tests and includes.
    pub files: Rc<dyn Files>,
    /// Everything else of the machine that runs the play.
    pub outside: Rc<dyn Outside>,
    /// Milliseconds since the epoch: what `now()` says.
    pub now_ms: Cell<i64>,
    /// Seconds that local time is ahead of UTC.
    pub utc_offset: i32,
    /// Drives `random` and `shuffle` without a seed.
    pub randomness: Cell<u64>,
    /// Conditions that give no truth value are judged as before 2.19 instead of refused.
    pub broken_conditionals: bool,
    /// By text; templates with other marks are parsed each time.
    templates: RefCell<HashMap<Rc<str>, Rc<Vec<Node>>>>,
    expressions: RefCell<HashMap<Rc<str>, Rc<Expr>>>,
    pub(crate) regexes: RefCell<HashMap<String, super::regexes::Regex>>,
    pub(crate) early: Rc<Early>,
}

impl Engine {
    /// An engine that reads files and asks the outside through these.
    pub fn new(files: Rc<dyn Files>, outside: Rc<dyn Outside>) -> Self {
        Self {
            files,
            outside,
            now_ms: Cell::new(0),
            utc_offset: 0,
            randomness: Cell::new(1),
            broken_conditionals: false,
            templates: RefCell::default(),
            expressions: RefCell::default(),
            regexes: RefCell::default(),
            early: Rc::default(),
        }
    }

    /// A session: bounds are counted anew, and what is looked up twice is rendered once.
    pub fn session(&self, scope: ScopeRef) -> Session<'_> {
        Session {
            engine: self,
            scope,
            steps: Cell::new(0),
            depth: Cell::new(0),
            line: Cell::new(0),
            memo: RefCell::default(),
            others: RefCell::default(),
            rendering: RefCell::default(),
        }
    }

    pub(crate) fn template(&self, source: &Rc<str>, syntax: &Syntax) -> Result<Rc<Vec<Node>>> {
        let default = *syntax == Syntax::default();
        if default && let Some(found) = self.templates.borrow().get(source) {
            return Ok(Rc::clone(found));
        }
        let nodes = Rc::new(parse(source, syntax)?);
        if default {
            let mut cache = self.templates.borrow_mut();
            if cache.len() >= CACHE_MAX {
                cache.clear();
            }
            cache.insert(Rc::clone(source), Rc::clone(&nodes));
        }
        Ok(nodes)
    }

    fn expression(&self, source: &str) -> Result<Rc<Expr>> {
        if let Some(found) = self.expressions.borrow().get(source) {
            return Ok(Rc::clone(found));
        }
        let expr = Rc::new(parse_expression(source)?);
        let mut cache = self.expressions.borrow_mut();
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        cache.insert(source.into(), Rc::clone(&expr));
        Ok(expr)
    }
}

/// Renders with one scope.
pub struct Session<'e> {
    pub(crate) engine: &'e Engine,
    scope: ScopeRef,
    steps: Cell<usize>,
    depth: Cell<usize>,
    pub(crate) line: Cell<u32>,
    /// Names that were looked up, by scope.
    pub(crate) memo: RefCell<HashMap<(*const (), Rc<str>), Val>>,
    /// Scopes of other hosts by where they were asked for and name; kept, because [`Self::memo`] goes by address.
    pub(crate) others: RefCell<HashMap<(*const (), Rc<str>), ScopeRef>>,
    /// Texts that are being rendered, to find circles early.
    rendering: RefCell<Vec<Rc<str>>>,
}

impl Session<'_> {
    /// Renders everything in a value that is a template. `None` when it is `omit`.
    ///
    /// # Errors
    /// Undefined names, mistakes in templates, bounds.
    pub fn value(&self, value: &Value) -> Result<Option<Value>> {
        let value = to_val(value, &self.scope);
        Ok(to_value(&self.force(&value)?))
    }

    /// Renders a text; the result has its native type. `None` when it is `omit`.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn render(&self, text: &str) -> Result<Option<Value>> {
        if !is_template(text) {
            return Ok(Some(Value::Text(text.to_owned())));
        }
        let value = self.render_val(&text.into(), &self.scope)?;
        Ok(to_value(&self.force(&value)?))
    }

    /// The line of the template that was run last, from 1; for errors of [`Self::file`].
    pub fn line(&self) -> u32 {
        self.line.get()
    }

    /// Renders a template file to text. A first line `#jinja2: …` sets marks and white space.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn file(&self, source: &str, syntax: &Syntax) -> Result<String> {
        let (syntax, source) = super::header::header(source, syntax)?;
        let nodes = self.engine.template(&source.into(), &syntax)?;
        let mut interp = Interp::new(self, Rc::clone(&self.scope));
        let chunks = interp.template(&nodes)?;
        let mut out = String::new();
        for chunk in chunks.iter().filter(|chunk| !matches!(chunk, Val::None)) {
            out.push_str(&self.text(chunk)?);
            self.check_size(out.len())?;
        }
        Ok(with_line_breaks(source, out))
    }

    /// An expression without marks, as after `when:` or `var:`.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn evaluate(&self, expression: &str) -> Result<Option<Value>> {
        Ok(to_value(&self.force(&self.evaluate_val(expression)?)?))
    }

    /// What `with_<name>` makes of its terms.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn lookup(&self, name: &str, terms: &Value) -> Result<Vec<Value>> {
        let mut interp = Interp::new(self, Rc::clone(&self.scope));
        let terms = super::lookups::terms(&interp, terms)?;
        let found = super::lookups::run(&mut interp, name, &terms, &[])?;
        let mut out = Vec::with_capacity(found.len());
        for item in &found {
            out.extend(to_value(&self.force(item)?));
        }
        Ok(out)
    }

    fn evaluate_val(&self, expression: &str) -> Result<Val> {
        let expr = self.engine.expression(expression.trim())?;
        let mut interp = Interp::new(self, Rc::clone(&self.scope));
        let value = interp.eval(&expr)?;
        self.resolve(&value)
    }

    /// Judges a condition: an expression, or a value that is one already.
    ///
    /// # Errors
    /// As [`Self::value`], and a result that is no truth value, unless older conditions are allowed.
    pub fn test(&self, condition: &Value) -> Result<bool> {
        let value = match condition {
            Value::Text(text) if text.trim().is_empty() => {
                if self.engine.broken_conditionals {
                    return Ok(true);
                }
                bail!("Empty conditional expression was evaluated as True.");
            }
            Value::Text(text) if is_whole_template(text) => {
                let value = self.resolve(&self.render_val(&text.trim().into(), &self.scope)?)?;
                match &value {
                    Val::Str(text) if self.engine.broken_conditionals => self.evaluate_val(text)?,
                    _ => value,
                }
            }
            Value::Text(text) | Value::Unsafe(text) => self.evaluate_val(text)?,
            other => data(other),
        };
        let judged = match (&value, self.engine.broken_conditionals) {
            (Val::Bool(truth), _) => return Ok(*truth),
            (Val::Undef(text), _) => return Err(TemplateError::Undefined(text.to_string())),
            (Val::Str(text), true) if matches!(&**text, "False" | "false" | "") => false,
            (value, _) => self.truth(value)?,
        };
        if self.engine.broken_conditionals {
            return Ok(judged);
        }
        let kind = value.type_name();
        bail!(
            "Conditional result ({}) was derived from value of type '{kind}' at '<unknown>'. Conditionals must have a boolean result.",
            if judged { "True" } else { "False" }
        );
    }

    /// Renders a text that is a template through a scope. A template of one expression keeps its type.
    pub(crate) fn render_val(&self, text: &Rc<str>, scope: &ScopeRef) -> Result<Val> {
        if self.rendering.borrow().iter().any(|open| Rc::ptr_eq(open, text)) {
            bail!("Recursive loop detected in template: maximum recursion depth exceeded");
        }
        self.deeper(|| {
            let nodes = self.engine.template(text, &Syntax::default())?;
            self.rendering.borrow_mut().push(Rc::clone(text));
            let chunks = Interp::new(self, Rc::clone(scope)).template(&nodes);
            self.rendering.borrow_mut().pop();
            let value = self.join(chunks?)?;
            Ok(match &value {
                Val::Str(made) => Val::str(with_line_breaks(text, made.to_string())),
                _ => value,
            })
        })
    }

    /// One piece keeps its type; several become a text.
    pub(crate) fn join(&self, mut chunks: Vec<Val>) -> Result<Val> {
        if chunks.len() > 1 {
            chunks.retain(|chunk| !matches!(chunk, Val::None));
            if chunks.is_empty() {
                return Ok(Val::None);
            }
        }
        match chunks.len() {
            0 => Ok(Val::str("")),
            1 => Ok(chunks.pop().unwrap_or(Val::None)),
            _ => {
                let mut out = String::new();
                for chunk in &chunks {
                    out.push_str(&self.text(chunk)?);
                    self.check_size(out.len())?;
                }
                Ok(Val::str(out))
            }
        }
    }

    /// What stands behind a lazy text or a sealed one.
    pub(crate) fn resolve(&self, value: &Val) -> Result<Val> {
        match value {
            // What names something undefined is undefined itself, until somebody needs it.
            Val::Lazy(text, scope) => match self.render_val(text, scope) {
                Ok(rendered) => self.resolve(&rendered),
                Err(TemplateError::Undefined(text)) => Ok(Val::Undef(text.as_str().into())),
                Err(other) => Err(other),
            },
            Val::Vault(text) => match self.engine.outside.open_vault(text) {
                Ok(open) => Ok(Val::str(open)),
                Err(why) => bail!("{why}"),
            },
            other => Ok(other.clone()),
        }
    }

    /// The value with nothing lazy left in it; an undefined part is an error, an omitted one is left out.
    pub(crate) fn force(&self, value: &Val) -> Result<Val> {
        self.charge(1)?;
        self.deeper(|| match value {
            Val::Lazy(..) | Val::Vault(_) => {
                let open = self.resolve(value)?;
                self.force(&open)
            }
            Val::Undef(text) => Err(TemplateError::Undefined(text.to_string())),
            Val::List(items) => {
                let items = items.borrow().clone();
                let items: Result<Vec<_>> = items.iter().map(|item| self.force(item)).collect();
                Ok(Val::list(items?.into_iter().filter(|item| !matches!(item, Val::Omit)).collect()))
            }
            Val::Tuple(items) => {
                let items: Result<Vec<_>> = items.iter().map(|item| self.force(item)).collect();
                Ok(Val::tuple(items?))
            }
            Val::Map(entries) => {
                let entries = entries.borrow().clone();
                let mut out = super::value::Dict::with_capacity(entries.len());
                for (key, value) in &entries {
                    let value = self.force(value)?;
                    if !matches!(value, Val::Omit) {
                        out.insert(self.force_key(key)?, value);
                    }
                }
                Ok(Val::map(out))
            }
            Val::Scope(scope) => {
                let mut out = super::value::Dict::new();
                for name in scope.names() {
                    let found = scope.get(&name).map(|value| to_val(&value, scope));
                    out.insert(super::value::Key::text(&name), self.force(&found.unwrap_or(Val::None))?);
                }
                Ok(Val::map(out))
            }
            Val::Hosts(scope) => {
                let mut out = super::value::Dict::new();
                for name in scope.hosts() {
                    if let Some(host) = self.entry(value, &Val::str(&name))? {
                        out.insert(super::value::Key::text(&name), self.force(&host)?);
                    }
                }
                Ok(Val::map(out))
            }
            other => Ok(other.clone()),
        })
    }

    fn force_key(&self, key: &super::value::Key) -> Result<super::value::Key> {
        Ok(key.clone()).and_then(|key| {
            self.charge(1)?;
            Ok(key)
        })
    }

    /// `str(value)` of a value with everything in it rendered.
    pub(crate) fn text(&self, value: &Val) -> Result<String> {
        match value {
            Val::Str(text) => Ok(text.to_string()),
            other => Ok(show::text(&self.force(other)?)),
        }
    }

    /// Counts work.
    pub(crate) fn charge(&self, steps: usize) -> Result<()> {
        let used = self.steps.get().saturating_add(steps);
        self.steps.set(used);
        if used > STEPS_MAX {
            return Err(TemplateError::Bound { what: "steps", max: STEPS_MAX });
        }
        Ok(())
    }

    /// Runs one level deeper.
    pub(crate) fn deeper<T>(&self, inner: impl FnOnce() -> Result<T>) -> Result<T> {
        let depth = self.depth.get() + 1;
        if depth > DEPTH_MAX {
            return Err(TemplateError::Bound { what: "levels", max: DEPTH_MAX });
        }
        self.depth.set(depth);
        let result = inner();
        self.depth.set(depth - 1);
        result
    }

    /// Refuses a text that grew too long, and counts its making as work.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<()> {
        if bytes > TEXT_BYTES_MAX {
            return Err(TemplateError::Bound { what: "bytes", max: TEXT_BYTES_MAX });
        }
        self.charge(bytes / 256)
    }
}

/// `{{ x }}` alone as a condition: allowed with a warning, and means what stands inside.
fn is_whole_template(text: &str) -> bool {
    is_template(text)
}

/// The text with as many line breaks at its end as its template has.
fn with_line_breaks(template: &str, mut made: String) -> String {
    let count = |text: &str| text.len() - text.trim_end_matches('\n').len();
    for _ in count(&made)..count(template) {
        made.push('\n');
    }
    made
}

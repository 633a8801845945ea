//! Evaluates expressions.

use std::rc::Rc;

use super::ast::{Args, Expr, Op};
use super::convert::to_val;
use super::error::{Result, TemplateError, bail};
use super::interp::Interp;
use super::value::{Dict, Func, Key, Val};
use super::{filters, globals, methods, ops, tests};

/// Positional and named arguments of a call.
pub(crate) type Given = (Vec<Val>, Vec<(Rc<str>, Val)>);

impl Interp<'_, '_> {
    pub(crate) fn eval(&mut self, expr: &Expr) -> Result<Val> {
        self.session.charge(1)?;
        let session = self.session;
        session.deeper(|| self.eval_inner(expr))
    }

    fn eval_inner(&mut self, expr: &Expr) -> Result<Val> {
        match expr {
            Expr::Text(text) => Ok(Val::Str(Rc::clone(text))),
            Expr::Int(number) => Ok(Val::Int(*number)),
            Expr::Float(number) => Ok(Val::Float(*number)),
            Expr::Bool(truth) => Ok(Val::Bool(*truth)),
            Expr::None => Ok(Val::None),
            Expr::Name(name) => self.name(name),
            Expr::List(items) => Ok(Val::list(self.all(items)?)),
            Expr::Tuple(items) => Ok(Val::tuple(self.all(items)?)),
            Expr::Dict(entries) => self.dict(entries),
            Expr::Attr(of, name) => {
                let of = self.eval(of)?;
                self.attr(&of, name)
            }
            Expr::Item(of, key) => {
                let of = self.eval(of)?;
                let key = self.eval(key)?;
                self.item(&of, &key)
            }
            Expr::Slice(of, parts) => self.slice(of, parts),
            Expr::Call(callee, args) => {
                let callee = self.eval(callee)?;
                let (positional, named) = self.arguments(args)?;
                self.call(&callee, positional, named)
            }
            Expr::Filter(of, name, args) => self.filter(of.as_deref(), name, args),
            Expr::Test(of, name, args) => self.test(of, name, args),
            Expr::Not(of) => Ok(Val::Bool(!self.truth_of(of)?)),
            Expr::Neg(of) => {
                let value = self.number(of)?;
                ops::negate(&value)
            }
            Expr::Pos(of) => self.number(of),
            Expr::Bin(op, left, right) => self.binary(*op, left, right),
            Expr::And(left, right) => {
                let left = self.eval(left)?;
                if self.session.truth(&left)? { self.eval(right) } else { Ok(left) }
            }
            Expr::Or(left, right) => {
                let left = self.eval(left)?;
                if self.session.truth(&left)? { Ok(left) } else { self.eval(right) }
            }
            Expr::Concat(parts) => self.concat(parts),
            Expr::Compare(first, chain) => self.compare(first, chain),
            Expr::Cond(test, value, other) => {
                if self.truth_of(test)? {
                    return self.eval(value);
                }
                match other {
                    Some(other) => self.eval(other),
                    None => Ok(Val::Undef(
                        "the inline if-expression on line 1 evaluated to false and no else section was defined."
                            .into(),
                    )),
                }
            }
        }
    }

    fn all(&mut self, items: &[Expr]) -> Result<Vec<Val>> {
        items.iter().map(|item| self.eval(item)).collect()
    }

    fn number(&mut self, expr: &Expr) -> Result<Val> {
        let value = self.eval(expr)?;
        self.used(&value)
    }

    fn dict(&mut self, entries: &[(Expr, Expr)]) -> Result<Val> {
        let mut map = Dict::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.eval(key)?;
            let key = self.used(&key)?;
            map.insert(self.session.key(&key)?, self.eval(value)?);
        }
        Ok(Val::map(map))
    }

    /// A value that is needed now: rendered, and not undefined.
    pub(crate) fn used(&self, value: &Val) -> Result<Val> {
        self.session.used(value)
    }

    /// What a name stands for.
    pub(crate) fn name(&mut self, name: &Rc<str>) -> Result<Val> {
        for frame in self.frames.iter().rev() {
            if let Some(found) = frame.borrow().get(name) {
                return Ok(found.clone());
            }
        }
        if let Some(found) = self.session.variable(name, &self.scope)? {
            return Ok(found);
        }
        Ok(match &**name {
            "omit" => Val::Omit,
            "hostvars" => Val::Hosts(Rc::clone(&self.scope)),
            "vars" => Val::Scope(Rc::clone(&self.scope)),
            known if globals::KNOWN.contains(&known) => Val::Func(Rc::new(Func::Global(
                globals::KNOWN.iter().find(|k| **k == known).copied().unwrap_or_default(),
            ))),
            _ => Val::undef(name),
        })
    }

    /// `value.name`: a method first, then an entry.
    pub(crate) fn attr(&mut self, of: &Val, name: &Rc<str>) -> Result<Val> {
        let of = self.session.resolve(of)?;
        if methods::has(&of, name) {
            return Ok(Val::Func(Rc::new(Func::Bound(of, Rc::clone(name)))));
        }
        if let Val::Time(time) = &of
            && let Some(found) = methods::time_field(*time, name)
        {
            return Ok(found);
        }
        if let Val::Delta(micros) = &of {
            match &**name {
                "days" => return Ok(Val::Int(i128::from(micros.div_euclid(86_400_000_000)))),
                "seconds" => return Ok(Val::Int(i128::from(micros.rem_euclid(86_400_000_000) / 1_000_000))),
                _ => {}
            }
        }
        let found = self.session.entry(&of, &Val::Str(Rc::clone(name)))?;
        Ok(found.unwrap_or_else(|| missing(&of, name)))
    }

    /// `value[key]`: an entry first, then a method.
    pub(crate) fn item(&mut self, of: &Val, key: &Val) -> Result<Val> {
        let of = self.session.resolve(of)?;
        let key = self.used(key)?;
        if let Some(found) = self.session.entry(&of, &key)? {
            return Ok(found);
        }
        match &key {
            Val::Str(name) if methods::has(&of, name) => {
                Ok(Val::Func(Rc::new(Func::Bound(of.clone(), Rc::clone(name)))))
            }
            Val::Str(name) => Ok(missing(&of, name)),
            other => {
                let shown = super::show::repr(other);
                if let Val::Undef(_) = of {
                    return Ok(of);
                }
                Ok(Val::Undef(format!("object of type '{}' has no attribute {shown}", of.type_name()).into()))
            }
        }
    }

    fn slice(&mut self, of: &Expr, parts: &[Option<Box<Expr>>; 3]) -> Result<Val> {
        let of = self.eval(of)?;
        let of = self.used(&of)?;
        let mut bounds = [None, None, None];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            let Some(part) = part else { continue };
            let value = self.number(part)?;
            *bound = match value {
                Val::Int(number) => Some(number),
                Val::Bool(truth) => Some(i128::from(truth)),
                Val::None => None,
                other => bail!("slice indices must be integers or None, not {}", other.type_name()),
            };
        }
        ops::slice(&of, bounds)
    }

    /// Arguments of a call, with `*list` and `**map` spread.
    pub(crate) fn arguments(&mut self, args: &Args) -> Result<Given> {
        let mut positional = self.all(&args.positional)?;
        let mut named = Vec::with_capacity(args.named.len());
        for (name, expr) in &args.named {
            named.push((Rc::clone(name), self.eval(expr)?));
        }
        if let Some(rest) = &args.rest {
            let rest = self.eval(rest)?;
            positional.extend(self.iterate(&rest)?);
        }
        if let Some(rest) = &args.rest_named {
            let rest = self.eval(rest)?;
            let Val::Map(entries) = self.used(&rest)? else { bail!("argument after ** must be a mapping") };
            for (key, value) in entries.borrow().iter() {
                named.push((super::show::key_text(key).as_str().into(), value.clone()));
            }
        }
        Ok((positional, named))
    }

    /// Calls a value.
    pub(crate) fn call(
        &mut self,
        callee: &Val,
        positional: Vec<Val>,
        named: Vec<(Rc<str>, Val)>,
    ) -> Result<Val> {
        self.session.charge(1)?;
        let func = match callee {
            Val::Func(func) => Rc::clone(func),
            Val::Undef(text) => return Err(TemplateError::Undefined(text.to_string())),
            Val::Object(entries, "loop") => match entries.borrow().get(&Key::text("__call__")) {
                Some(Val::Func(func)) => Rc::clone(func),
                _ => bail!("Tried to call non recursive loop. Maybe you forgot the 'recursive' modifier."),
            },
            other => bail!("'{}' object is not callable", other.type_name()),
        };
        match &*func {
            Func::Global(name) => globals::call(self, name, positional, named),
            Func::Bound(of, name) => methods::call(self, of, name, positional, named),
            Func::Macro(body, frames) | Func::Caller(body, frames) => {
                self.call_macro(body, frames, positional, named)
            }
            Func::Loop(body, frames, depth) => {
                let over = positional.first().cloned().unwrap_or(Val::None);
                let session = self.session;
                session.deeper(|| {
                    let mut inner = Interp::with_frames(session, Rc::clone(&self.scope), frames.clone());
                    let mut out = Vec::new();
                    inner.for_loop(body, &over, *depth, &mut out)?;
                    Ok(Val::str(session.text(&session.join(out)?)?))
                })
            }
            Func::Joiner(separator, used) => {
                let first = !used.replace(true);
                Ok(if first { Val::str("") } else { Val::Str(Rc::clone(separator)) })
            }
        }
    }

    fn filter(&mut self, of: Option<&Expr>, name: &Rc<str>, args: &Args) -> Result<Val> {
        let value = match of {
            Some(of) => self.eval(of)?,
            None => self.piped.clone().unwrap_or(Val::None),
        };
        let (positional, named) = self.arguments(args)?;
        filters::apply(self, name, value, positional, named)
    }

    fn test(&mut self, of: &Expr, name: &Rc<str>, args: &Args) -> Result<Val> {
        let value = self.eval(of)?;
        let (positional, named) = self.arguments(args)?;
        Ok(Val::Bool(tests::judge(self, name, &value, &positional, &named)?))
    }

    pub(crate) fn truth_of(&mut self, expr: &Expr) -> Result<bool> {
        let value = self.eval(expr)?;
        self.session.truth(&value)
    }

    fn binary(&mut self, op: Op, left: &Expr, right: &Expr) -> Result<Val> {
        let left = self.number(left)?;
        let right = self.number(right)?;
        self.session.arithmetic(op, &left, &right)
    }

    fn concat(&mut self, parts: &[Expr]) -> Result<Val> {
        let mut out = String::new();
        for part in parts {
            let value = self.number(part)?;
            out.push_str(&self.session.text(&value)?);
            self.session.check_size(out.len())?;
        }
        Ok(Val::str(out))
    }

    fn compare(&mut self, first: &Expr, chain: &[(super::ast::Cmp, Expr)]) -> Result<Val> {
        let mut left = self.number(first)?;
        for (cmp, right) in chain {
            let right = self.number(right)?;
            if !self.session.compare(*cmp, &left, &right)? {
                return Ok(Val::Bool(false));
            }
            left = right;
        }
        Ok(Val::Bool(true))
    }

    pub(crate) fn iterate(&self, value: &Val) -> Result<Vec<Val>> {
        self.session.iterate(value)
    }
}

fn missing(of: &Val, name: &str) -> Val {
    match of {
        Val::Undef(_) => of.clone(),
        Val::Hosts(_) => Val::Undef(
            format!("object of type 'HostVars' has no attribute {name:?}").replace('"', "'").into(),
        ),
        other => {
            Val::Undef(format!("object of type '{}' has no attribute '{name}'", other.type_name()).into())
        }
    }
}

impl super::session::Session<'_> {
    /// A variable, rendered once for this session.
    pub(crate) fn variable(&self, name: &Rc<str>, scope: &super::scope::ScopeRef) -> Result<Option<Val>> {
        let key = (Rc::as_ptr(scope).cast::<()>(), Rc::clone(name));
        if let Some(found) = self.memo.borrow().get(&key) {
            return Ok(Some(found.clone()));
        }
        let Some(value) = scope.get(name) else { return Ok(None) };
        let value = match to_val(&value, scope) {
            // Opened where it is used, so that a test can see that it is sealed.
            sealed @ Val::Vault(_) => sealed,
            other => self.resolve(&other)?,
        };
        self.memo.borrow_mut().insert(key, value.clone());
        Ok(Some(value))
    }

    /// The variables of another host, found once.
    fn other(&self, scope: &super::scope::ScopeRef, name: &str) -> Option<super::scope::ScopeRef> {
        let key = (Rc::as_ptr(scope).cast::<()>(), Rc::from(name));
        if let Some(found) = self.others.borrow().get(&key) {
            return Some(Rc::clone(found));
        }
        let found = scope.host(name)?;
        self.others.borrow_mut().insert(key, Rc::clone(&found));
        Some(found)
    }

    /// Rendered, and not undefined.
    pub(crate) fn used(&self, value: &Val) -> Result<Val> {
        match self.resolve(value)? {
            Val::Undef(text) => Err(TemplateError::Undefined(text.to_string())),
            other => Ok(other),
        }
    }

    /// A value as a key.
    pub(crate) fn key(&self, value: &Val) -> Result<Key> {
        let value = self.force(value)?;
        match Key::of(&value) {
            Some(key) => Ok(key),
            None => bail!("unhashable type: '{}'", value.type_name()),
        }
    }

    /// The entry of a container; `None` when there is none.
    pub(crate) fn entry(&self, of: &Val, key: &Val) -> Result<Option<Val>> {
        let at = |length: usize| match key {
            Val::Int(index) if *index < 0 => usize::try_from(length as i128 + index).ok(),
            Val::Int(index) => usize::try_from(*index).ok(),
            Val::Bool(truth) => Some(usize::from(*truth)),
            _ => None,
        };
        let found = match of {
            Val::Map(entries) | Val::Object(entries, _) => {
                let Some(key) = Key::of(key) else { return Ok(None) };
                entries.borrow().get(&key).cloned()
            }
            Val::List(items) => at(items.borrow().len()).and_then(|at| items.borrow().get(at).cloned()),
            Val::Tuple(items) => at(items.len()).and_then(|at| items.get(at).cloned()),
            Val::Str(text) => {
                let length = text.chars().count();
                at(length).and_then(|at| text.chars().nth(at)).map(|c| Val::str(c.to_string()))
            }
            Val::Hosts(scope) => self.other(scope, &super::show::text(key)).map(Val::Scope),
            Val::Scope(scope) => self.variable(&super::show::text(key).as_str().into(), scope)?,
            _ => None,
        };
        match found {
            Some(lazy @ (Val::Lazy(..) | Val::Vault(_))) => {
                let open = self.resolve(&lazy)?;
                self.remember(of, key, &open);
                Ok(Some(open))
            }
            other => Ok(other),
        }
    }

    /// Puts what a lazy entry became in its place, so that it is rendered once.
    fn remember(&self, of: &Val, key: &Val, open: &Val) {
        if let (Val::Map(entries), Some(key)) = (of, Key::of(key))
            && let Ok(mut entries) = entries.try_borrow_mut()
            && let Some(slot) = entries.get_mut(&key)
        {
            *slot = open.clone();
        }
    }

    /// The items that a loop sees: keys of a map, characters of a text.
    pub(crate) fn iterate(&self, value: &Val) -> Result<Vec<Val>> {
        let items = match self.used(value)? {
            Val::List(items) => items.borrow().clone(),
            Val::Tuple(items) => items.to_vec(),
            Val::Map(entries) => entries.borrow().keys().map(Key::value).collect(),
            Val::Str(text) => text.chars().map(|c| Val::str(c.to_string())).collect(),
            Val::Hosts(scope) => scope.hosts().iter().map(Val::str).collect(),
            Val::Scope(scope) => scope.names().iter().map(Val::str).collect(),
            other => bail!("'{}' object is not iterable", other.type_name()),
        };
        self.charge(items.len())?;
        items
            .iter()
            .map(|item| if matches!(item, Val::Lazy(..)) { self.resolve(item) } else { Ok(item.clone()) })
            .collect()
    }
}

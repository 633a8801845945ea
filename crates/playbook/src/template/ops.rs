//! Python's operators.

use std::cmp::Ordering;

use super::ast::{Cmp, Op};
use super::error::{Result, TemplateError, bail};
use super::session::{Session, TEXT_BYTES_MAX};
use super::value::{Key, Val};

/// Most items that `*` may make of a list.
const REPEAT_ITEMS_MAX: usize = 1_000_000;

/// A number of either kind; truth values count as 0 and 1.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(crate) fn of(value: &Val) -> Option<Self> {
        match value {
            Val::Int(number) => Some(Self::Int(*number)),
            Val::Bool(truth) => Some(Self::Int(i128::from(*truth))),
            Val::Float(number) => Some(Self::Float(*number)),
            _ => None,
        }
    }

    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    fn cmp(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.float().partial_cmp(&b.float()),
        }
    }
}

pub(crate) fn negate(value: &Val) -> Result<Val> {
    match Number::of(value) {
        Some(Number::Int(number)) => number.checked_neg().map(Val::Int).ok_or_else(too_large),
        Some(Number::Float(number)) => Ok(Val::Float(-number)),
        None => bail!("bad operand type for unary -: '{}'", value.type_name()),
    }
}

fn too_large() -> TemplateError {
    TemplateError::Value("the number is too large; accepted: up to 127 bits".to_owned())
}

impl Session<'_> {
    /// Whether a value counts as true.
    pub(crate) fn truth(&self, value: &Val) -> Result<bool> {
        Ok(match self.used(value)? {
            Val::None | Val::Undef(_) => false,
            Val::Bool(truth) => truth,
            Val::Int(number) => number != 0,
            Val::Float(number) => number != 0.0,
            Val::Str(text) => !text.is_empty(),
            Val::List(items) => !items.borrow().is_empty(),
            Val::Tuple(items) => !items.is_empty(),
            Val::Map(entries) => !entries.borrow().is_empty(),
            Val::Delta(micros) => micros != 0,
            Val::Omit => bail!("A reference to `omit` cannot be used here."),
            _ => true,
        })
    }

    pub(crate) fn arithmetic(&self, op: Op, left: &Val, right: &Val) -> Result<Val> {
        if let (Some(a), Some(b)) = (Number::of(left), Number::of(right)) {
            return numbers(op, a, b);
        }
        match (op, left, right) {
            (Op::Add, Val::Str(a), Val::Str(b)) => {
                self.check_size(a.len() + b.len())?;
                Ok(Val::str(format!("{a}{b}")))
            }
            (Op::Add, Val::List(a), Val::List(b)) => {
                let (a, b) = (a.borrow(), b.borrow());
                self.charge(a.len() + b.len())?;
                Ok(Val::list(a.iter().chain(b.iter()).cloned().collect()))
            }
            (Op::Add, Val::Tuple(a), Val::Tuple(b)) => {
                self.charge(a.len() + b.len())?;
                Ok(Val::tuple(a.iter().chain(b.iter()).cloned().collect()))
            }
            (Op::Mul, Val::Str(_) | Val::List(_) | Val::Tuple(_), count) => self.repeat(left, count),
            (Op::Mul, count, Val::Str(_) | Val::List(_) | Val::Tuple(_)) => self.repeat(right, count),
            (Op::Rem, Val::Str(text), values) => Ok(Val::str(super::printf::printf(self, text, values)?)),
            (Op::Sub, Val::Time(a), Val::Time(b)) => {
                Ok(Val::Delta(super::moment::micros(*a) - super::moment::micros(*b)))
            }
            (Op::Add | Op::Sub, Val::Time(a), Val::Delta(b)) => {
                let moved = super::moment::micros(*a) + if op == Op::Add { *b } else { -*b };
                Ok(Val::Time(super::moment::from_micros(moved)?))
            }
            (Op::Add, Val::Delta(a), Val::Delta(b)) => Ok(Val::Delta(a.saturating_add(*b))),
            (Op::Sub, Val::Delta(a), Val::Delta(b)) => Ok(Val::Delta(a.saturating_sub(*b))),
            (Op::Add, Val::Str(_), other) => {
                bail!("can only concatenate str (not \"{}\") to str", other.type_name())
            }
            (Op::Add, Val::List(_), other) => {
                bail!("can only concatenate list (not \"{}\") to list", other.type_name())
            }
            _ => bail!(
                "unsupported operand type(s) for {}: '{}' and '{}'",
                sign(op),
                left.type_name(),
                right.type_name()
            ),
        }
    }

    fn repeat(&self, value: &Val, count: &Val) -> Result<Val> {
        let Some(Number::Int(count)) = Number::of(count) else {
            bail!("can't multiply sequence by non-int of type '{}'", count.type_name());
        };
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        match value {
            Val::Str(text) => {
                self.check_size(text.len().saturating_mul(count))?;
                Ok(Val::str(text.repeat(count)))
            }
            other => {
                let items = other.items().unwrap_or_default();
                let total = items.len().saturating_mul(count);
                if total > REPEAT_ITEMS_MAX {
                    return Err(TemplateError::Bound {
                        what: "items of a repeated list",
                        max: REPEAT_ITEMS_MAX,
                    });
                }
                self.charge(total)?;
                let all: Vec<Val> = std::iter::repeat_n(items, count).flatten().collect();
                Ok(if matches!(other, Val::Tuple(_)) { Val::tuple(all) } else { Val::list(all) })
            }
        }
    }

    pub(crate) fn compare(&self, cmp: Cmp, left: &Val, right: &Val) -> Result<bool> {
        match cmp {
            Cmp::Eq => self.equal(left, right),
            Cmp::Ne => Ok(!self.equal(left, right)?),
            Cmp::In => self.contains(right, left),
            Cmp::NotIn => Ok(!self.contains(right, left)?),
            Cmp::Lt => Ok(self.order(left, right, "<")? == Some(Ordering::Less)),
            Cmp::Le => Ok(matches!(self.order(left, right, "<=")?, Some(Ordering::Less | Ordering::Equal))),
            Cmp::Gt => Ok(self.order(left, right, ">")? == Some(Ordering::Greater)),
            Cmp::Ge => {
                Ok(matches!(self.order(left, right, ">=")?, Some(Ordering::Greater | Ordering::Equal)))
            }
        }
    }

    pub(crate) fn equal(&self, left: &Val, right: &Val) -> Result<bool> {
        self.charge(1)?;
        let (left, right) = (self.used(left)?, self.used(right)?);
        if let (Some(a), Some(b)) = (Number::of(&left), Number::of(&right)) {
            return Ok(a.cmp(b) == Some(Ordering::Equal));
        }
        self.deeper(|| match (&left, &right) {
            (Val::None, Val::None) | (Val::Omit, Val::Omit) => Ok(true),
            (Val::Str(a), Val::Str(b)) => Ok(a == b),
            (Val::List(a), Val::List(b)) => self.all_equal(&a.borrow(), &b.borrow()),
            (Val::Tuple(a), Val::Tuple(b)) => self.all_equal(a, b),
            (Val::Map(a), Val::Map(b)) => {
                let (a, b) = (a.borrow().clone(), b.borrow().clone());
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, value) in &a {
                    match b.get(key) {
                        Some(other) if self.equal(value, other)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (Val::Time(a), Val::Time(b)) => Ok(a == b),
            (Val::Delta(a), Val::Delta(b)) => Ok(a == b),
            _ => Ok(false),
        })
    }

    fn all_equal(&self, a: &[Val], b: &[Val]) -> Result<bool> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !self.equal(a, b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The order of two values; `None` where neither is smaller (not a number).
    pub(crate) fn order(&self, left: &Val, right: &Val, sign: &str) -> Result<Option<Ordering>> {
        self.charge(1)?;
        let (left, right) = (self.used(left)?, self.used(right)?);
        if let (Some(a), Some(b)) = (Number::of(&left), Number::of(&right)) {
            return Ok(a.cmp(b));
        }
        let lists = match (&left, &right) {
            (Val::Str(a), Val::Str(b)) => return Ok(Some(a.cmp(b))),
            (Val::Time(a), Val::Time(b)) => return Ok(Some(a.cmp(b))),
            (Val::Delta(a), Val::Delta(b)) => return Ok(Some(a.cmp(b))),
            (Val::List(a), Val::List(b)) => Some((a.borrow().clone(), b.borrow().clone())),
            (Val::Tuple(a), Val::Tuple(b)) => Some((a.to_vec(), b.to_vec())),
            _ => None,
        };
        let Some((a, b)) = lists else {
            bail!(
                "'{sign}' not supported between instances of '{}' and '{}'",
                left.type_name(),
                right.type_name()
            );
        };
        for (a, b) in a.iter().zip(&b) {
            if !self.equal(a, b)? {
                return self.order(a, b, sign);
            }
        }
        Ok(Some(a.len().cmp(&b.len())))
    }

    pub(crate) fn contains(&self, of: &Val, item: &Val) -> Result<bool> {
        let (of, item) = (self.used(of)?, self.used(item)?);
        match &of {
            Val::Str(text) => match &item {
                Val::Str(part) => Ok(text.contains(&**part)),
                other => bail!("'in <string>' requires string as left operand, not {}", other.type_name()),
            },
            Val::Map(entries) => Ok(match Key::of(&item) {
                Some(key) => entries.borrow().contains_key(&key),
                None => bail!("unhashable type: '{}'", item.type_name()),
            }),
            Val::Hosts(_) | Val::Scope(_) => Ok(self.entry(&of, &item)?.is_some()),
            Val::List(_) | Val::Tuple(_) => {
                for other in of.items().unwrap_or_default() {
                    if self.equal(&other, &item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            other => bail!("argument of type '{}' is not iterable", other.type_name()),
        }
    }
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Add => "+",
        Op::Sub => "-",
        Op::Mul => "*",
        Op::Div => "/",
        Op::FloorDiv => "//",
        Op::Rem => "%",
        Op::Pow => "** or pow()",
    }
}

fn numbers(op: Op, a: Number, b: Number) -> Result<Val> {
    if let (Number::Int(a), Number::Int(b)) = (a, b) {
        return whole(op, a, b);
    }
    let (a, b) = (a.float(), b.float());
    Ok(Val::Float(match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Pow => a.powf(b),
        Op::Div | Op::FloorDiv | Op::Rem if b == 0.0 => bail!("float division by zero"),
        Op::Div => a / b,
        Op::FloorDiv => (a / b).floor(),
        Op::Rem => a - b * (a / b).floor(),
    }))
}

fn whole(op: Op, a: i128, b: i128) -> Result<Val> {
    let result = match op {
        Op::Add => a.checked_add(b),
        Op::Sub => a.checked_sub(b),
        Op::Mul => a.checked_mul(b),
        Op::Div if b == 0 => bail!("division by zero"),
        Op::Div => return Ok(Val::Float(a as f64 / b as f64)),
        Op::FloorDiv | Op::Rem if b == 0 => bail!("integer division or modulo by zero"),
        Op::FloorDiv => {
            a.checked_div_euclid(b).map(|q| if b < 0 && a.rem_euclid(b) != 0 { q - 1 } else { q })
        }
        Op::Rem => {
            let rest = a.wrapping_rem(b);
            Some(if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest })
        }
        Op::Pow if b < 0 => return Ok(Val::Float((a as f64).powf(b as f64))),
        Op::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
    };
    result.map(Val::Int).ok_or_else(too_large)
}

/// `value[from:to:step]`.
pub(crate) fn slice(of: &Val, bounds: [Option<i128>; 3]) -> Result<Val> {
    let [from, to, step] = bounds;
    let step = step.unwrap_or(1);
    if step == 0 {
        bail!("slice step cannot be zero");
    }
    let items: Vec<Val> = match of {
        Val::Str(text) => text.chars().map(|c| Val::str(c.to_string())).collect(),
        Val::List(_) | Val::Tuple(_) => of.items().unwrap_or_default(),
        other => bail!("'{}' object is not subscriptable", other.type_name()),
    };
    let length = items.len() as i128;
    let place = |bound: Option<i128>, default: i128, low: i128, high: i128| match bound {
        None => default,
        Some(b) if b < 0 => b.saturating_add(length).clamp(low, high),
        Some(b) => b.clamp(low, high),
    };
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let mut at = place(from, if step > 0 { 0 } else { length - 1 }, low, high);
    let end = place(to, if step > 0 { length } else { -1 }, low, high);
    let mut picked = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        picked.extend(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned());
        at = at.saturating_add(step);
    }
    Ok(match of {
        Val::Str(_) => {
            let text: String = picked.iter().map(super::show::text).collect();
            debug_assert!(text.len() <= TEXT_BYTES_MAX, "a slice is no longer than its text");
            Val::str(text)
        }
        Val::Tuple(_) => Val::tuple(picked),
        _ => Val::list(picked),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_divide_as_in_python() {
        for (a, b, quotient, rest) in
            [(7, 2, 3, 1), (-7, 2, -4, 1), (7, -2, -4, -1), (-7, -2, 3, -1), (6, -2, -3, 0)]
        {
            let Ok(Val::Int(q)) = whole(Op::FloorDiv, a, b) else { panic!("a number") };
            let Ok(Val::Int(r)) = whole(Op::Rem, a, b) else { panic!("a number") };
            assert_eq!((q, r), (quotient, rest), "{a} {b}");
        }
    }
}

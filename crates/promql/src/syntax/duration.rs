//! Durations in brackets and after `offset`: `5m`, but also `1h - step()` and the like.

use crate::QueryError;
use crate::syntax::number::{self, DURATION_SECONDS_MAX, format_duration, format_number};
use crate::syntax::parse::Parser;
use crate::syntax::token::{Kind, Span};
use crate::syntax::tree::Op;

/// A duration that is known once the query's step and range are.
#[derive(Debug)]
pub(crate) struct Time {
    pub(crate) expr: Length,
    pub(crate) span: Span,
}

/// What a duration is made of; values in seconds.
#[derive(Debug)]
pub(crate) enum Length {
    Literal {
        seconds: f64,
        duration: bool,
    },
    /// The step of the query.
    Step,
    /// From the first to the last step of the query.
    Range,
    Negate(Box<Self>),
    Binary(Op, Box<Self>, Box<Self>),
    Least(Box<Self>, Box<Self>),
    Greatest(Box<Self>, Box<Self>),
    Paren(Box<Self>),
}

/// What `step()` and `range()` stand for, seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scale {
    pub(crate) step: f64,
    pub(crate) range: f64,
}

impl Length {
    /// Seconds.
    fn seconds(&self, scale: Scale) -> Result<f64, &'static str> {
        Ok(match self {
            Self::Literal { seconds, .. } => *seconds,
            Self::Step => scale.step,
            Self::Range => scale.range,
            Self::Negate(inner) => -inner.seconds(scale)?,
            Self::Paren(inner) => inner.seconds(scale)?,
            Self::Least(a, b) => a.seconds(scale)?.min(b.seconds(scale)?),
            Self::Greatest(a, b) => a.seconds(scale)?.max(b.seconds(scale)?),
            Self::Binary(op, a, b) => {
                let (a, b) = (a.seconds(scale)?, b.seconds(scale)?);
                match op {
                    Op::Add => a + b,
                    Op::Sub => a - b,
                    Op::Mul => a * b,
                    Op::Pow => a.powf(b),
                    Op::Div if b == 0.0 => return Err("division by zero"),
                    Op::Mod if b == 0.0 => return Err("modulo by zero"),
                    Op::Div => a / b,
                    _ => a % b,
                }
            }
        })
    }

    /// Whether its value does not depend on the query's step and range.
    fn is_fixed(&self) -> bool {
        match self {
            Self::Literal { .. } => true,
            Self::Step | Self::Range => false,
            Self::Negate(inner) | Self::Paren(inner) => inner.is_fixed(),
            Self::Binary(_, a, b) | Self::Least(a, b) | Self::Greatest(a, b) => a.is_fixed() && b.is_fixed(),
        }
    }

    /// As PromQL writes it.
    pub(crate) fn print(&self) -> String {
        match self {
            Self::Literal { seconds, duration: true } => format_duration(milliseconds(*seconds)),
            Self::Literal { seconds, .. } => format_number(*seconds),
            Self::Step => "step()".to_owned(),
            Self::Range => "range()".to_owned(),
            Self::Negate(inner) => format!("-{}", inner.print()),
            Self::Paren(inner) => format!("({})", inner.print()),
            Self::Least(a, b) => format!("min({}, {})", a.print(), b.print()),
            Self::Greatest(a, b) => format!("max({}, {})", a.print(), b.print()),
            Self::Binary(op, a, b) => format!("{} {} {}", a.print(), op.symbol(), b.print()),
        }
    }
}

pub(crate) fn milliseconds(seconds: f64) -> i64 {
    // The cast saturates, and NaN becomes 0; both are refused where they matter.
    (seconds * 1000.0).round() as i64
}

impl Time {
    /// Milliseconds; more than none where `positive`.
    pub(crate) fn ms(&self, scale: Scale, positive: bool) -> Result<i64, String> {
        let seconds = self.expr.seconds(scale)?;
        if seconds.is_nan() || seconds.abs() > DURATION_SECONDS_MAX {
            return Err(format!(
                "duration is out of range; at most {DURATION_SECONDS_MAX} seconds are accepted"
            ));
        }
        let ms = milliseconds(seconds);
        if positive && ms <= 0 {
            return Err("duration must be greater than 0".to_owned());
        }
        Ok(ms)
    }

    /// As PromQL writes it: a fixed number or duration in its shortest form.
    pub(crate) fn print(&self) -> String {
        match &self.expr {
            Length::Literal { seconds, .. } => format_duration(milliseconds(*seconds)),
            other => other.print(),
        }
    }
}

impl Parser<'_> {
    /// The duration in brackets.
    pub(crate) fn positive_time(&mut self) -> Result<Time, QueryError> {
        let start = self.peek().span;
        let expr = self.length(0)?;
        let time = Time { expr, span: start.to(self.last()) };
        self.checked(time, true)
    }

    /// The duration after `offset`: a literal with a sign, or anything in parentheses.
    pub(crate) fn offset_time(&mut self) -> Result<Time, QueryError> {
        let start = self.peek().span;
        let expr = self.length_unary(u8::MAX)?;
        let time = Time { expr, span: start.to(self.last()) };
        self.checked(time, false)
    }

    /// What is fixed is checked at once, so that it is refused before data is read.
    fn checked(&self, time: Time, positive: bool) -> Result<Time, QueryError> {
        if time.expr.is_fixed() {
            time.ms(Scale::default(), positive).map_err(|why| self.error(time.span, why))?;
        }
        Ok(time)
    }

    fn length(&mut self, least: u8) -> Result<Length, QueryError> {
        let mut lhs = self.length_unary(least)?;
        loop {
            let Kind::Operator(symbol) = self.peek().kind else { return Ok(lhs) };
            let op = Op::find(symbol).filter(|op| !op.is_comparison() && op.precedence() >= 4);
            let Some(op) = op.filter(|op| op.precedence() > least || *op == Op::Pow && least == 6) else {
                return Ok(lhs);
            };
            self.next();
            // Powers bind to the right.
            let right = if op == Op::Pow { op.precedence() - 1 } else { op.precedence() };
            let rhs = self.deeper(|p| p.length(right))?;
            lhs = Length::Binary(op, Box::new(lhs), Box::new(rhs));
        }
    }

    fn length_unary(&mut self, least: u8) -> Result<Length, QueryError> {
        let token = self.peek();
        match token.kind {
            Kind::Operator(sign @ ("+" | "-")) => {
                self.next();
                // As everywhere, a sign binds like a product; after `offset` only to what follows it.
                let inner = if least == u8::MAX {
                    self.deeper(|p| p.length_unary(least))?
                } else {
                    self.deeper(|p| p.length(5))?
                };
                Ok(match (sign, inner) {
                    ("+", inner) => inner,
                    (_, Length::Literal { seconds, duration }) => {
                        Length::Literal { seconds: -seconds, duration }
                    }
                    (_, inner) => Length::Negate(Box::new(inner)),
                })
            }
            Kind::Number | Kind::Duration => {
                self.next();
                let number = self.number_of(token)?;
                Ok(Length::Literal { seconds: number.value, duration: number.duration })
            }
            Kind::Punct('(') => {
                self.next();
                let inner = self.deeper(|p| p.length(0))?;
                self.expect(')', "duration expression")?;
                Ok(Length::Paren(Box::new(inner)))
            }
            Kind::Word => self.length_call(),
            _ => Err(self.unexpected("subquery or range selector", "number, duration, step(), or range()")),
        }
    }

    fn length_call(&mut self) -> Result<Length, QueryError> {
        let word = self.word_of(self.peek()).to_ascii_lowercase();
        if !matches!(word.as_str(), "step" | "range" | "min" | "max") {
            return Err(self.unexpected("subquery or range selector", "number, duration, step(), or range()"));
        }
        self.next();
        self.expect('(', "duration expression")?;
        let length = match word.as_str() {
            "step" => Length::Step,
            "range" => Length::Range,
            _ => {
                let a = Box::new(self.deeper(|p| p.length(0))?);
                self.expect(',', "duration expression")?;
                let b = Box::new(self.deeper(|p| p.length(0))?);
                if word == "min" { Length::Least(a, b) } else { Length::Greatest(a, b) }
            }
        };
        self.expect(')', "duration expression")?;
        Ok(length)
    }
}

/// Seconds of a duration literal.
pub(crate) fn literal(text: &str) -> Result<f64, String> {
    number::duration(text).map(number::seconds)
}

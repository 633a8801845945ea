//! Arguments of filters, tests, functions and methods: by place or by name, each taken once.

use std::rc::Rc;

use super::error::{Result, TemplateError, bail};
use super::ops::Number;
use super::session::Session;
use super::value::Val;

/// The arguments of one call.
pub(crate) struct Args<'s, 'e> {
    pub(crate) session: &'s Session<'e>,
    /// What is called, for errors.
    pub(crate) what: Rc<str>,
    /// By place; taken ones are empty.
    pub(crate) positional: Vec<Val>,
    pub(crate) named: Vec<(Rc<str>, Val)>,
}

impl Args<'_, '_> {
    /// The argument at a place or under a name, as it stands.
    pub(crate) fn raw(&self, at: usize, name: &str) -> Option<Val> {
        let by_place = self.positional.get(at).cloned();
        by_place
            .or_else(|| self.named.iter().find(|(given, _)| &**given == name).map(|(_, value)| value.clone()))
    }

    /// The argument, rendered through and through.
    pub(crate) fn get(&self, at: usize, name: &str) -> Result<Option<Val>> {
        self.raw(at, name).map(|value| self.session.force(&value)).transpose()
    }

    pub(crate) fn need(&self, at: usize, name: &str) -> Result<Val> {
        match self.get(at, name)? {
            Some(value) => Ok(value),
            None => bail!("{}() missing 1 required positional argument: '{name}'", self.what),
        }
    }

    pub(crate) fn text(&self, at: usize, name: &str, default: &str) -> Result<String> {
        match self.get(at, name)? {
            Some(value) => self.session.text(&value),
            None => Ok(default.to_owned()),
        }
    }

    pub(crate) fn need_text(&self, at: usize, name: &str) -> Result<String> {
        self.session.text(&self.need(at, name)?)
    }

    /// A text that may be left out or be none.
    pub(crate) fn maybe_text(&self, at: usize, name: &str) -> Result<Option<String>> {
        match self.get(at, name)? {
            None | Some(Val::None) => Ok(None),
            Some(value) => self.session.text(&value).map(Some),
        }
    }

    pub(crate) fn truth(&self, at: usize, name: &str, default: bool) -> Result<bool> {
        self.get(at, name)?.map_or(Ok(default), |value| self.session.truth(&value))
    }

    pub(crate) fn maybe_int(&self, at: usize, name: &str) -> Result<Option<i128>> {
        let Some(value) = self.get(at, name)? else { return Ok(None) };
        if matches!(value, Val::None) {
            return Ok(None);
        }
        match Number::of(&value) {
            Some(Number::Int(number)) => Ok(Some(number)),
            Some(Number::Float(number)) => Ok(Some(number as i128)),
            None => match self.session.text(&value)?.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => {
                    bail!("{}: {name} must be a whole number, not {}", self.what, super::show::repr(&value))
                }
            },
        }
    }

    pub(crate) fn int(&self, at: usize, name: &str, default: i128) -> Result<i128> {
        Ok(self.maybe_int(at, name)?.unwrap_or(default))
    }

    pub(crate) fn maybe_float(&self, at: usize, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(at, name)? else { return Ok(None) };
        match Number::of(&value) {
            Some(number) => Ok(Some(number.float())),
            None => bail!("{}: {name} must be a number, not {}", self.what, super::show::repr(&value)),
        }
    }

    /// A size that a result may have.
    pub(crate) fn size(&self, at: usize, name: &str, default: usize, max: usize) -> Result<usize> {
        let number = self.int(at, name, default as i128)?.max(0);
        match usize::try_from(number).ok().filter(|n| *n <= max) {
            Some(size) => Ok(size),
            None => Err(TemplateError::Bound { what: "items or characters", max }),
        }
    }

    pub(crate) fn list(&self, at: usize, name: &str) -> Result<Vec<Val>> {
        self.session.iterate(&self.need(at, name)?)
    }
}

//! Attributes as labels.

use super::names::{self, Translation};
use super::values::{any_value, key_value};
use crate::proto::Field;
use crate::{DecodeError, Limits};

/// Names with values. Kept between points.
#[derive(Debug, Default)]
pub(super) struct LabelSet {
    pairs: Vec<(String, String)>,
    /// More attributes than allowed, or one that is not text: the point cannot be taken.
    pub(super) broken: Option<crate::Refusal>,
}

impl LabelSet {
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.broken = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    fn set(&mut self, name: &str, value: &str) {
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
    }

    fn set_if_absent(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.pairs.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Adds the attributes of a message that has them in field `number`.
    pub(super) fn read(
        &mut self,
        message: &Field<'_>,
        number: u32,
        limits: &Limits,
    ) -> Result<(), DecodeError> {
        let mut reader = message.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == number {
                self.attribute(&field, limits)?;
            }
        }
        Ok(())
    }

    /// Adds one `KeyValue`.
    pub(super) fn attribute(&mut self, field: &Field<'_>, limits: &Limits) -> Result<(), DecodeError> {
        let (key, value) = key_value(field)?;
        let mut text = String::new();
        let key = std::str::from_utf8(key);
        let (Ok(key), true) = (key, any_value(value, &mut text, false, 0)?) else {
            self.broken.get_or_insert(crate::Refusal::NotUtf8);
            return Ok(());
        };
        match crate::key::check_pair(self.pairs.len(), key.as_bytes(), text.as_bytes(), limits) {
            Ok(()) => self.pairs.push((key.to_owned(), text)),
            Err(why) => {
                self.broken.get_or_insert(why);
            }
        }
        Ok(())
    }

    /// Renames attributes to labels. Two that become one label are joined with `;` in the order of their keys.
    pub(super) fn translate(&mut self, translation: Translation) {
        let renamed = self.pairs.drain(..).map(|(key, value)| (names::label(&key, translation), key, value));
        let mut renamed: Vec<_> = renamed.filter(|(name, ..)| !name.is_empty()).collect();
        renamed.sort();
        for (name, _, value) in renamed {
            match self.pairs.last_mut() {
                Some((last, joined)) if *last == name => {
                    joined.push(';');
                    joined.push_str(&value);
                }
                _ => self.pairs.push((name, value)),
            }
        }
    }

    /// Adds what a point has from its resource and its scope.
    pub(super) fn inherit(&mut self, promoted: &Self, scope: &Self, identity: &Self) {
        promoted.iter().for_each(|(name, value)| self.set_if_absent(name, value));
        scope.iter().chain(identity.iter()).for_each(|(name, value)| self.set(name, value));
    }

    /// The attributes of a resource that become labels of all its series.
    pub(super) fn promote(&mut self, resource: &Self, promoted: &[String], translation: Translation) {
        self.clear();
        for name in promoted {
            if let Some(value) = resource.get(name) {
                self.set_if_absent(&names::label(name, translation), value);
            }
        }
    }

    /// `job` and `instance` of a resource.
    pub(super) fn identify(&mut self, resource: &Self) {
        self.clear();
        match (resource.get("service.namespace"), resource.get("service.name")) {
            (Some(namespace), Some(name)) => self.set("job", &format!("{namespace}/{name}")),
            (None, Some(name)) => self.set("job", name),
            (_, None) => {}
        }
        if let Some(instance) = resource.get("service.instance.id") {
            self.set("instance", instance);
        }
    }

    /// The attributes of a resource that do not identify it.
    pub(super) fn rest_of_resource(&mut self, resource: &Self, translation: Translation) {
        const IDENTITY: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];
        self.broken.clone_from(&resource.broken);
        let rest = resource.pairs.iter().filter(|(name, _)| !IDENTITY.contains(&name.as_str()));
        self.pairs.extend(rest.cloned());
        self.translate(translation);
    }

    /// The labels of an instrumentation scope.
    pub(super) fn read_scope(
        &mut self,
        scope: &Field<'_>,
        translation: Translation,
        limits: &Limits,
    ) -> Result<(), DecodeError> {
        self.read(scope, 3, limits)?;
        for (name, _) in &mut self.pairs {
            name.insert_str(0, "otel_scope_");
        }
        self.translate(translation);
        let mut reader = scope.message()?;
        while let Some(field) = reader.next_field()? {
            let name = match field.number {
                1 => "otel_scope_name",
                2 => "otel_scope_version",
                _ => continue,
            };
            match std::str::from_utf8(field.bytes()?) {
                Ok(text) if text.len() <= limits.value_bytes => self.set(name, text),
                _ => {}
            }
        }
        Ok(())
    }
}

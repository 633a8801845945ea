//! Which series a point belongs to.
//!
//! The key under which the sink may know a series is made of the point's attributes as they came, and of what it
//! inherits; they become labels only when the sink knows nothing. An exporter that sends its attributes in another
//! order each time only loses this short cut.

use wellkept_model::{METRIC_NAME, Sink};

use super::attributes::LabelSet;
use super::points::Fault;
use super::{Request, Translation};
use crate::key::{Pairs, announce, push_label, push_pair};
use crate::proto::{Field, Reader, Writer};
use crate::{DecodeError, Refusal};

/// First byte of every key, so that no other door's keys are like ours.
const DOOR: u8 = 0x03;

/// Field of the key in which an attribute of the point stands.
const ATTRIBUTE: u32 = 8;

impl<S: Sink + ?Sized> Request<'_, S> {
    /// Works out what all points of a scope inherit.
    pub(super) fn begin_scope(&mut self) {
        self.context.clear();
        let translation = match self.options.translation {
            Translation::UnderscoreEscapingWithSuffixes => 0,
            Translation::UnderscoreEscapingWithoutSuffixes => 1,
            Translation::NoUtf8EscapingWithSuffixes => 2,
            Translation::NoTranslation => 3,
        };
        let mut w = Writer::new(&mut self.context);
        w.uint(4, translation);
        for (number, set) in [(5, &self.promoted), (6, &self.scope), (7, &self.identity)] {
            let mut fields = Vec::new();
            set.iter().for_each(|(name, value)| push_label(&mut fields, name.as_bytes(), value.as_bytes()));
            w.bytes(number, &fields);
        }
    }

    /// Takes note of a point's attributes, which stand in field `number`.
    pub(super) fn begin_point(&mut self, point: &Field<'_>, number: u32) -> Result<(), Fault> {
        if let Some(why) = [&self.resource, &self.scope].iter().find_map(|set| set.broken.clone()) {
            return Err(why.into());
        }
        self.attributes.clear();
        self.labels_ready = false;
        let mut reader = point.message()?;
        while let Some(field) = reader.next_field()? {
            if field.number == number {
                Writer::new(&mut self.attributes).bytes(ATTRIBUTE, field.bytes()?);
            }
        }
        Ok(())
    }

    /// Makes a series of the current point the sink's current one.
    pub(super) fn series(
        &mut self,
        name: &str,
        suffix: &str,
        extra: Option<(&str, &str)>,
    ) -> Result<(), Fault> {
        self.key.clear();
        self.key.push(DOOR);
        let mut w = Writer::new(&mut self.key);
        w.bytes_of(1, &[name.as_bytes(), suffix.as_bytes()]);
        if let Some((name, value)) = extra {
            w.bytes(2, name.as_bytes());
            w.bytes(3, value.as_bytes());
        }
        self.key.extend_from_slice(&self.context);
        self.key.extend_from_slice(&self.attributes);
        self.budget.spend(self.key.len())?;
        if !self.sink.known(&self.key) {
            self.make_labels()?;
            let name = format!("{name}{suffix}");
            self.budget.spend(self.labels.iter().map(|(n, v)| n.len() + v.len()).sum())?;
            let pairs = pairs(&name, &self.labels, extra, self.limits)?;
            self.sink.series(&self.key, &pairs);
        }
        self.tally.series += 1;
        Ok(())
    }

    /// Puts the labels of the current point together, unless they are already.
    fn make_labels(&mut self) -> Result<(), Fault> {
        if self.labels_ready {
            return self.labels.broken.clone().map_or(Ok(()), |why| Err(why.into()));
        }
        self.labels.clear();
        let mut reader = Reader::new(&self.attributes);
        while let Some(field) = reader.next_field()? {
            self.labels.attribute(&field, self.limits)?;
        }
        self.labels.translate(self.options.translation);
        // What a point inherits is merged by comparing names: a small point must not buy endless comparisons.
        let inherited = self.scope.len() + self.promoted.len();
        self.budget.spend(8 * inherited * (inherited + self.labels.len()))?;
        self.labels.inherit(&self.promoted, &self.scope, &self.identity);
        self.labels_ready = true;
        self.labels.broken.clone().map_or(Ok(()), |why| Err(why.into()))
    }

    /// The running sum of a series that comes as differences. Sums are kept by labels, whatever their order was.
    pub(super) fn delta_key(
        &mut self,
        name: &str,
        suffix: &str,
        extra: Option<(&str, &str)>,
    ) -> Result<(), Fault> {
        self.make_labels()?;
        Ok(self.label_key(&format!("{name}{suffix}"), extra)?)
    }

    /// Makes `target_info` with the current labels the sink's current series.
    pub(super) fn target_info_series(&mut self) -> Result<Result<(), Refusal>, DecodeError> {
        self.label_key("target_info", None)?;
        self.tally.series += 1;
        Ok(announce(&self.key, self.limits, self.sink))
    }

    /// Puts the current labels into the key, in the form of remote write.
    fn label_key(&mut self, name: &str, extra: Option<(&str, &str)>) -> Result<(), DecodeError> {
        self.key.clear();
        push_label(&mut self.key, METRIC_NAME.as_bytes(), name.as_bytes());
        let others = self.labels.iter().filter(|(name, _)| extra.is_none_or(|(extra, _)| extra != *name));
        for (name, value) in others.chain(extra) {
            push_label(&mut self.key, name.as_bytes(), value.as_bytes());
        }
        self.budget.spend(self.key.len())
    }
}

fn pairs<'t>(
    name: &'t str,
    labels: &'t LabelSet,
    extra: Option<(&'t str, &'t str)>,
    limits: &crate::Limits,
) -> Result<Pairs<'t>, Refusal> {
    let mut pairs = Pairs::new();
    push_pair(&mut pairs, METRIC_NAME.as_bytes(), name.as_bytes(), limits)?;
    let others = labels.iter().filter(|(name, _)| extra.is_none_or(|(extra, _)| extra != *name));
    for (name, value) in others.chain(extra) {
        push_pair(&mut pairs, name.as_bytes(), value.as_bytes(), limits)?;
    }
    Ok(pairs)
}

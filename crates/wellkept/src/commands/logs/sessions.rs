//! Sessions in a table: an id, an optional label, and the numbers of its events in order of time.

use wellkept_logmine::anomaly::session::Session;

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    events: Vec<u64>,
}

impl Row {
    /// A part of the id before a slash is the family: the job of a container.
    pub(super) fn session(&self) -> Session<'_> {
        Session { parent: self.id.split_once('/').map(|(parent, _)| parent), events: &self.events }
    }
}

/// `None` when this is no such table: its first line must name the columns `id` and `events`.
///
/// # Errors
/// The first line that cannot be read.
pub(super) fn table(bytes: &[u8]) -> Option<anyhow::Result<Vec<Row>>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let head = reader.headers().ok()?.clone();
    let find = |name: &str| head.iter().position(|h| h == name);
    let (id, events) = (find("id")?, find("events")?);
    let rows = reader.records().map(|record| {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |at| record.get(at).ok_or_else(|| anyhow::anyhow!("line {line}: a column is missing"));
        let numbers = field(events)?
            .split_ascii_whitespace()
            .map(|e| e.parse::<u64>().map_err(|_| anyhow::anyhow!("line {line}: `{e}` is no event number")));
        Ok(Row { id: field(id)?.to_owned(), events: numbers.collect::<anyhow::Result<_>>()? })
    });
    Some(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_known_by_its_columns() {
        let rows = table(b"id,label,events\njob/1,normal,5 7 5\n2,odd,\n").unwrap().unwrap();
        assert_eq!(rows[0], Row { id: "job/1".to_owned(), events: vec![5, 7, 5] });
        assert_eq!((rows[0].session().parent, rows[1].session().events.len()), (Some("job"), 0));
        assert!(table(b"2026-01-01 something happened, id\n").is_none());
        assert!(table(b"id,events\n1,x\n").unwrap().unwrap_err().to_string().contains("line 2"));
    }
}

//! What agents are handed: bundles that wait on the server's disk, and how far each came.
//!
//! The server checks nothing about a bundle but its size: whether it is run is decided by the host that it is for, by
//! keys that the server does not have. An order is in one of the stages of [`Stage`]; stages only go forward.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::folder;
use crate::name::{NameError, check_name};
use crate::wire::{OrderHead, Report, SAID_MAX, Stage};

/// Largest bundle that is handed to agents, bytes.
pub const HANDED_MAX: u64 = 64 << 20;
/// Orders of one agent that are kept, those that are over included.
const ORDERS_MAX: usize = 200;
/// Largest record of an order, bytes.
const RECORD_MAX: u64 = 256 << 10;

/// Why an order is not taken.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    /// A name that is not accepted.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Too large.
    #[error("the bundle has {found} bytes; agents take at most {HANDED_MAX}")]
    TooLarge {
        /// Its size.
        found: u64,
    },
    /// Too many wait.
    #[error("{ORDERS_MAX} orders wait for {0} already")]
    Full(String),
    /// The disk.
    #[error("orders cannot be kept: {0}")]
    Disk(#[from] io::Error),
}

/// An order with how far it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderView {
    /// Its name; later ones sort behind earlier ones.
    pub id: String,
    /// Who handed it.
    pub who: String,
    /// What, for people.
    pub what: String,
    /// When it was handed, milliseconds since the epoch.
    pub handed_ms: i64,
    /// How far it came.
    pub stage: Stage,
    /// When that was, milliseconds since the epoch.
    pub at_ms: i64,
    /// Exit code.
    #[serde(default)]
    pub exit: Option<i32>,
    /// Why, or the last of what it wrote.
    #[serde(default)]
    pub said: String,
}

/// Asked before a step forward of an order is written down; without its leave it is not.
pub(crate) type Before<'a> = &'a dyn Fn(&OrderView, Stage) -> io::Result<()>;

/// The folder of all orders.
#[derive(Debug, Clone)]
pub struct Orders {
    folder: PathBuf,
}

impl Orders {
    /// The orders of a folder.
    ///
    /// # Errors
    /// The disk.
    pub fn open(path: &Path) -> io::Result<Self> {
        folder::make(path)?;
        Ok(Self { folder: path.to_owned() })
    }

    fn of(&self, name: &str) -> Result<PathBuf, OrdersError> {
        check_name(name)?;
        let path = self.folder.join(name);
        folder::make(&path)?;
        Ok(path)
    }

    /// Lays a bundle down for an agent.
    ///
    /// # Errors
    /// Too large, too many, the disk.
    pub fn hand(
        &self,
        name: &str,
        bundle: &[u8],
        (who, what): (&str, &str),
        now_ms: i64,
    ) -> Result<OrderView, OrdersError> {
        if bundle.len() as u64 > HANDED_MAX {
            return Err(OrdersError::TooLarge { found: bundle.len() as u64 });
        }
        let path = self.of(name)?;
        let _lock = folder::Lock::of(&path)?;
        self.tidy(name, &path)?;
        let order = OrderView {
            id: format!("{now_ms:015}-{}", folder::random_hex(4)?),
            who: who.to_owned(),
            what: what.chars().take(200).collect(),
            handed_ms: now_ms,
            stage: Stage::Handed,
            at_ms: now_ms,
            exit: None,
            said: String::new(),
        };
        folder::replace(&path.join(format!("{}.bundle", order.id)), bundle, 0o600)?;
        // The record last: an order is there when all of it is.
        folder::replace_json(&path.join(format!("{}.json", order.id)), &order)?;
        Ok(order)
    }

    /// Makes room: those that are over go first, the oldest before others.
    fn tidy(&self, name: &str, path: &Path) -> Result<(), OrdersError> {
        let all = self.list(name)?;
        let surplus = (all.len() + 1).saturating_sub(ORDERS_MAX);
        let over: Vec<_> = all.iter().filter(|o| o.stage.is_last()).take(surplus).collect();
        if over.len() < surplus {
            return Err(OrdersError::Full(name.to_owned()));
        }
        for order in over {
            std::fs::remove_file(path.join(format!("{}.json", order.id)))?;
        }
        Ok(())
    }

    /// All orders of an agent, oldest first.
    ///
    /// # Errors
    /// The disk.
    pub fn list(&self, name: &str) -> Result<Vec<OrderView>, OrdersError> {
        let path = self.of(name)?;
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let file = entry?.path();
            if file.extension().is_some_and(|e| e == "json") {
                all.extend(folder::read_json::<OrderView>(&file, RECORD_MAX)?);
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(all)
    }

    /// The oldest order that is not over.
    pub(crate) fn next(&self, name: &str) -> Result<Option<OrderHead>, OrdersError> {
        let path = self.of(name)?;
        let Some(order) = self.list(name)?.into_iter().find(|o| !o.stage.is_last()) else { return Ok(None) };
        let size = std::fs::metadata(path.join(format!("{}.bundle", order.id)))?.len();
        Ok(Some(OrderHead { id: order.id, size }))
    }

    /// The bundle of an order, and a note that the agent has asked for it.
    pub(crate) fn take(
        &self,
        name: &str,
        id: &str,
        now_ms: i64,
        before: Before<'_>,
    ) -> Result<Option<Vec<u8>>, OrdersError> {
        if !is_id(id) {
            return Ok(None);
        }
        let path = self.of(name)?;
        let Some(bundle) = folder::read(&path.join(format!("{id}.bundle")), HANDED_MAX)? else {
            return Ok(None);
        };
        let report = Report {
            order: id.to_owned(),
            stage: Stage::Taken,
            exit: None,
            said: String::new(),
            at_ms: now_ms,
        };
        self.note(name, &report, before)?;
        Ok(Some(bundle))
    }

    /// Notes how far an order came. What is known to be over stays as it is.
    pub(crate) fn note(&self, name: &str, report: &Report, before: Before<'_>) -> Result<(), OrdersError> {
        if !is_id(&report.order) {
            return Ok(());
        }
        let path = self.of(name)?;
        let _lock = folder::Lock::of(&path)?;
        let file = path.join(format!("{}.json", report.order));
        let Some(mut order) = folder::read_json::<OrderView>(&file, RECORD_MAX)? else { return Ok(()) };
        let back = matches!((order.stage, report.stage), (Stage::Began, Stage::Taken));
        if order.stage.is_last() || back || report.stage == Stage::Handed {
            return Ok(());
        }
        if order.stage != report.stage {
            before(&order, report.stage)?;
        }
        order.stage = report.stage;
        order.at_ms = report.at_ms;
        order.exit = report.exit;
        order.said = report.said.chars().take(SAID_MAX).collect();
        folder::replace_json(&file, &order)?;
        if order.stage.is_last() {
            // It is of no use any more; that it is gone already is as good.
            let _ = std::fs::remove_file(path.join(format!("{}.bundle", report.order)));
        }
        Ok(())
    }
}

/// Names that we gave, and nothing that leads elsewhere.
pub(crate) fn is_id(id: &str) -> bool {
    (16..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: &str, stage: Stage) -> Report {
        Report { order: id.to_owned(), stage, exit: Some(0), said: String::new(), at_ms: 9 }
    }

    const LEAVE: Before<'static> = &|_, _| Ok(());

    #[test]
    fn an_order_goes_forward_only_and_is_handed_until_it_is_over() {
        let temp = tempfile::tempdir().unwrap();
        let orders = Orders::open(temp.path()).unwrap();
        let steps = std::cell::RefCell::new(Vec::new());
        let heard: Before<'_> = &|order, stage| {
            steps.borrow_mut().push((order.what.clone(), stage));
            Ok(())
        };
        let first = orders.hand("web-1", b"one", ("me", "web 1"), 1000).unwrap();
        let second = orders.hand("web-1", b"two", ("me", "web 2"), 1001).unwrap();
        let stage = |id: &str| {
            orders.list("web-1").unwrap().into_iter().find(|o| o.id == id).map(|o| o.stage).unwrap()
        };
        assert_eq!(orders.next("web-1").unwrap().unwrap(), OrderHead { id: first.id.clone(), size: 3 });
        assert_eq!(orders.take("web-1", &first.id, 5, heard).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(stage(&first.id), Stage::Taken);
        orders.note("web-1", &report(&first.id, Stage::Began), heard).unwrap();
        orders.take("web-1", &first.id, 6, heard).unwrap();
        assert_eq!(stage(&first.id), Stage::Began);
        orders.note("web-1", &report(&first.id, Stage::Ended), heard).unwrap();
        orders.note("web-1", &report(&first.id, Stage::Unknown), heard).unwrap();
        assert_eq!(stage(&first.id), Stage::Ended);
        assert_eq!(orders.next("web-1").unwrap().unwrap().id, second.id);
        let wanted = [Stage::Taken, Stage::Began, Stage::Ended].map(|stage| ("web 1".to_owned(), stage));
        assert_eq!(*steps.borrow(), wanted, "each once, and what is over stays");
        let refuse: Before<'_> = &|_, _| Err(io::ErrorKind::StorageFull.into());
        assert!(orders.take("web-1", &second.id, 7, refuse).is_err(), "not without a record");
        assert_eq!(stage(&second.id), Stage::Handed);
        assert!(orders.take("web-2", &second.id, 7, heard).unwrap().is_none(), "it is another host's");
    }

    #[test]
    fn names_that_lead_elsewhere_are_nobodys_orders() {
        let temp = tempfile::tempdir().unwrap();
        let orders = Orders::open(temp.path()).unwrap();
        std::fs::write(temp.path().join("secret.bundle"), "x").unwrap();
        assert!(orders.take("web-1", "../secret", 1, LEAVE).unwrap().is_none());
        assert!(orders.take("../..", "0", 1, LEAVE).unwrap_or_default().is_none());
        assert!(orders.hand("web-1", &vec![0; 65 << 20], ("me", ""), 1).is_err());
    }
}

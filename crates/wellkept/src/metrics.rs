//! Series from elsewhere: what is pushed, what is scraped, and rules over all of it.
//!
//! Wiring only: the formats, the scraping and the rules have crates of their own.

mod cardinality;
mod doors;
mod intake;
mod listeners;
mod page;
mod ruler;
mod scraping;
mod swap;
mod views;

pub(crate) use doors::HttpDoors;
pub(crate) use intake::{Base, Files, Intake};
pub(crate) use listeners::{Listeners, Sockets};
pub(crate) use page::{Page, page};
pub(crate) use ruler::{Host, Ruler, read_files};
pub(crate) use scraping::{Forward, Scraping, send_on, shown};
pub(crate) use swap::Swap;
pub(crate) use views::Views;

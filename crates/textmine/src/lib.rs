//! Text mining over the lines of incidents: what they are about, whether we have seen the like, and in short.
//!
//! Nothing is learned beforehand and nothing is downloaded: terms are weighed against what is usual on this
//! installation ([`Background`]), incidents are compared by what they share, and a summary is made of lines that
//! were really written. English and Chinese may be mixed in one line.
//!
//! Everything has a bound, takes any bytes, and gives the same answer for the same input. Left to others: reading
//! lines, templates (the caller names them), keeping backgrounds and fingerprints, and the words around the answers.

#![forbid(unsafe_code)]

mod shown;
mod stop;
mod tokens;
mod lineterms;
mod codec;
mod background;
mod keyterms;
mod fingerprint;
mod similar;
mod summary;

pub use background::Background;
pub use codec::BytesError;
pub use fingerprint::{Fingerprint, Trait};
pub use keyterms::{KeyTerm, LINES_MAX, key_terms};
pub use shown::{cut, shown};
pub use similar::{MATCH_MIN, Match, Shared, similar, similar_from};
pub use summary::{IncidentLine, SUMMARY_BYTES_MAX, SummaryLine, summarise};
pub use tokens::{LINE_BYTES_MAX, Tokeniser};

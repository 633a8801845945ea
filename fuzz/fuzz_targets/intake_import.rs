//! The import of Prometheus' text, behind gzip when the body is gzip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::judge::doors::{Door, enter};

fuzz_target!(|body: &[u8]| enter(Door::Import, body));

//! Elasticsearch's `_bulk`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::logs::{Door, enter};

fuzz_target!(|body: &[u8]| enter(Door::Bulk, body));

//! The store under any operations, beside a map.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| wellkept_fuzz::store::model(body));

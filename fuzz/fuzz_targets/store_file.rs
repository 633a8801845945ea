//! Any bytes in the place of a file of the store, or of a stretch of it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| wellkept_fuzz::store::file(body));

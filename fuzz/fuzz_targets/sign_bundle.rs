//! Signed bundles: whatever the bytes, nothing that no trusted key signed is taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_sign::{Check, Seen, Trust, verify};

fuzz_target!(|bytes: &[u8]| {
    let (trust, seen) = (Trust::any_of(Vec::new()), Seen::default());
    let check = Check { trust: &trust, now: 1, seen: &seen, again: true, host: None };
    assert!(verify(bytes, &check).is_err());
});
